"""What follows from many runs is worked out once, told again at once, and never of other runs."""

import dataclasses
import json
import shutil
import sqlite3
from collections import Counter

import numpy as np
import pytest
import yaml

from cotune.studies import Study, collect_study, run_study, study_status
from cotune.studies.doctor import examine
from cotune.studies.engine import _kept_status, _runner, _store, _study, open_store
from cotune.studies.grouping import _asked, _grouping, _kept
from cotune.studies.grouping import _study as _of_grouping


def study_of(folder, affinity=None, **grouping):
    data = {
        "name": "many",
        "learner": {"kind": "planted", "tasks": 6, "groups": 2, "noise": 0.1},
        "affinity": affinity or {"estimator": "higher_order", "subset_size": 3, "subsets": 12},
        "grouping": grouping,
        "comparison": {"budgets": [4], "seeds": 2, "arms": ["grouped", "single"]},
        "executor": {"workers": 0},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(data))
    return Study.load(folder / "study.yaml")


def all_are_many(patch):
    for module in (_study, _runner, _kept, _asked, _of_grouping):
        patch.setattr(module, "MANY", 1)


@pytest.fixture
def calls(monkeypatch):
    """Count what takes long, of studies all of which have many runs."""
    all_are_many(monkeypatch)
    counted = Counter()

    def count(module, name):
        before = getattr(module, name)

        def counting(*args, **kwargs):
            counted[name] += 1
            return before(*args, **kwargs)

        monkeypatch.setattr(module, name, counting)

    count(_grouping, "gain_groups")
    count(_grouping, "group_stability")
    count(_grouping, "other_groups")
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
    worked = {"gain_groups": 1, "group_stability": 1, "other_groups": 1}
    first = collect_study(study_of(place))
    assert calls == worked
    again = collect_study(study_of(place))
    study_status(study_of(place))
    run_study(study_of(place))
    assert calls == {**worked, "_status": 1}
    assert again.groups.to_dict() == first.groups.to_dict()
    assert again.groups.answer() == first.groups.answer()
    assert again.report.read_text() == first.report.read_text()
    assert sorted(file.suffix for file in (place / "study" / "shared").glob("groups-*")) == [
        *([".npz"] * 3),
        *([".sha256"] * 3),
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


@pytest.fixture(scope="module")
def noted(done, tmp_path_factory):
    """The study after its runs noted what they were to be, and which groups followed."""
    folder = shutil.copytree(done, tmp_path_factory.mktemp("noted") / "study")
    with pytest.MonkeyPatch.context() as patch:
        all_are_many(patch)
        run_study(study_of(folder))
    return folder


@pytest.fixture
def followed(noted, tmp_path, calls):
    return shutil.copytree(noted, tmp_path / "copy")


def store_key(store, split, number):
    keys = sorted(record.key for record in store if record.identity["split"] == split)
    return keys[number]


def forget(place, split, *numbers):
    with open_store(place / "study" / "runs.sqlite") as store:
        store.forget([store_key(store, split, number) for number in numbers])


def worked_out(place):
    """Return what a status says that is worked out of all scores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_study, "MANY", 1 << 30)
        patch.setattr(_asked.KeptAsked, "read", lambda self, rows: None)
        return told(study_status(study_of(place)))


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_status_while_runs_are_done_reads_no_score_of_the_affinity(followed, calls, monkeypatch, split):
    forget(followed, split, 0, 2)
    expected = worked_out(followed)
    calls.clear()
    read = []
    before = _store.record_of
    monkeypatch.setattr(_store, "record_of", lambda row: read.append(before(row)) or read[-1])
    found = study_status(study_of(followed))
    assert told(found) == expected
    assert not found.complete
    assert {record.identity["split"] for record in read} == ({"test"} if split == "test" else set())
    assert calls == {"_status": 1}
    assert (found.known["groups"] is None) == (split == "validation")


def test_a_status_counts_the_runs_of_the_affinity_that_failed(followed):
    with open_store(followed / "study" / "runs.sqlite") as store:
        record = store.get(store_key(store, "validation", 1))
        store.put([dataclasses.replace(record, scores={}, error="no memory was left")])
    forget(followed, "validation", 0)
    found = study_status(study_of(followed))
    assert told(found) == worked_out(followed)
    assert found.errors == ("no memory was left",)


def test_groups_that_were_not_found_yet_are_not_looked_for_by_a_status(followed, calls):
    shutil.rmtree(followed / "study" / "shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_of_grouping.GroupingStudy, "_groups", lambda *_, **__: 1 // 0)  # a run killed there
        with pytest.raises(ZeroDivisionError):
            run_study(study_of(followed))
    calls.clear()
    found = study_status(study_of(followed))
    assert calls == {"_status": 1}
    assert found.known["groups"] is None
    assert [stage.wanted for stage in found.stages] == [18, None]
    assert not found.complete
    assert found.sentences() == [
        "The groups of the 18 runs for the affinity are not found yet: 'cotune run' finds them, or 'report'."
    ]
    collect_study(study_of(followed))
    assert study_status(study_of(followed)).known["groups"] is not None


def test_groups_are_those_of_the_scores_that_are_stored(followed, calls):
    with open_store(followed / "study" / "runs.sqlite") as store:
        record = store.get(store_key(store, "validation", 1))
        task, score = next(iter(record.scores.items()))
        store.put(
            [dataclasses.replace(record, scores={**record.scores, task: dataclasses.replace(score, value=9)})]
        )
    assert study_status(study_of(followed)).known["groups"] is None
    run_study(study_of(followed))
    assert told(study_status(study_of(followed))) == worked_out(followed)


def test_a_damaged_row_is_not_counted_and_groups_are_not_known_without_it(followed):
    damage_a_row(followed)
    found = study_status(study_of(followed))
    assert told(found) == worked_out(followed)
    assert found.known["groups"] is None
    assert any("is damaged" in line for line in found.sentences())


def test_runs_that_depend_on_scores_are_counted_by_those_scores(tmp_path, calls):
    adaptive = {"estimator": "adaptive", "subset_size": 3, "batch": 3, "runs_per_task": 2}
    with pytest.MonkeyPatch.context() as patch:
        noted = []
        before = _asked.KeptAsked.ask_further
        patch.setattr(_asked.KeptAsked, "ask_further", lambda self: noted.append(before(self)))
        run_study(study_of(tmp_path, adaptive))
    assert noted
    expected = told(study_status(study_of(tmp_path, adaptive)))
    assert expected["complete"]
    assert told(study_status(study_of(tmp_path, adaptive))) == expected
    forget(tmp_path, "test", 0)
    assert told(study_status(study_of(tmp_path, adaptive)))["groups"] == expected["groups"]
    forget(tmp_path, "validation", 0)
    found = study_status(study_of(tmp_path, adaptive))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_asked.KeptAsked, "read", lambda self, rows: None)
        assert told(found) == told(study_status(study_of(tmp_path, adaptive)))
    assert found.known["groups"] is None
