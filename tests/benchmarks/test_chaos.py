"""The short form of every part of ``make chaos``: a few cases of its own, all of which end as they should."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from chaos.part import Outcome, Setup, in_forks
from chaos.parts import PARTS, main


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_ends_as_it_should(part, tmp_path):
    outcome = part.run(part.short, Setup(tmp_path, 0, 1))
    assert outcome.failures == []
    assert outcome.counts.total() > 0


def fails(case):
    if case == 2:
        raise ValueError("two")
    return Outcome({"done": 1})


def test_cases_are_counted_and_none_is_lost():
    outcome = in_forks(fails, range(4), 2)
    assert outcome.counts == {"done": 3}
    assert len(outcome.failures) == 1
    assert outcome.failures[0].startswith("2: Traceback")


def test_the_command_knows_its_parts(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["none"])
    assert "no part is called none; there are kills" in capsys.readouterr().err
