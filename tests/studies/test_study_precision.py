"""What ``precision: auto`` means is found out once for a study, and holds for all its processes."""

import json

import pytest

from cotune._config import parse
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models import precision as module
from cotune.studies import Study, plan_study, run_study
from cotune.studies.engine import artefact_record
from cotune.studies.tuning import TuneConfig, tune_task


@pytest.fixture
def measured(monkeypatch):
    """Let the measurement come out as it would on another processor, in this process."""

    def on_a_machine(speed):
        monkeypatch.setattr(module, "_measured_speed", lambda *_: speed)

    return on_a_machine


@pytest.fixture
def study(workshop):
    def make(precision, **changes):
        learner = {**workshop.data["learner"], "precision": precision}
        budgets = {"budgets": [1], "seeds": 1}
        return workshop.study(stem=precision, learner=learner, comparison=budgets, **changes)

    return make


def losses(result):
    return {record.key: record.scores for stage in result.stages for record in stage.records}


def test_workers_and_a_resumed_study_do_as_the_first_measurement_said(study, measured):
    measured(3.0)
    auto = study("auto", executor={"workers": 1})
    first = losses(run_study(auto))
    measured(0.3)
    # In a process of its own the worker would have measured something else.
    assert losses(run_study(study("bf16"))) == first
    assert losses(run_study(study("fp32"))) != first
    again = Study.load(auto.folder)
    result = run_study(again)
    assert [stage.reused for stage in result.stages] == [len(stage.records) for stage in result.stages]
    assert losses(result) == first
    report = (again.folder / "report.html").read_text()
    assert "bf16: bf16 measured 3 times as fast as fp32" in report
    adapters = sorted((again.folder / "adapters").iterdir())
    assert {artefact_record(folder)["reading"]["precision"] for folder in adapters} == {"bf16"}


def test_plan_and_folder_say_what_was_measured(study, measured):
    measured(0.6)
    auto = study("auto")
    sentence = "Precision fp32: bf16 measured 0.6 times as fast as fp32."
    assert sentence in plan_study(auto, measure=False).notes
    assert not auto.folder.exists()
    with auto.home.hold({"precision": auto.precision.to_dict()}):
        pass
    kept = json.loads((auto.folder / "study.json").read_text())
    assert kept["precision"] == {"precision": "fp32", "device": "cpu", "speed": 0.6}
    measured(2.0)
    assert sentence in plan_study(study("auto"), measure=False).notes
    for precision in ("fp32", "bf16"):
        given = study(precision)
        assert given.precision is None
        assert not any("Precision" in note for note in plan_study(given, measure=False).notes)


@pytest.mark.parametrize("content", ["", "[]", '{"precision": 3}', '{"precision": {"precision": "fp8"}}'])
def test_a_folder_that_does_not_say_it_is_measured_again(study, measured, content):
    auto = study("auto")
    auto.folder.mkdir()
    (auto.folder / "study.json").write_text(content)
    measured(2.0)
    assert study("auto").precision.precision == "bf16"


class Stops:
    """Ends a run at its first checkpoint, as if it had been killed there, or lets it end by itself."""

    def __init__(self, stops):
        self.stops, self.notes = stops, []

    def advance(self, title, done, total, detail=""):
        pass

    def checkpoint(self, stage, step, score):
        if self.stops:
            raise KeyboardInterrupt

    def note(self, text):
        self.notes.append(text)


def test_a_tuning_goes_on_and_is_found_again_whatever_is_measured_next(tmp_path, measured):
    (target,) = toy_tasks(["weighted"], train=16, validation=4, test=4)
    options = {"method": {"name": "lora", "r": 2}, "steps": 2, "checkpoint_every": 1}
    config = parse(TuneConfig, {"model": str(TOY_CHECKPOINT), **options}, "test")
    given = parse(TuneConfig, {"model": str(TOY_CHECKPOINT), "precision": "bf16", **options}, "test")
    measured(3.0)
    with pytest.raises(KeyboardInterrupt):
        tune_task(config, target, tmp_path / "auto", Stops(True))
    measured(0.3)
    result = tune_task(config, target, tmp_path / "auto", Stops(False))
    assert result.config["precision"] == "bf16"
    assert result.after == tune_task(given, target, tmp_path / "bf16", Stops(False)).after
    again = Stops(False)
    assert tune_task(config, target, tmp_path / "auto", again).key == result.key
    assert any("is finished already" in note for note in again.notes)
    # The configuration itself is as it was: elsewhere it means what this machine does well.
    fresh = tune_task(config, target, tmp_path / "fresh", Stops(False))
    assert fresh.config["precision"] == "fp32"
