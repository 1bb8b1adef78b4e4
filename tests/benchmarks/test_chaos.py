"""The short form of every part of ``make chaos``: a few cases of its own, all of which end as they should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))

from chaos.part import Outcome, in_forks  # noqa: E402
from chaos.parts import PARTS, main  # noqa: E402


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
