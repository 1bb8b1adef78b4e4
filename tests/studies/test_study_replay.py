"""Replayed text in studies: found from the study's folder, part of what identifies a run, told in records."""

import pytest

from cotune._config import parse
from cotune.exceptions import InputError
from cotune.lab.toy_language import TOY_CHECKPOINT, ToyLanguageText, toy_tasks
from cotune.studies import plan_study, run_study
from cotune.studies.engine import open_store, seen
from cotune.studies.tuning import TuneConfig, TuneResult, tune_task

REPLAY = {"text": {"source": "files", "path": "corpus.txt"}, "seq_len": 8, "ratio": 0.5}


class Silent:
    """Is told nothing."""

    def advance(self, title, done, total, detail=""):
        pass

    def checkpoint(self, stage, step, score):
        pass

    def note(self, text):
        pass


def write_text(folder, n_documents=20):
    """Write text that neither model finds so strange that its loss explodes."""
    documents = ToyLanguageText(n_documents=n_documents).documents(folder)
    (folder / "corpus.txt").write_text("\n".join(document.text for document in documents))


def records(study, kind):
    with open_store(study.home.store) as store:
        return [record for record in store if record.kind == kind]


def test_what_there_is_none_of_is_not_recorded():
    assert seen({}, ()) == {}
    assert seen({}, (None, None)) == {}
    assert seen({"copy": 3}, (None, 0.5)) == {"instructions": {"copy": 3}, "replay_losses": [None, 0.5]}


@pytest.mark.parametrize("scheme", ["round_robin", "uniform", "proportional"])
def test_fits_of_a_grouping_study_see_the_same_number_of_instructions(workshop, scheme):
    write_text(workshop.folder)
    learner = workshop.data["learner"]
    recipe = {**learner["training"], "scheme": {"name": scheme}, "replay": REPLAY}
    study = workshop.study(
        learner={**learner, "training": recipe}, comparison={"budgets": [1], "seeds": 1, "arms": ["joint"]}
    )
    run_study(study)
    fits = records(study, "fit")
    assert fits
    for fit in fits:
        assert sum(fit.payload["instructions"].values()) == 2 * fit.identity["steps"]
        assert set(fit.payload["instructions"]) <= set(fit.identity["subset"])
        assert len(fit.payload["replay_losses"]) == fit.identity["steps"]
        assert None not in fit.payload["replay_losses"]


def test_fits_without_examples_have_no_payload(planted):
    study = planted.study()
    run_study(study)
    assert {record.payload for record in records(study, "fit")} == {None}


def test_a_retention_study_replays_and_tells_texts_apart(retention):
    write_text(retention.folder)
    training = {**retention.data["training"], "replay": REPLAY}
    reader = {"reader": "toy_language", "max_examples": {"train": 16, "validation": 2, "test": 2}}
    changes = {
        "training": training,
        "methods": retention.data["methods"][1:],
        "tasks": {**reader, "include": ["weighted", "copy"]},
        "checkpoint_every": 3,
        "in_context": {"shots": [1], "draws": 1},
    }
    study = retention.study(**changes)
    assert plan_study(study).wall_seconds > 0
    data = run_study(study).data
    assert data.failures == ()
    (record,) = records(study, "tune")
    # Two steps on the prompt and three on the weights, of four examples; text only beside the latter.
    assert record.payload["instructions"] == {"weighted": 5 * 4}
    losses = record.payload["replay_losses"]
    assert [loss is None for loss in losses] == [True, True, False, False, False]

    (run,) = set(study.cells.values())
    write_text(retention.folder, 10)
    other = retention.study(**changes)
    assert other.key(run) != study.key(run)
    run_study(other)
    first, second = records(other, "tune")
    assert first.payload["replay_losses"] != second.payload["replay_losses"]
    assert len(list(study.stages.glob("*.json"))) == 1, "the first stage sees no text and is the same"


def test_a_retention_study_without_text_records_no_loss_of_it(retention):
    study = retention.study(methods=[{"name": "full"}])
    run_study(study)
    (record,) = records(study, "tune")
    assert record.payload["instructions"] == {"weighted": 3 * 4}
    assert "replay_losses" not in record.payload


def test_a_tuned_model_tells_what_it_saw_and_other_text_is_another_run(tmp_path):
    write_text(tmp_path)
    (target,) = toy_tasks(["weighted"], train=16, validation=4, test=4)
    options = {
        "model": str(TOY_CHECKPOINT),
        "precision": "fp32",
        "method": {"name": "lora", "r": 2},
        "steps": 2,
        "checkpoint_every": 2,
        "training": {"batch_size": 4, "replay": REPLAY},
    }
    config = parse(TuneConfig, options, "test")
    out = tmp_path / "out"
    result = tune_task(config, target, out, Silent(), base=tmp_path)
    assert result.instructions == {"weighted": 2 * 4}
    assert len(result.replay_losses) == 2
    assert None not in result.replay_losses
    again = TuneResult.find(out)
    assert (again.instructions, list(again.replay_losses)) == (result.instructions, result.replay_losses)
    assert tune_task(config, target, out, Silent(), base=tmp_path).key == result.key
    write_text(tmp_path, 10)
    with pytest.raises(InputError, match="a model of another run"):
        tune_task(config, target, out, Silent(), base=tmp_path)
    plain = parse(TuneConfig, {**options, "training": {"batch_size": 4}}, "test")
    alone = tune_task(plain, target, tmp_path / "alone", Silent(), base=tmp_path)
    assert alone.replay_losses == ()
    assert alone.instructions == result.instructions
