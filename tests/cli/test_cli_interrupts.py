"""Ctrl-C and SIGTERM, sent to real processes at places that wait for them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

from cotune.cli.main import main
from cotune.lab.toy_language import TOY_CHECKPOINT

HELD = Path(__file__).with_name("held.py")
PATIENCE = 300.0
"""Seconds before a process that never comes to its place is given up; nothing is measured by it."""


class Held:
    """A command that has come to the place where it waits."""

    def __init__(self, arguments, place, folder, *, line="HERE"):
        self.process = subprocess.Popen(
            [sys.executable, str(HELD), *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "HOLD": place},
            stdout=(folder / "out.txt").open("w"),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said = []
        self.wait_for(line)
        self.workers = psutil.Process(self.process.pid).children(recursive=True)

    def wait_for(self, line):
        for said in self.process.stderr:
            if said.strip() == line:
                return
            self.said.append(said)
        raise AssertionError(f"it ended before {line}: {''.join(self.said)}")

    def send(self, number, *, group=False):
        (os.killpg if group else os.kill)(self.process.pid, number)

    def end(self):
        """Wait for the end; return status and the one line that was said after the signal."""
        rest = self.process.stderr.read()
        self.process.wait(PATIENCE)
        gone, alive = psutil.wait_procs(self.workers, timeout=PATIENCE)
        assert not alive, f"of {len(gone) + len(alive)} workers some outlived the command"
        lines = [line for line in rest.splitlines() if line.strip() != "HERE"]
        assert len(lines) == 1, rest
        return self.process.returncode, lines[0]


@pytest.fixture
def scores(tmp_path):
    """Write runs of four of eight tasks, in two groups."""
    rng = np.random.default_rng(0)
    lines = [",".join("abcdefgh")]
    for _ in range(60):
        subset = rng.choice(8, 4, replace=False)
        cells = [""] * 8
        for task in subset:
            cells[task] = f"{sum(other % 2 == task % 2 for other in subset) + 0.5 * rng.normal():.3f}"
        lines.append(",".join(cells))
    path = tmp_path / "scores.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("place", "number", "status", "begin"),
    [
        ("import scipy.optimize", signal.SIGINT, 130, "Interrupted; "),
        ("cotune.grouping.stability:bootstrap", signal.SIGTERM, 143, "Interrupted by SIGTERM; "),
        ("swallow cotune.grouping.sdp:spectral_embedding", signal.SIGINT, 130, "Interrupted; "),
    ],
)
def test_an_interrupted_grouping_says_nothing_of_groups(scores, place, number, status, begin):
    held = Held(["group", scores], place, scores.parent)
    held.send(number)
    if place.startswith("swallow"):
        held.wait_for("SWALLOWED")  # and is asked again, without another Ctrl-C
    assert held.end() == (status, f"{begin}nothing was written.")
    assert (scores.parent / "out.txt").read_text() == ""


def test_an_impatient_interrupt_does_not_cut_the_tidying_short(scores):
    held = Held(["group", scores], "cotune.grouping.sdp:spectral_embedding", scores.parent)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        held.send(number)
    status, said = held.end()
    assert status in (130, 143)  # of signals that are pending together the system delivers the one it likes
    assert said.startswith("Interrupted")


def planted_study(folder, **changes):
    data = {
        "name": "planted",
        "learner": {"kind": "planted", "tasks": 6, "groups": 2, "noise": 0.1},
        "affinity": {"estimator": "higher_order", "subset_size": 3, "subsets": 20},
        "comparison": None,
        "executor": {"workers": 0},
        **changes,
    }
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


@pytest.mark.parametrize(
    "place", ["cotune.grouping.sdp:spectral_embedding", "cotune.report.page:render_report"]
)
def test_an_interrupted_run_keeps_its_runs_and_goes_on(tmp_path, capsys, place):
    file = planted_study(tmp_path)
    held = Held(["run", file.name], place, tmp_path)
    held.send(signal.SIGINT, group=True)
    folder = tmp_path / "study"
    assert held.end() == (
        130,
        f"Interrupted; finished runs are kept in {folder}, and 'cotune run study.yaml' goes on.",
    )
    if "grouping" in place:
        assert not (folder / "groups.json").exists()
    assert not (folder / "report.html").exists()
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".lock"]
    assert main(["run", str(file)]) == 0
    assert "26 of them stored" in capsys.readouterr().out
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize(
    ("place", "number", "group"),
    [
        ("cotune.studies.engine._executor:start_worker", signal.SIGINT, True),
        ("cotune.studies.engine._executor:_do", signal.SIGTERM, False),
    ],
)
def test_workers_end_with_the_command_wherever_they_are(tmp_path, place, number, group):
    file = planted_study(tmp_path, executor={"workers": 2})
    held = Held(["run", file.name], place, tmp_path)
    assert len(held.workers) >= 1
    held.send(number, group=group)
    status, said = held.end()
    assert status == 128 + number
    assert "finished runs are kept" in said


def test_the_benchmark_of_functions_ends_its_workers(tmp_path):
    held = Held(["bench", "functions", "--workers", "1"], "cotune.benchmark.functions:_run", tmp_path)
    held.send(signal.SIGINT, group=True)
    assert held.end() == (130, "Interrupted; nothing was written.")
    assert not (tmp_path / "functions.html").exists()


@pytest.mark.parametrize(
    ("command", "place", "kept"),
    [
        (
            "plan",
            "cotune.training.language_model._timing:LanguageModelTiming._measure",
            "nothing was written.",
        ),
        ("eval", "cotune.answering._evaluate:_evaluate", "nothing was written."),
        ("tune", "cotune.training._loop:TrainingRun.run", "what was trained so far is kept beside out, and"),
    ],
)
def test_commands_with_a_model(tmp_path, files, command, place, kept):
    toy, task = str(TOY_CHECKPOINT), files["copy"]
    study = {
        "name": "model",
        "tasks": [
            yaml.safe_load(files[name].read_text()) | {"path": str(files[name].with_suffix(""))}
            for name in ("copy", "max")
        ],
        "learner": {"kind": "language_model", "model": toy},
        "affinity": {"estimator": "pairwise"},
        "comparison": None,
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    arguments = {
        "plan": ["study.yaml"],
        "eval": [toy, task, "--shots", "0", "--draws", "1"],
        "tune": [task, "--model", toy, "--out", "out", "--method", "lora", "--steps", "2"],
    }
    held = Held([command, *arguments[command]], place, tmp_path)
    held.send(signal.SIGINT)
    status, said = held.end()
    assert status == 130
    assert said.startswith(f"Interrupted; {kept}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("number", "status", "by"), [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, " by SIGTERM")]
)
@pytest.mark.parametrize(
    ("command", "place", "kept"),
    [
        (["status", "study.yaml"], "cotune.studies.engine._study:Study.status", ""),
        (["report", "study.yaml"], "cotune.report.page:render_report", "the runs are kept"),
        (["bench", "score"], "cotune.benchmark.scoring:score", ""),
        (["bench", "record", "study.yaml"], "cotune.studies.engine._study:Study.run", "finished runs"),
        (["demo", "--folder", "demo"], "cotune.studies.engine._study:Study.run", "finished runs"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_every_command_ends_at_once_and_says_what_is_kept(tmp_path, command, place, kept, number, status, by):
    planted_study(tmp_path)
    if command[0] in ("status", "report"):
        assert main(["run", str(tmp_path / "study.yaml")]) == 0
        (tmp_path / "study" / "report.html").unlink()
    held = Held(command, place, tmp_path)
    held.send(number)
    left, said = held.end()
    assert left == status
    goes_on = said.endswith(f"and 'cotune {' '.join(command)}' goes on.")
    assert said.startswith(f"Interrupted{by}; {kept or 'nothing was written.'}")
    assert goes_on == bool(kept)
    assert (tmp_path / "out.txt").read_text() == "" or command[0] == "demo"
    assert not list(tmp_path.rglob("report.html"))
    assert not (tmp_path / "study" / "table.json").exists()


def test_an_interrupt_in_this_process_is_told_alike(capsys, monkeypatch, tmp_path):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("cotune.affinity.read_table", interrupted)
    assert main(["group", str(tmp_path / "table.csv")]) == 130
    assert capsys.readouterr().err == "Interrupted; nothing was written.\n"


DEAF = """
import ctypes, os, signal, subprocess, sys, threading, time
from cotune.cli import _interrupt
_interrupt._PATIENCE = 0.2
_interrupt.listen()
_interrupt.begin(["run", "a study.yaml"])
_interrupt.keep("finished runs are kept in study")
child = os.fork()
if not child:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
time.sleep(0.5)  # longer than it would wait, if the fork's signal were taken for its own
nowhere = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], **nowhere)
lock, c = ctypes.create_string_buffer(64), ctypes.CDLL(None)
c.pthread_mutex_lock(lock)
threading.Timer(0.5, lambda: print(worker.pid, flush=True)).start()
c.pthread_mutex_lock(lock)
"""
"""A command whose main thread waits in compiled code for good, as in Ray's for nodes that never come."""


@pytest.mark.parametrize(
    ("number", "status", "begin"),
    [(signal.SIGINT, 130, "Interrupted; "), (signal.SIGTERM, 143, "Interrupted by SIGTERM; ")],
)
def test_a_command_that_waits_in_compiled_code_ends_all_the_same(number, status, begin):
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    worker = psutil.Process(int(process.stdout.readline()))
    process.send_signal(number)
    try:
        _, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    kept = "finished runs are kept in study, and 'cotune run 'a study.yaml'' goes on."
    assert (process.returncode, said) == (status, f"{begin}{kept}\n")
    assert not worker.is_running()
