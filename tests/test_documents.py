"""What the documents say holds: their Python runs, their paths and tables are those of the house."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_rooms import ROOMS

from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.tasks import SPLITS

ROOT = Path(__file__).parents[1]
HUB_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
DOCUMENTS += [f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))]


def blocks(document, language):
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Plant what the README's examples read, small, under the names that they use."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "demo").mkdir()
    rows = [",".join("abcdef")]
    for _ in range(60):
        subset = rng.choice(6, 3, replace=False)
        losses = {t: 5 - sum(o % 2 == t % 2 for o in subset) + 0.1 * rng.normal() for t in subset}
        rows.append(",".join(str(losses.get(task, "")) for task in range(6)))
    (tmp_path / "demo" / "scores.csv").write_text("\n".join(rows))

    study = {"name": "planted", "learner": {"kind": "planted"}, "affinity": {"estimator": "higher_order"}}
    study |= {"comparison": {"budgets": [2], "seeds": 2}, "executor": {"workers": 0}}
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "natural_instructions.yaml").write_text(yaml.safe_dump(study))

    reviews, *others = toy_tasks(["copy", "max", "min"], train=40, validation=6, test=8)
    (tmp_path / "other-tasks").mkdir()
    for task, file in [(reviews, "reviews"), *((other, f"other-tasks/{other.name}") for other in others)]:
        examples = [example for split in SPLITS for example in task[split]]
        lines = [json.dumps({"input": e.input, "target": e.targets[0]}) for e in examples]
        (tmp_path / f"{file}.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_the_python_of_the_readme_runs(project, capsys):
    code = "\n".join(blocks("README.md", "python"))
    assert code.count(HUB_MODEL) == 1
    exec(compile(code.replace(HUB_MODEL, str(TOY_CHECKPOINT)), "README.md", "exec"), {})
    told = capsys.readouterr().out
    assert "[('a', 'c', 'e'), ('b', 'd', 'f')] True" in told
    assert "k = 2 (chosen by evidence)" in told
    assert "True" in told
    assert (project / "examples" / "natural_instructions" / "report.html").is_file()
    assert (project / "reviews-tuned" / "README.md").is_file()
    assert "('max', 4, " in told


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((ROOT / document).parent / target).exists(), target


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_are_those_of_the_project(document):
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.M | re.S)
    paths = {path for path in re.findall(r"`([\w./-]+)`", text) if "/" in path and ".." not in path}
    assert len(paths) > 5
    for path in paths:
        # Of a file that is to be written the folder is there.
        real = Path(path).parent if "NAME" in Path(path).name else path
        assert (ROOT / real).exists() or (ROOT / "src" / "cotune" / real).exists(), path


def test_the_table_of_the_house_is_the_one_that_is_tested():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| ([^|]*) \|$", text, flags=re.MULTILINE))
    assert set(rows) == {*ROOMS, "cli"}
    above = set()
    for room, cell in rows.items():
        told = {"-": set(), "all above": set(above)}.get(cell, set(cell.split(", ")))
        assert ROOMS.get(room, above) <= told if cell == "all above" else ROOMS[room] == told, room
        above.add(room)


def test_the_commands_to_make_are_there():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    for document in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        lines = re.findall(r"^make ([a-z -]+?) *(?:#|$)", text, flags=re.M)
        asked = {word for line in lines for word in line.split()} | set(re.findall(r"`make ([a-z-]+)`", text))
        assert asked
        assert asked <= targets
