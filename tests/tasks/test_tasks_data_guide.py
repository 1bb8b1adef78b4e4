"""The data guide's own rows are read as it says."""

import re
from pathlib import Path

import pytest

from cotune.tasks.readers import AutoReader

GUIDE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"### (.+)\n\n```jsonl\n((?:\{.+\n)+)```\n\n> (.+)\n", GUIDE)


def test_the_guide_has_rows_of_every_shape():
    assert len(SECTIONS) == GUIDE.count("```jsonl") == GUIDE.count("\n> read as") == 8


@pytest.mark.parametrize(("title", "rows", "said"), SECTIONS, ids=[title for title, *_ in SECTIONS])
def test_rows_of_the_guide(tmp_path, title, rows, said):
    (tmp_path / "rows.jsonl").write_text(rows)
    (task,) = AutoReader(path="rows.jsonl").read(base=tmp_path, seed=0)
    assert task.notes[0] == said
