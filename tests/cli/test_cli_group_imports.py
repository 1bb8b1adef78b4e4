"""``cotune group`` starts fast: what it loads is little more than NumPy and parts of SciPy."""

import subprocess
import sys

import numpy as np
import pytest

SLOW = ("sklearn", "scipy.stats", "pandas", "torch", "transformers", "datasets", "matplotlib", "jinja2")
OF_RUNS = ("scipy.optimize", "cotune.affinity.predicted_gain", "cotune.affinity.adaptive")
INSIDE = ("cotune.studies.engine", "cotune.training", "cotune.tasks", "cotune.report")
TASKS = [f"task-{i}" for i in range(18)]
SAME = np.arange(18)[:, None] % 3 == np.arange(18) % 3


def matrix(rng):
    rows = SAME + 0.1 * rng.normal(size=SAME.shape)
    return [["", *TASKS], *([name, *map(repr, row.tolist())] for name, row in zip(TASKS, rows, strict=True))]


def scores(rng):
    """Return runs of every task alone, of triples and of all."""
    subsets = [[i] for i in range(18)] + [rng.choice(18, 3, replace=False) for _ in range(60)] + [range(18)]
    rows = [["" for _ in TASKS] for _ in subsets]
    for row, subset in zip(rows, subsets, strict=True):
        for i in subset:
            together = SAME[i, list(subset)].sum() / len(subset)
            row[i] = repr(float(1 + together + 0.01 * rng.normal()))
    return [TASKS, *rows]


@pytest.mark.parametrize(
    ("made", "options", "answer", "unneeded"),
    [
        (matrix, [], "certified optimal", OF_RUNS),
        (scores, ["--objective", "gain"], "over each alone", ()),
        (scores, ["--objective", "density", "--resamples", "3"], "resamples of the runs", ()),
    ],
)
def test_it_loads_neither_scikit_learn_nor_anything_that_trains(made, options, answer, unneeded, tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("\n".join(",".join(row) for row in made(np.random.default_rng(0))))
    code = (
        "import sys; from cotune.cli.main import main; status = main(sys.argv[1:]); "
        f"print('loaded:', *(name for name in {SLOW + INSIDE + unneeded} if name in sys.modules)); "
        "sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "group", str(file), *options]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answer in told
    assert told.splitlines()[-1].split() == ["loaded:"]
