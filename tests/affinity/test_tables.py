"""Each kind of table that people have: read right, or refused with the setting that settles it."""

import csv
import re

import numpy as np
import pytest
from table_dialects import planted_runs, score_matrix, write_rows

import cotune
from cotune.affinity import read_table
from cotune.exceptions import InputError, SettingError

TASKS, RUNS = planted_runs(1)
N = ["a", "b", "c", "d", "e", "f"]
SCORES = score_matrix(TASKS, RUNS)
SUBSETS = [[N[TASKS.index(task)] for task in run] for run in RUNS]


def cells(write=lambda v: f"{v:.4f}", blank=""):
    return [[blank if np.isnan(v) else write(v) for v in row] for row in SCORES]


def full_rows():
    return cells(blank="0.5000")


def pairs_of(rows, beside):
    return [
        [text for cell in row for text in (cell, *(beside if cell else [""] * len(beside)))] for row in rows
    ]


def long_rows(header, row):
    return [header, *(row(i, N[TASKS.index(t)], v) for i, run in enumerate(RUNS) for t, v in run.items())]


def labelled(name, labels, rows):
    return [[name, *N], *([label, *row] for label, row in zip(labels, rows, strict=True))]


def with_last(*rows):
    return [["run", *N], *([f"r{i}", *row] for i, row in enumerate(cells())), *rows]


def text_of(rows, separator=","):
    return "\n".join(separator.join(row) for row in rows) + "\n"


def stat_row(statistic):
    return [f"{value:.4f}" for value in statistic(SCORES)]


