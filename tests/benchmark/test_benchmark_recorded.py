import json

import numpy as np
import pytest
from benchmark_samples import table

from cotune.affinity import Affinity
from cotune.benchmark.recorded import RecordedTable, read_recorded, shipped_tables, write_recorded
from cotune.exceptions import InputError


def test_a_table_reads_as_it_was_written(tmp_path):
    written = table(single=tuple(range(18)), dropped={"odd": "too odd"}, provenance={"model": "Größe"})
    written.affinity.matrix[2, 5] = np.nan
    written.affinity.counts[2, 5] = 0
    path = tmp_path / "deep" / "table.json"
    write_recorded(written, path)
    found = read_recorded(path)
    for field in ("name", "scenario", "tasks", "families", "scale", "single", "dropped", "provenance"):
        assert getattr(found, field) == getattr(written, field)
    for field in ("matrix", "counts", "stderr"):
        np.testing.assert_array_equal(getattr(found.affinity, field), getattr(written.affinity, field))


def test_the_same_table_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_recorded(table(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 2}, "table.json: version: input should be 1, got 2."),
        ({"matrx": []}, "did you mean 'matrix'"),
        ({"families": ["a"]}, "families must have one entry for each of 18 tasks, got 1"),
        ({"matrix": [[1.0]]}, r"matrix must be 18 x 18, .* got shape \(1, 1\)"),
        ({"matrix": [[1.0], [1.0, 2.0]]}, "must be equally long"),
        ({"scale": "log"}, "scale must be one of row_zscore, two_way, none, got 'log'"),
        ({"tasks": ["a", "a"]}, "must be at least two different names"),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence(tmp_path, change, sentence):
    path = tmp_path / "table.json"
    write_recorded(table(), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=sentence):
        read_recorded(path)


def test_no_file_and_no_json_are_errors(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read as JSON"):
            read_recorded(path)


def test_a_part_of_a_table_keeps_rows_columns_and_families():
    whole = table(single=tuple(range(18)))
    part = whole.restricted(["task 7", "task 0"])
    assert part.families == ("family 2", "family 0")
    assert part.single == (7, 0)
    at = np.ix_([7, 0], [7, 0])
    np.testing.assert_array_equal(part.affinity.matrix, whole.affinity.matrix[at])
    with pytest.raises(InputError, match="has no task 'task 99'"):
        whole.restricted(["task 1", "task 99"])


def test_shipped_tables_are_complete_and_say_where_they_come_from():
    found = {one.scenario: one for one in shipped_tables()}
    functions = found["function_classes"]
    assert sorted(set(functions.families)) == ["linear", "relu", "tree"]
    assert len(functions.tasks) == 9
    for one in found.values():
        assert isinstance(one, RecordedTable)
        assert isinstance(one.affinity, Affinity)
        assert np.isfinite(one.affinity.matrix).all()
        assert {"date", "estimator", "runs", "learner"} <= set(one.provenance)
        assert not any("/home" in text or "/work" in text for text in one.provenance.values())
