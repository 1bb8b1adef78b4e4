import sqlite3

import numpy as np
import pytest

from cotune.exceptions import InputError
from cotune.studies.engine import RunRecord, open_store
from cotune.studies.grouping._runs import FeatureRun, FitRun, run_key
from cotune.training import Score


def record(key="k", **changes):
    score = Score(0.5, "nll", False, (0.25, 0.75))
    outcome = {"scores": {"a": score, "b": score}, "losses": (3.0, 2.0), "tokens": 120}
    usage = {"seconds": 1.5, "cpu_seconds": 1.25, "peak_bytes": 10, **changes}
    return RunRecord.of(key, FitRun(("a", "b"), 1, 2, "test"), **outcome, **usage)


def test_records_come_back_as_they_went_in(tmp_path):
    features = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays = {"features": features, "margins": np.array([0.5, np.nan])}
    described = RunRecord.of("f", FeatureRun(("a",), 0, 2, 3), arrays=arrays)
    told = RunRecord.of("p", FitRun(("a",), 0, 2, "test"), payload={"checkpoints": [{"step": 0}]})
    failed = RunRecord.of("e", FitRun(("a",), 0, 2, "test"), error="The loss became nan.")
    with open_store(tmp_path / "runs.sqlite") as store:
        store.put([record(), described, told, failed])
    with open_store(tmp_path / "runs.sqlite") as store:
        assert len(store) == 4
        assert store.keys() == {"k", "f", "p", "e"}
        found = store.get("k")
        assert found.scores == record().scores
        assert found.losses == (3.0, 2.0)
        assert (found.tokens, found.seconds, found.peak_bytes) == (120, 1.5, 10)
        assert found.identity["subset"] == ["a", "b"]
        assert store.get("f").arrays.keys() == arrays.keys()
        for name, array in store.get("f").arrays.items():
            assert array.dtype == arrays[name].dtype
            np.testing.assert_array_equal(array, arrays[name])
        assert store.get("p").payload == {"checkpoints": [{"step": 0}]}
        assert store.get("f").payload is None
        assert store.get("e").error == "The loss became nan."
        assert store.get("none") is None
        assert [r.key for r in store] == ["k", "f", "p", "e"]
        store.forget(["e"])
        assert store.get("e") is None


def test_a_store_with_other_columns_is_refused(tmp_path):
    path = tmp_path / "runs.sqlite"
    with open_store(path) as store:
        store.put([record("old")])
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE runs DROP COLUMN payload")
    with pytest.raises(InputError, match=r"is not a run store .*payload.* move it away"), open_store(path):
        pass


def test_a_record_replaces_one_of_the_same_key(tmp_path):
    with open_store(tmp_path / "runs.sqlite") as store:
        store.put([record(seconds=1.0)])
        store.put([record(seconds=2.0)])
        assert len(store) == 1
        assert store.get("k").seconds == 2.0


def test_a_transaction_is_whole_or_not(tmp_path):
    def records():
        yield record("one")
        raise KeyboardInterrupt

    with open_store(tmp_path / "runs.sqlite") as store:
        with pytest.raises(KeyboardInterrupt):
            store.put(records())
        assert len(store) == 0
        store.put([record("two")])
        assert store.keys() == {"two"}


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "runs.sqlite"
    path.write_text("not a data base, but long enough to be taken for one? no" * 40)
    before = path.read_bytes()
    with pytest.raises(InputError, match="is not a run store"), open_store(path):
        pass
    assert path.read_bytes() == before


def test_the_key_depends_on_all_that_determines_a_run_and_nothing_else(workshop):
    study = workshop.study()
    run = FitRun(("copy", "first"), 0, 4, "test")
    key = run_key(run, study.learner)
    assert key == run_key(FitRun(("copy", "first"), 0, 4, "test"), workshop.study(seed=3).learner)
    others = [
        FitRun(("copy", "last"), 0, 4, "test"),
        FitRun(("copy", "first"), 1, 4, "test"),
        FitRun(("copy", "first"), 0, 5, "test"),
        FitRun(("copy", "first"), 0, 4, "validation"),
    ]
    assert len({key, *(run_key(other, study.learner) for other in others)}) == 5
    learner = workshop.data["learner"]
    hotter = {**learner, "training": {**learner["training"], "learning_rate": 0.02}}
    assert run_key(run, workshop.study(learner=hotter).learner) != key
    wider = {**learner, "method": {"name": "lora", "r": 4}}
    assert run_key(run, workshop.study(learner=wider).learner) != key
    # Neither how many workers run it nor which other tasks the study has is the run's business.
    fewer = {**workshop.data["tasks"], "include": ["copy", "first", "last"]}
    assert run_key(run, workshop.study(tasks=fewer, executor={"workers": 2}).learner) == key
    # A changed example of a task in the subset is another run.
    file = workshop.tasks / "copy.json"
    file.write_text(file.read_text().replace("Given three words", "Given 3 words"))
    assert run_key(run, workshop.study().learner) != key
    assert run_key(FitRun(("first",), 0, 4, "test"), workshop.study().learner) == run_key(
        FitRun(("first",), 0, 4, "test"), study.learner
    )
