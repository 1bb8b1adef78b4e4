import json
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cotune.exceptions import DamageError, InputError, StorageError
from cotune.studies.engine import RunRecord, open_store
from cotune.studies.grouping._runs import FeatureRun, FitRun, run_key
from cotune.training import Score


def record(key="k", **changes):
    score = Score(0.5, "nll", False, (0.25, 0.75))
    outcome = {"scores": {"a": score, "b": score}, "losses": (3.0, 2.0), "tokens": 120}
    usage = {"seconds": 1.5, "cpu_seconds": 1.25, "peak_bytes": 10}
    found = RunRecord.of(key, FitRun(("a", "b"), 1, 2, "test"), **{**outcome, **usage, **changes})
    return replace(found, identity=json.loads(json.dumps(found.identity)))


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
    with pytest.raises(InputError, match=r"is not a run store .*payload.*name another"), open_store(path):
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


@pytest.mark.parametrize("writable", [True, False])
def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path, writable):
    path = tmp_path / "runs.sqlite"
    path.write_text("not a data base, but long enough to be taken for one? no" * 40)
    before = path.read_bytes()
    refused = pytest.raises(InputError, match="is not a run store")
    with refused as caught, open_store(path, writable=writable):
        pass
    assert "away" not in str(caught.value), "nobody is told to move a store away"
    assert path.read_bytes() == before


def old_store(path, records):
    """Write a store of version 0, as it was before rows had checksums."""
    with open_store(path) as store:
        store.put(records)
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE runs DROP COLUMN checksum")
        db.execute("PRAGMA user_version = 0")


def columns(path):
    with sqlite3.connect(path) as db:
        return [row[1] for row in db.execute("PRAGMA table_info(runs)")]


def test_a_store_without_checksums_is_read_as_it_is_and_gets_them_when_it_is_written(tmp_path):
    path = tmp_path / "runs.sqlite"
    old_store(path, [record("a"), record("b"), record("c")])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE runs SET scores = '{\"a\": {' WHERE key = 'b'")
    with open_store(path, writable=False) as store:
        assert [r.key for r in store] == ["a", "c"]
        assert (store.get("b"), store.damaged, store.migrated) == (None, {"b"}, False)
    assert "checksum" not in columns(path), "who only looks changes nothing"
    with open_store(path) as store:
        assert store.migrated
        assert store.get("a") == record("a")
        assert store.unsound() == [2], "what cannot be read has no checksum that fits"
    with sqlite3.connect(path) as db:
        db.execute("UPDATE runs SET tokens = tokens + 1 WHERE key = 'c'")
    with open_store(path) as store:
        assert not store.migrated
        assert (store.get("c"), store.damaged) == (None, {"c"})


def test_a_store_of_a_newer_version_is_refused_whoever_asks(tmp_path):
    path = tmp_path / "runs.sqlite"
    with open_store(path) as store:
        store.put([record()])
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        db.execute("PRAGMA user_version = 2")
    for writable in (True, False):
        with (
            pytest.raises(InputError, match=r"newer cotune \(version 2 of the store, this one knows 1\)"),
            open_store(path, writable=writable),
        ):
            pass


CHANGES = {
    "kind": "'fot'",
    "identity": "replace(identity, 'a', 'b')",
    "scores": "replace(scores, '0.5', '0.6')",
    "losses": "'[3.0, 2.5]'",
    "features": "x'504b0304'",
    "tokens": "121",
    "error": "'no error'",
    "seconds": "1.75",
    "cpu_seconds": "seconds",
    "peak_bytes": "11",
    "finished": "'2001-01-01T00:00:00Z'",
    "payload": "'{}'",
    "checksum": "NULL",
}


@pytest.mark.parametrize("column", CHANGES)
def test_a_row_that_is_not_what_was_written_counts_as_missing(tmp_path, column):
    path = tmp_path / "runs.sqlite"
    with open_store(path) as store:
        store.put([record("spoilt"), record("whole")])
    assert set(CHANGES) | {"key"} == set(columns(path))
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE runs SET {column} = {CHANGES[column]} WHERE key = 'spoilt'")
    with open_store(path) as store:
        assert store.get("spoilt") is None
        assert store.get("whole") == record("whole")
        assert [r.key for r in store] == ["whole"]
        assert store.damaged == {"spoilt"}
        store.drop(store.unsound())
        assert store.keys() == {"whole"}


def test_who_looks_on_sees_what_a_killed_writer_left(tmp_path):
    """The write-ahead log of a process that was killed is read, from a folder that cannot be written too."""
    path = tmp_path / "runs.sqlite"
    script = (
        "import os, pathlib, sys; sys.path.insert(0, sys.argv[2]); from test_study_store import *\n"
        "with open_store(pathlib.Path(sys.argv[1])) as store:\n"
        "    store.put([record('a')]); store.put([record('b')]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(path), str(Path(__file__).parent)], check=False)
    assert path.with_name("runs.sqlite-wal").stat().st_size > 0, "the file system has a write-ahead log"
    with open_store(path, writable=False) as store:
        assert store.keys() == {"a", "b"}
    with open_store(path) as store:
        store.put([record("c")])
        with open_store(path, writable=False) as looking:
            assert looking.keys() == {"a", "b", "c"}
    assert [file.name for file in tmp_path.iterdir()] == ["runs.sqlite"], "at rest it is one file"


def test_a_store_that_is_taken_away_is_not_written_on(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    with open_store(folder / "runs.sqlite") as store:
        store.put([record("a")])
        shutil.rmtree(folder)
        with pytest.raises(StorageError, match=r"runs.sqlite is gone: it was moved or taken away"):
            store.put([record("b")])
    assert not folder.exists()


def test_what_the_disk_refuses_is_said(tmp_path, monkeypatch):
    path = tmp_path / "runs.sqlite"
    path.mkdir()
    with pytest.raises(StorageError, match=r"runs\.sqlite cannot be written: it is a folder"):
        open_store(path).__enter__()
    path.rmdir()
    monkeypatch.setattr("cotune.studies.engine._store._SECONDS_FOR_OTHERS", 0.05)
    with open_store(path) as store:
        store.put([record("a")])
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError, match="is held by another program, such as a viewer"):
                store.put([record("b")])
            other.execute("ROLLBACK")
        store._db.execute("PRAGMA max_page_count = 1")
        big = record("c", losses=tuple(range(10_000)))
        with pytest.raises(StorageError, match="cannot be written: no room is left on its disk; make room"):
            store.put([big])
        assert store.keys() == {"a"}


def test_a_damaged_file_is_told_from_one_that_is_no_store(tmp_path):
    path = tmp_path / "runs.sqlite"
    with open_store(path) as store:
        store.put([record(str(number)) for number in range(60)])
    content = bytearray(path.read_bytes())
    content[8192:12288] = bytes(4096)
    path.write_bytes(content)
    with open_store(path) as store, pytest.raises(DamageError, match=r"runs.sqlite is damaged .*doctor"):
        store.unsound()


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
