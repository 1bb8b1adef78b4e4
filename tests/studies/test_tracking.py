"""Trackers of accelerate: told of every run as it ends, refused where missing, spared where they fail."""

import json

import numpy as np
import pytest
from accelerate.tracking import (
    LOGGER_TYPE_TO_CLASS,
    GeneralTracker,
    get_available_trackers,
    register_tracker_class,
)

from cotune.exceptions import InputError
from cotune.studies import plan_study, run_study
from cotune.studies.engine import RunRecord
from cotune.studies.engine._tracking import Tracking
from cotune.training.learner import Score


class Lines(GeneralTracker):
    """Writes a line for all that it is told, as a tracker of somebody's own."""

    name = "lines"
    requires_logging_directory = True
    fails_at = None

    def __init__(self, run_name, logging_dir, **_):
        super().__init__()
        self._place, self._told = f"{logging_dir}/{run_name}", 0

    def start(self):
        from pathlib import Path

        self._file = Path(self._place)
        self._file.parent.mkdir(parents=True, exist_ok=True)

    @property
    def tracker(self):
        return self._file

    def store_init_configuration(self, values):
        self._write({"config": values})

    def log(self, values, step=None, **_):
        self._told += 1
        if self._told == self.fails_at:
            raise ConnectionError("the service is gone\nand so on")
        self._write({"step": step, **values})

    def finish(self):
        self._write({"end": True})

    def _write(self, values):
        with self._file.open("a") as stream:
            stream.write(json.dumps(values) + "\n")


@pytest.fixture
def lines(monkeypatch):
    """Let accelerate know the tracker, for one test."""
    register_tracker_class(Lines)
    yield Lines
    del LOGGER_TYPE_TO_CLASS["lines"]


def read(study):
    (file,) = (study.folder / "tracked").iterdir()
    return [json.loads(line) for line in file.read_text().splitlines()]


class Notes:
    def __init__(self):
        self.notes = []

    def stage(self, *_):
        pass

    def finished(self, _):
        pass

    def note(self, text):
        self.notes.append(text)


def test_a_tracker_is_told_the_file_and_every_run_once(planted, lines):
    study = planted.study(executor={"workers": 0, "track": ["lines"]})
    result = run_study(study)
    first, *rows, last = read(study)
    assert first["config"]["learner.kind"] == "planted"
    assert first["config"]["executor.workers"] == 0
    assert last == {"end": True}
    records = [record for stage in result.stages for record in stage.records]
    assert len(rows) == len(records)
    (title,) = {stage.title for stage in result.stages}
    told = sorted(
        row[f"{title}/score/{task}"]
        for row in rows
        for task in study.learner.tasks
        if f"{title}/score/{task}" in row
    )
    assert told == sorted(score.value for record in records for score in record.scores.values())
    run_study(planted.study(executor={"workers": 0, "track": ["lines"]}))
    assert read(study)[len(rows) + 2 :] == [first, last]  # nothing was done again


def test_losses_are_a_curve_over_the_steps_of_the_study(lines, tmp_path):
    tracker = Lines("run", tmp_path)
    tracker.start()
    told = Tracking([tracker], 1000, print)
    losses = tuple(np.linspace(4, 2, 170).tolist())
    told.finished(
        "comparison",
        RunRecord("k", "fit", {}, {"copy": Score(0.5, "accuracy", True, ())}, losses, seconds=3.0),
    )
    told.finished("comparison", RunRecord("l", "fit", {}, losses=(1.0, 0.5)))
    rows = [json.loads(line) for line in (tmp_path / "run").read_text().splitlines()]
    curve = [(row["step"], row["comparison/loss"]) for row in rows if "comparison/loss" in row]
    assert len(curve) == 52
    assert [step for step, _ in curve] == sorted({step for step, _ in curve})
    assert curve[-3][0] == 1170
    assert curve[-2:] == [(1171, 1.0), (1172, 0.5)]
    assert np.average(
        [v for _, v in curve[:50]], weights=np.diff([1000, *(s for s, _ in curve[:50])])
    ) == pytest.approx(3)
    assert {
        "step": 1170,
        "comparison/score/copy": 0.5,
        "comparison/seconds": 3.0,
        "comparison/failed": 0.0,
    } in rows


def test_a_tracker_that_fails_is_said_and_the_study_goes_on(planted, lines, monkeypatch):
    monkeypatch.setattr(Lines, "fails_at", 3)
    study, events = planted.study(executor={"workers": 0, "track": ["lines"]}), Notes()
    assert run_study(study, events).groups is not None
    assert (
        "The tracker lines failed (ConnectionError: the service is gone); the study goes on without it."
        in events.notes
    )
    assert len(read(study)) == 3


def test_a_tracker_that_is_missing_is_told_before_anything_is_done(planted):
    for name, sentence in {
        "tensorbord": r"accelerate has no tracker 'tensorbord' \(did you mean 'tensorboard'\?\)",
        "wandb": r"tracker 'wandb' needs a package that is not installed: pip install wandb",
    }.items():
        if name in map(str, get_available_trackers()):
            continue
        study = planted.study(executor={"workers": 0, "track": [name]})
        with pytest.raises(InputError, match=sentence):
            run_study(study)
        with pytest.raises(InputError, match=sentence):
            plan_study(study)
        assert not study.folder.exists()


def test_runs_are_the_same_whoever_is_told(planted, lines):
    study = planted.study()
    told = planted.study("told", executor={"workers": 0, "track": ["lines"]})
    runs = study.config.estimator.planned(study.learner, study.config.seed)
    assert [study.key(run) for run in runs] == [told.key(run) for run in runs]
