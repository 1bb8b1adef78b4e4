"""The short form of every part of ``make chaos``: a few cases of its own, all of which end as they should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))

from chaos.part import BROKE_DOWN, Outcome, Part, in_forks  # noqa: E402
from chaos.parts import PARTS, main  # noqa: E402
from chaos.works import same_but_for_rounding  # noqa: E402


def test_every_part_ends_as_it_should(tmp_path):
    """In a process of its own: what is forked from one with threads of OpenMP waits for them for ever.

    In one for all: to load everything takes longer than the few cases of a part.
    """
    path = os.pathsep.join([str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "chaos", "--short", "--processes", "1"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line for line in done.stdout.splitlines() if " of processor time)" in line]
    assert [line.partition(": ")[0] for line in told] == [*(part.title for part in PARTS), "all together"]
    table = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in table[1:-1]] == [part.title for part in PARTS]
    assert [int(row[1].replace(",", "")) for row in table[1:-1]] == [part.short for part in PARTS]
    assert {row[3].strip() for row in table[1:]} == {"**0**"}
    assert done.stdout.endswith("What must be 0 is 0.\n")


def fails(case):
    if case == 2:
        raise ValueError("two")
    return Outcome({"done": 1})


def test_cases_are_counted_and_none_is_lost():
    outcome = in_forks(fails, range(4), 2)
    assert outcome.counts == {"done": 3, BROKE_DOWN: 1}
    assert len(outcome.failures) == 1
    assert outcome.failures[0].startswith("2: Traceback")


def every_third_counts(case):
    return Outcome({"counted": int(case % 3 == 0), "came to nothing": int(case % 3 != 0)})


def test_cases_are_drawn_until_enough_of_them_count():
    outcome = in_forks(every_third_counts, range(1000), 2, ("counted", 5))
    assert outcome.counts["counted"] == 5
    assert 8 <= outcome.counts["came to nothing"] <= 10


@pytest.mark.parametrize(
    ("counts", "failures", "wrong"),
    [
        ({"done": 4}, [], 0),
        ({"done": 4, "lost": 2}, ["one", "other"], 2),
        ({"done": 3, BROKE_DOWN: 1}, ["one"], 2),
        ({"done": 1}, [], 3),
        ({"done": 4}, ["one that is in no count"], 1),
    ],
)
def test_what_must_be_0_is_what_went_wrong_and_what_lacks(counts, failures, wrong):
    part = Part("part", "a part", 4, 1, None, ("done",), ("lost",))
    outcome = Outcome(counts, failures)
    assert part.wrong(outcome, 4) == wrong
    assert "0 repeated" not in part.told(outcome)
    assert f"{counts.get('lost', 0)} lost" in part.told(outcome)


def test_texts_that_differ_in_a_last_digit_are_told_from_those_that_say_something_else():
    text = "[['copy', '0.25', '1e-3'], ['max', '7']]"
    assert same_but_for_rounding(text, text.replace("0.25", "0.2500001"))
    assert not same_but_for_rounding(text, text.replace("0.25", "0.251"))
    assert not same_but_for_rounding(text, text.replace("copy", "last"))
    assert not same_but_for_rounding(text, text.replace("'7'", "'7', '8'"))
    assert not same_but_for_rounding(text, None)


def test_the_command_knows_its_parts(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["none"])
    assert "no part is called none; there are kills" in capsys.readouterr().err
