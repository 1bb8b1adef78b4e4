"""One table however it is written, and tables that mislead."""

import numpy as np
import pytest
from table_dialects import in_dialect, number, planted_runs, score_matrix, write_rows

import cotune
from cotune.affinity import read_table
from cotune.exceptions import InputError

GROUPS = [{"SST-2 (reviews)", "Sentiment, IMDb", "CR"}, {"RTE", "CB", "MNLI"}]


@pytest.mark.parametrize("seed", range(40))
def test_runs_are_the_same_in_every_dialect(seed, tmp_path):
    rng = np.random.default_rng(seed)
    tasks, runs = planted_runs(seed % 4)
    drawn = in_dialect(rng, tmp_path / "table.csv", tasks, runs)
    table = read_table(tmp_path / "table.csv")
    assert sorted(table.tasks) == sorted(tasks), drawn
    order = [table.tasks.index(task) for task in tasks]
    found = np.array(sorted(table.scores[:, order].tolist(), key=str))
    expected = np.array(sorted(score_matrix(tasks, runs).tolist(), key=str))
    np.testing.assert_allclose(found, expected, atol=1e-12, err_msg=str(drawn))
    groups = cotune.group(table, resamples=0).members
    assert sorted(map(sorted, groups)) == sorted(map(sorted, GROUPS)), drawn


def fully_scored(rng, tasks, runs):
    rows = [[*tasks], *([number(run.get(t, 0.5), ".") for t in tasks] for run in runs)]
    if rng.random() < 0.5:
        rows = [
            [name, *row]
            for name, row in zip(["run", *(f"run-{i}" for i in range(len(runs)))], rows, strict=True)
        ]
    return rows, None


def beside(name, cells):
    def write(rng, tasks, runs):
        rows = [[*tasks], *([number(run[t], ".") if t in run else "" for t in tasks] for run in runs)]
        values = [name, *cells(rng, runs)]
        at = int(rng.integers(len(tasks) + 1))
        return [[*row[:at], value, *row[at:]] for row, value in zip(rows, values, strict=True)], name

    return write


def mean_row(rng, tasks, runs):
    scores = score_matrix(tasks, runs)
    rows = [["run", *tasks]]
    rows += [
        [f"run-{i}", *(number(run[t], ".") if t in run else "" for t in tasks)] for i, run in enumerate(runs)
    ]
    name = str(rng.choice(["mean", "Average", "avg"]))
    return [*rows, [name, *(f"{value:.4f}" for value in np.nanmean(scores, axis=0))]], "line"


def means_and_errors(rng, tasks, runs):
    word = str(rng.choice(["std", "stderr", "sd"]))
    rows = [[name for t in tasks for name in (f"{t} mean", f"{t} {word}")]]
    for run in runs:
        cells = (
            [number(run[t], "."), f"{rng.uniform(0.001, 0.02):.4f}"] if t in run else ["", ""] for t in tasks
        )
        rows.append([cell for pair in cells for cell in pair])
    return rows, f"{tasks[0]} {word}"


def of_runs(statistic):
    return lambda rng, runs: [f"{statistic(list(run.values())):.6f}" for run in runs]


MISLEADING = {
    "fully scored": fully_scored,
    "mean row": mean_row,
    "means and errors": means_and_errors,
    **{
        f"column {name}": beside(name, cells)
        for name, cells in {
            "": lambda rng, runs: [str(i) for i in range(len(runs))],
            "Unnamed: 0": lambda rng, runs: [str(i) for i in range(len(runs))],
            "id": lambda rng, runs: [str(i + 1) for i in range(len(runs))],
            "run": lambda rng, runs: [str(int(rng.integers(100, 999))) for _ in runs],
            "seed": lambda rng, runs: [str(int(rng.integers(4))) for _ in runs],
            "step": lambda rng, runs: [str(500 * int(rng.integers(1, 5))) for _ in runs],
            "epoch": lambda rng, runs: [f"{rng.uniform(0, 3):.2f}" for _ in runs],
            "lr": lambda rng, runs: [str(rng.choice(["1e-4", "3e-4"])) for _ in runs],
            "mean": of_runs(np.mean),
            "avg": of_runs(np.mean),
            "GLUE": of_runs(np.mean),
            "max": of_runs(max),
            "min": of_runs(min),
            "n": of_runs(len),
            "std": lambda rng, runs: [f"{rng.uniform(0, 0.1):.4f}" for _ in runs],
            "overall": lambda rng, runs: [f"{rng.uniform(0.4, 0.6):.4f}" for _ in runs],
            "beta": lambda rng, runs: ["0.5" for _ in runs],
            "note": lambda rng, runs: [str(rng.choice(["ok", "rerun"])) for _ in runs],
            "reward": lambda rng, runs: [f"{rng.uniform(0, 1):.4f}" for _ in runs],
            "best": lambda rng, runs: [max(run, key=run.get) for run in runs],
        }.items()
    },
}


@pytest.mark.parametrize("seed", range(200))
def test_no_misleading_table_is_grouped_in_silence(seed, tmp_path):
    rng = np.random.default_rng([7, seed])
    tasks, runs = planted_runs(seed)
    kind = list(MISLEADING)[seed % len(MISLEADING)]
    rows, spoken_of = MISLEADING[kind](rng, tasks, runs)
    path = write_rows(tmp_path / "table.csv", rows)
    if kind in ("fully scored", "column reward"):
        remedy = "subset_column" if kind == "fully scored" else r"leave_out=\['reward'\]"
        with pytest.raises(InputError, match=remedy):
            read_table(path)
        return
    table = read_table(path)
    assert sorted(table.tasks) == sorted(tasks), (kind, table.notes)
    said = " ".join(table.notes)
    assert "taken for tasks" in said
    assert (spoken_of or "without a name") in said, (kind, table.notes)
    order = [table.tasks.index(task) for task in tasks]
    np.testing.assert_allclose(table.scores[:, order], score_matrix(tasks, runs))


def damaged(rng, content):
    """Return a file that somebody's hands or programs have been at."""
    content = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(content) + 1))
        what = int(rng.integers(4))
        if what == 0:
            del content[at : at + int(rng.integers(1, 40))]
        elif what == 1:
            bits = [
                b",",
                b"\n",
                b'"',
                b";",
                b"NaN",
                b"inf",
                b"1e999",
                b"\xff",
                b"\x00",
                b"mean,",
                b"#",
                b"%",
                b"1,2",
            ]
            content[at:at] = bits[int(rng.integers(len(bits)))]
        elif what == 2:
            content = content[:at]
        else:
            content[at:at] = content[max(0, at - 60) : at]
    return bytes(content)


def test_damaged_files_are_read_or_refused_in_a_sentence(tmp_path):
    rng = np.random.default_rng(11)
    path = tmp_path / "table.csv"
    for seed in range(150):
        tasks, runs = planted_runs(seed % 4, m=12)
        in_dialect(rng, path, tasks, runs)
        path.write_bytes(damaged(rng, path.read_bytes()))
        try:
            read_table(path)
        except InputError as error:
            assert str(error).endswith(".")  # noqa: PT017
