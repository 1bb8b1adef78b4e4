"""Numbers in memory: masks are blanks, names are kept, rows and columns agree or are refused."""

import numpy as np
import pytest

import cotune
from cotune.affinity import table_of
from cotune.exceptions import InputError
from cotune.grouping import SDPClustering

pd = pytest.importorskip("pandas")

NAMES = ["nli", "qa", "sum", "tag"]
BLOCKS = np.array([[4.0, 3, 0, 1], [3, 4, 1, 0], [0, 1, 4, 3], [1, 0, 3, 4]])


def frame(index=NAMES, columns=NAMES, values=BLOCKS):
    return pd.DataFrame(values, index=index, columns=columns)


def test_names_of_columns_are_those_of_the_tasks():
    assert cotune.group(frame(), n_clusters=2).members == [("nli", "qa"), ("sum", "tag")]
    assert cotune.group(frame(index=None), n_clusters=2).members == [("nli", "qa"), ("sum", "tag")]
    fitted = SDPClustering(2).fit(frame())
    assert list(fitted.feature_names_in_) == NAMES
    assert not hasattr(fitted.fit(BLOCKS), "feature_names_in_")


def test_rows_in_another_order_are_put_in_that_of_the_columns():
    shuffled = frame().loc[["tag", "nli", "sum", "qa"]]
    table = table_of(shuffled)
    assert np.array_equal(table.affinity.matrix, table_of(frame()).affinity.matrix)
    assert table.notes == ("rows put in the order of the columns, by their names",)
    assert not table_of(frame()).notes
    groups = cotune.group(shuffled, n_clusters=2)
    assert groups.members == [("nli", "qa"), ("sum", "tag")]
    assert "  rows put in the order of the columns, by their names" in groups.sentences()
    assert list(SDPClustering(2).fit(shuffled).labels_) == [0, 0, 1, 1]


def test_rows_called_otherwise_than_the_columns_are_refused():
    other = frame(index=["nli", "qa", "sum", "ner"])
    for use in (table_of, cotune.group, SDPClustering(2).fit):
        with pytest.raises(InputError, match=r"rows called 'ner' and columns called 'tag': both must name"):
            use(other)
    with pytest.raises(InputError, match='needs kind="score table"'):
        table_of(frame(index=["a", "b", "c", "d"]))
    with pytest.raises(InputError, match="each once"):
        table_of(frame(index=["nli", "nli", "qa", "sum"]))
    scores = table_of(frame(index=["a", "b", "c", "d"]), kind="score table")
    assert (scores.tasks, scores.n_runs) == (tuple(NAMES), 4)


def test_masked_entries_are_blanks_and_never_numbers():
    values = np.where(np.eye(4, dtype=bool), 1e6, BLOCKS)
    masked = np.ma.masked_array(values, mask=np.eye(4, dtype=bool))
    table = table_of(masked)
    assert np.isnan(np.diag(table.affinity.matrix)).all()
    assert not table.affinity.counts.diagonal().any()
    with pytest.raises(InputError, match="4 of its 16 entries are NaN"):
        SDPClustering(2).fit(masked)
    whole = np.ma.masked_array(BLOCKS)
    assert list(SDPClustering(2).fit(whole).labels_) == [0, 0, 1, 1]


def test_a_missing_number_of_pandas_is_a_blank():
    scores = pd.DataFrame({"nli": [1.0, 2.0, None], "qa": [None, 3.0, 4.0]}).convert_dtypes()
    read = table_of(scores, kind="score table").scores
    assert np.array_equal(np.isnan(read), [[False, True], [False, False], [True, False]])


def test_what_is_no_table_is_still_told():
    for values in ([[1, 2], [3]], [["a", "b"], ["c", "d"]]):
        with pytest.raises(InputError, match="numbers alone"):
            table_of(values)