BESIDE_ERRORS = "read as the scores' standard errors"
READ = {
    "index of pandas": (labelled("", map(str, range(24)), cells()), "without a name (counts 0, 1, 2, ...)"),
    "rows out of order": (
        labelled("", map(str, np.random.default_rng(0).permutation(24)), cells()),
        "without a name",
    ),
    "two label columns": (
        [["model", "note", *N], *([f"lora-{i}", "ok", *row] for i, row in enumerate(cells()))],
        "left out: column 'note' (text: ok)",
    ),
    "run and seed": (
        [["run", "seed", *N], *([f"r{i // 2}", str(i % 2), *row] for i, row in enumerate(cells()))],
        "left out: column 'seed' (whole numbers 0, 1)",
    ),
    "subset column and all scores": (
        labelled("subset", map("+".join, SUBSETS), full_rows()),
        "70 scores of other tasks",
    ),
    "subsets as lists": (labelled("tasks", map(str, SUBSETS), full_rows()), "'tasks' lists the tasks"),
    "subsets with spaces": (
        labelled("trained on", map(" ".join, SUBSETS), full_rows()),
        "'trained on' lists",
    ),
    "mean row": (
        with_last(
            ["mean", *stat_row(lambda s: np.nanmean(s, 0))],
            ["std", *stat_row(lambda s: np.nanstd(s, 0, ddof=1))],
        ),
        "line 27 (the standard deviation of the others)",
    ),
    "mean row without a label": (
        [N, *cells(), stat_row(lambda s: np.nanmean(s, 0))],
        "line 26 (the mean of the others)",
    ),
    "plus-minus": ([N, *cells(lambda v: f"{v:.4f} ± 0.010")], "behind the scores in a cell"),
    "brackets": ([N, *cells(lambda v: f"{v:.4f} (0.010)")], "behind the scores in a cell"),
    "mean, std and n": (
        [[f"{n}_{s}" for n in N for s in ("mean", "std", "n")], *pairs_of(cells(), ["0.01", "4"])],
        BESIDE_ERRORS,
    ),
    "value and standard error": (
        [[n for t in N for n in (t, f"{t} (se)")], *pairs_of(cells(), ["0.01"])],
        BESIDE_ERRORS,
    ),
    "two lines of names": (
        [[n for t in N for n in (t, t)], ["mean", "std"] * 6, *pairs_of(cells(), ["0.01"])],
        "tell no standard errors",
    ),
    "turned": (
        [["", *(f"run{i}" for i in range(24))], *([N[j], *(row[j] for row in cells())] for j in range(6))],
        "turned: a row for every task",
    ),
    "title above": (
        [["Results of 2026", *[""] * 5], N, *cells()],
        "passed over above the header: 'Results of 2026'",
    ),
    "empty column": ([[*N, "later"], *([*row, ""] for row in cells())], "left out: column 'later' (empty)"),
    "blank row": ([N, *cells(), [""] * 6], "taken for tasks: all 6"),
    "numbered tasks": (
        [["", *"012345"], *([str(i), *row] for i, row in enumerate(cells()))],
        "taken for tasks: 6 of 7 columns (0, 1",
    ),
    "long, other names": (
        long_rows(["Dataset", "Mixture", "Accuracy", "lr"], lambda i, t, v: [t, f"mix{i}", f"{v}", "0.001"]),
        "left out: column 'lr' (0.001)",
    ),
    "long, mean and std": (
        long_rows(["run", "task", "mean", "std", "count"], lambda i, t, v: [f"{i}", t, f"{v}", "0.01", "3"]),
        BESIDE_ERRORS,
    ),
    "long, scores of all tasks": (
        [["train_tasks", "eval_task", "acc"]]
        + [
            ["+".join(s), n, row[j]]
            for s, row in zip(SUBSETS, full_rows(), strict=True)
            for j, n in enumerate(N)
        ],
        "70 scores of other tasks are left out",
    ),
    "long, one metric a task": (
        long_rows(
            ["run", "task", "metric", "score"],
            lambda i, t, v: [f"{i}", t, "f1" if t < "c" else "acc", f"{v}"],
        ),
        "metric: ",
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read(kind, tmp_path):
    rows, said = READ[kind]
    table = read_table(write_rows(tmp_path / "t.csv", rows))
    assert any(said in note for note in table.notes), table.notes
    order = [table.tasks.index(n if n in table.tasks else str(N.index(n))) for n in N]
    assert len(table.tasks) == len(N)
    found = sorted(table.scores[:, order].tolist(), key=str)
    np.testing.assert_allclose(found, sorted(SCORES.tolist(), key=str), atol=1e-9)


TEXT = {
    "R": " ".join(f'"{n}"' for n in N)
    + "\n"
    + "".join(f'"{i}" ' + " ".join(row) + "\n" for i, row in enumerate(cells(blank="NA"))),
    "Markdown": "| "
    + " | ".join(N)
    + " |\n|"
    + "---|" * 6
    + "\n"
    + "".join("| " + " | ".join(r) + " |\n" for r in cells()),
    "Excel's first line": "sep=;\n" + text_of([N, *cells()], ";"),
    "header in a comment": "# made by hand\n# " + text_of([N, *cells(blank="nan")]),
    "separator at the end": text_of([[*N, ""], *([*row, ""] for row in cells())]),
    "thousands": text_of([N, *cells(lambda v: f'"{10000 * v:,.1f}"')]),
    "apostrophes": text_of([N, *cells(lambda v: f"{10000 * v:,.1f}".replace(",", "'"))]),
    "Latin-1": None,
}


@pytest.mark.parametrize("kind", TEXT)
def test_what_is_read_of_text(kind, tmp_path):
    path = tmp_path / "t.txt"
    if TEXT[kind] is None:
        path.write_bytes(text_of([["é", *N[1:]], *cells()]).encode("cp1252"))
    else:
        path.write_text(TEXT[kind])
    table = read_table(path)
    assert table.tasks[1:] == tuple(N[1:])
    unit = 1e4 if kind in ("thousands", "apostrophes") else 1.0
    np.testing.assert_allclose(table.scores / unit, SCORES, atol=1e-4)


def test_parquet_with_and_without_an_index(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(SCORES, columns=N)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.set_index(pandas.Index([f"r{i}" for i in range(24)])).to_parquet(tmp_path / "b.parquet")
    for name in ("a", "b"):
        table = read_table(tmp_path / f"{name}.parquet")
        assert table.tasks == tuple(N)
        np.testing.assert_array_equal(table.scores, SCORES)


REFUSED = {
    "fully scored": ([N, *full_rows()], "(71 cells hold 0.5: if that stands for none", "--subset-column"),
    "nearly so": (
        [N, *full_rows()[:-1], ["", *full_rows()[-1][1:]]],
        "23 of 24 runs have a score",
        "--subset-column",
    ),
    "long and fully scored": (
        [
            ["run", "task", "score"],
            *([f"{i}", n, r[j]] for i, r in enumerate(full_rows()) for j, n in enumerate(N)),
        ],
        "trained together is unknown",
        "--subset-column",
    ),
    "subsets under another name": (
        labelled("what", map("-".join, SUBSETS), full_rows()),
        "lists tasks",
        "--subset-column what",
    ),
    "a number in every run": (
        [["reward", *N], *([f"{0.7 + 0.01 * (i % 5):.2f}", *row] for i, row in enumerate(cells()))],
        "column 'reward' has a number in every run",
        "--task reward or --leave-out reward",
    ),
    "a second column of a name": (
        [[*N[:5], "a.1"], *cells()],
        "what pandas makes of a second column 'a'",
        "--leave-out a.1",
    ),
    "two metrics": (
        [
            [f"{n}_{m}" for n in N for m in ("acc", "f1")],
            *([c for c in row for _ in "ab"] for row in cells()),
        ],
        "several metrics (acc, f1)",
        "--metric acc",
    ),
    "long with two metrics": (
        [
            row
            for m in ("acc", "f1")
            for row in long_rows(
                ["run", "task", "score", "metric"], lambda i, t, v, m=m: [f"{i}", t, f"{v}", m]
            )[m == "f1" :]
        ],
        "several metrics",
        "--metric acc",
    ),
    "metrics of two directions": (
        [[f"{n}_{'loss' if n in 'ab' else 'acc'}" for n in N], *cells()],
        "some are better when lower",
        "--leave-out a_loss",
    ),
    "thousands or decimals": (
        [["a", "b", "c"], ["1,234", "1,635", ""], ["", "1,111", "2,345"], ["3,456", "", "1,999"]],
        "1,234 may be 1234 or 1.234",
        "--decimal comma or --decimal point",
    ),
    "square without names": (
        [N, *([f"{v:.3f}" for v in row] for row in np.random.default_rng(0).uniform(0.4, 0.9, (6, 6)))],
        "as many rows as columns",
        "--kind 'affinity matrix'",
    ),
    "no run": ([["task", "score"], *([n, "0.5"] for n in "aabbcc")], "no column tells", "--subset-column"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_names_the_remedy(kind, tmp_path):
    rows, why, remedy = REFUSED[kind]
    with pytest.raises(SettingError) as caught:
        read_table(write_rows(tmp_path / "t.csv", rows))
    assert why in str(caught.value)
    assert remedy in caught.value.on_command_line()
    assert "--" not in str(caught.value).replace("----", "")


def test_the_remedies_do(tmp_path):
    def read(example, /, **settings):
        return read_table(write_rows(tmp_path / "t.csv", REFUSED[example][0]), **settings)

    assert read("subsets under another name", subset_column="what").tasks == tuple(N)
    assert read("a number in every run", leave_out=["reward"]).tasks == tuple(N)
    assert read("a number in every run", tasks=["reward"]).tasks == ("reward", *N)
    assert read("two metrics", metric="f1").tasks == tuple(N)
    assert sorted(read("long with two metrics", metric="acc").tasks) == N
    assert read("metrics of two directions", leave_out=["a_loss", "b_loss"]).n_runs == 24
    assert read("thousands or decimals", decimal="comma").scores[0, 0] == 1.234
    assert read("thousands or decimals", decimal="point").scores[0, 0] == 1234
    assert read("square without names", kind="affinity matrix").kind == "affinity matrix"
    with pytest.raises(InputError, match="trained together is unknown"):
        read("square without names", kind="score table")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04", "Excel"),
        (b'[{"a": 1}]', "JSON"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"a,b\n\x00\x01", "no text"),
        (b"PAR1", "not a readable Parquet"),
        (b"", "holds no rows"),
    ],
)
def test_what_is_no_table(content, what, tmp_path):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(InputError, match=what):
        read_table(tmp_path / "t")


def test_a_cell_with_another_decimal_sign_is_pointed_out(tmp_path):
    path = write_rows(
        tmp_path / "t.csv", [["a", "b"], ["0.71", ""], ["", "0,62"], ["0.5", "0.4"]], quoting=csv.QUOTE_ALL
    )
    with pytest.raises(
        InputError, match=r"0\.71 in line 2 has a decimal point and 0,62 in line 3 a decimal comma"
    ):
        read_table(path)
    path = write_rows(tmp_path / "t.csv", [["a", "b"], ["71%", ""], ["0.62", "62%"]])
    with pytest.raises(InputError, match=r"line 3, 'a': 0\.62 has no percent sign"):
        read_table(path)


def matrix(rng):
    same = np.arange(6)[:, None] // 3 == np.arange(6) // 3
    return same + 0.1 * rng.normal(size=(6, 6))


def test_matrices_in_every_form_are_the_same(tmp_path):
    M = matrix(np.random.default_rng(3))
    text = [[f"{v:.6f}" for v in row] for row in M]
    named = [["", *N], *([n, *row] for n, row in zip(N, text, strict=True))]
    forms = {
        "named": named,
        "rows in another order": [named[0], *named[:0:-1]],
        "without names": [N, *text],
        "indexed": [["", *N], *([str(i), *row] for i, row in enumerate(text))],
        "by source": [["source_tasks", *N], *([n, *(row[i] for row in text)] for i, n in enumerate(N))],
        "with a mean": [[*row, "mean" if i == 0 else "0.5"] for i, row in enumerate(named)],
        "pairs": [
            ["source", "target", "affinity"],
            *([N[j], N[i], text[i][j]] for i in range(6) for j in range(6)),
        ],
    }
    for form, rows in forms.items():
        table = read_table(write_rows(tmp_path / "t.csv", rows))
        assert table.kind == "affinity matrix", form
        np.testing.assert_allclose(table.affinity.matrix, M, atol=1e-6, err_msg=form)
        assert table.tasks == tuple(N)


def test_a_triangle_is_taken_for_both_directions(tmp_path):
    M = matrix(np.random.default_rng(4))
    M = (M + M.T) / 2
    upper = [
        ["", *N],
        *([n, *(f"{v:.6f}" if j >= i else "" for j, v in enumerate(M[i]))] for i, n in enumerate(N)),
    ]
    table = read_table(write_rows(tmp_path / "t.csv", upper))
    np.testing.assert_allclose(table.affinity.matrix, M, atol=1e-6)
    assert "one triangle: each number taken for both directions" in table.notes
    assert cotune.group(table).members == [("a", "b", "c"), ("d", "e", "f")]


def test_standard_errors_stand_behind_pairs_that_met_once(tmp_path):
    rows = [["a", "a_se", "b", "b_se", "c", "c_se"]]
    for pair in ("ab", "bc", "ac"):
        rows.append(
            [text for n in "abc" for text in (("0.5", f"0.0{ord(n) - 96}") if n in pair else ("", ""))]
        )
    found = read_table(write_rows(tmp_path / "t.csv", rows)).affinity.stderr
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(found[off], [0.01, 0.01, 0.02, 0.02, 0.03, 0.03])


def test_losses_are_known_by_their_names(tmp_path):
    rows = long_rows(["run", "task", "loss"], lambda i, t, v: [f"{i}", t, f"{v}"])
    table = read_table(write_rows(tmp_path / "t.csv", rows))
    assert np.nanmax(table.scores) < 0
    assert any(note.startswith("lower is better") for note in table.notes)
    again = read_table(tmp_path / "t.csv", lower_is_better=True)
    np.testing.assert_array_equal(again.scores, table.scores)


@pytest.mark.parametrize(
    "names", [{"leave_out": ["nobody"]}, {"tasks": ["nobody"]}, {"subset_column": "nobody"}]
)
def test_columns_that_do_not_exist(names, tmp_path):
    path = write_rows(tmp_path / "t.csv", [N, *cells()])
    with pytest.raises(InputError, match=re.escape("'nobody'")):
        read_table(path, **names)
