"""What follows from many runs is worked out once, told again at once, and never of other runs."""

import json
import shutil
import sqlite3
from collections import Counter

import numpy as np
import pytest
import yaml

from cotune.studies import Study, collect_study, run_study, study_status
from cotune.studies.doctor import examine
from cotune.studies.engine import _kept_status, _study, open_store
from cotune.studies.grouping import _grouping, _kept


def study_of(folder, **grouping):
    data = {
        "name": "many",
        "learner": {"kind": "planted", "tasks": 6, "groups": 2, "noise": 0.1},
        "affinity": {"estimator": "higher_order", "subset_size": 3, "subsets": 12},
        "grouping": grouping,
        "comparison": {"budgets": [4], "seeds": 2, "arms": ["grouped", "single"]},
        "executor": {"workers": 0},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(data))
    return Study.load(folder / "study.yaml")


@pytest.fixture
def calls(monkeypatch):
    """Count what takes long, of studies all of which have many runs."""
    monkeypatch.setattr(_study, "MANY", 1)
    monkeypatch.setattr(_kept, "MANY", 1)
    counted = Counter()

    def count(module, name):
        before = getattr(module, name)

        def counting(*args, **kwargs):
            counted[name] += 1
            return before(*args, **kwargs)

        monkeypatch.setattr(module, name, counting)

    count(_grouping, "gain_groups")
    count(_grouping, "group_stability")
    count(Study, "_status")
    return counted


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A study of which nothing was kept yet."""
    folder = tmp_path_factory.mktemp("many")
    run_study(study_of(folder))
    return folder


@pytest.fixture
def place(done, tmp_path):
    return shutil.copytree(done, tmp_path / "copy")


def told(status):
    return json.loads(json.dumps(status.to_dict()))


def test_groups_are_worked_out_once_of_the_same_runs(place, calls):
    first = collect_study(study_of(place))
    assert calls == {"gain_groups": 1, "group_stability": 1}
    again = collect_study(study_of(place))
    study_status(study_of(place))
    run_study(study_of(place))
    assert calls == {"gain_groups": 1, "group_stability": 1, "_status": 1}
    assert again.groups.to_dict() == first.groups.to_dict()
    assert again.groups.answer() == first.groups.answer()
    assert again.report.read_text() == first.report.read_text()
    assert sorted(file.suffix for file in (place / "study" / "shared").glob("groups-*")) == [
        *([".npz"] * 2),
        *([".sha256"] * 2),
    ]
    assert examine(place / "study.yaml").healthy


@pytest.mark.parametrize("n", [6, 17])
def test_kept_groups_are_those_that_were_kept(n, tmp_path):
    rng = np.random.default_rng(n)
    inside = np.vstack([np.eye(n, dtype=bool), rng.random((3 * n, n)) < 0.3])
    inside = inside[inside.any(1)]
    scores = np.where(inside, rng.normal(1.0, 0.2, inside.shape), np.nan)
    options = {"unit": "own_score"}

    def make():
        return _grouping.gain_groups(inside, scores, draws=20)

    kept = _kept.Kept(tmp_path, writable=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kept, "MANY", 1)
        found = kept.gain_groups(scores, options, make)
        again = kept.gain_groups(scores, options, lambda: pytest.fail("they were kept"))
        assert again.prediction == found.prediction
        for name in ("labels", "over_alone", "over_together", "by_task", "bound", "exact", "undecided"):
            assert getattr(again, name) == getattr(found, name)
        for labels in (np.arange(n), np.arange(n) % 2, rng.integers(0, 3, n)):
            assert again.value_of(labels) == found.value_of(labels)
        scores[0, 0] += 1e-9
        with pytest.raises(ZeroDivisionError):
            kept.gain_groups(scores, options, lambda: 1 // 0)


def test_a_status_is_told_again_without_reading_what_was_scored(place, calls, monkeypatch):
    first = study_status(study_of(place))
    monkeypatch.setattr(
        "cotune.studies.engine._store.record_of", lambda row: pytest.fail("a record was read")
    )
    again = study_status(study_of(place))
    assert told(again) == told(first)
    assert again.complete
    assert again.sentences() == first.sentences()
    assert calls["_status"] == 1


def test_a_run_keeps_the_status_for_who_asks_after_it(place, calls):
    remove_a_run(place)
    run_study(study_of(place))
    assert calls["_status"] == 1
    assert study_status(study_of(place)).complete
    assert calls["_status"] == 1


def remove_a_run(place):
    with open_store(place / "study" / "runs.sqlite") as store:
        store.forget([min(store.keys())])


def damage_a_row(place):
    with sqlite3.connect(place / "study" / "runs.sqlite") as db:
        db.execute("UPDATE runs SET seconds = seconds + 1 WHERE rowid = 3")


def other_groups(place):
    study_of(place, n_clusters=3)


def a_task_came_later(place):
    file = place / "study" / "shared" / "arrivals.json"
    file.write_text(json.dumps({"arrivals": [["task-0001"]]}))


def another_version(place):
    file = place / "study" / "shared" / "status.json"
    file.write_text(file.read_text().replace('"done": ', '"done": 1'))


@pytest.mark.parametrize(
    "change", [remove_a_run, damage_a_row, other_groups, a_task_came_later, another_version]
)
def test_a_status_of_anything_else_is_told_anew(place, calls, change):
    study_status(study_of(place))
    assert (place / "study" / "shared" / _kept_status._FILE).is_file()
    change(place)
    found = study_status(Study.load(place / "study.yaml"))
    assert calls["_status"] == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_study, "MANY", 1 << 30)
        assert told(found) == told(study_status(Study.load(place / "study.yaml")))
    assert any("is damaged" in line for line in found.sentences()) == (change is damage_a_row)
    if change is damage_a_row:  # it is said every time
        assert told(study_status(Study.load(place / "study.yaml"))) == told(found)


def test_nothing_is_kept_where_nothing_can_be_written(place, calls, monkeypatch):
    def refuse(path, text):
        raise _kept_status.StorageError("no")

    monkeypatch.setattr(_kept_status, "write_text", refuse)
    assert study_status(study_of(place)).complete
    assert study_status(study_of(place)).complete
    assert calls["_status"] == 2
