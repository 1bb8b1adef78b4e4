"""Runs written as tables in the ways that people and programs write them."""

import csv
import io

import numpy as np

NAMES = ["SST-2 (reviews)", "Sentiment, IMDb", "CR", "RTE", "CB", "MNLI", "WiC", "BoolQ"]


def planted_runs(seed, n=6, m=24, digits=4):
    """Return runs of three or so tasks of two groups, as dictionaries of rounded scores."""
    rng = np.random.default_rng(seed)
    tasks = NAMES[:n]
    runs = []
    for _ in range(m):
        subset = sorted(rng.choice(n, int(rng.integers(2, 5)), replace=False).tolist())
        scores = {}
        for i in subset:
            mates = sum(1 if (i < n // 2) == (j < n // 2) else -1 for j in subset if j != i)
            scores[tasks[i]] = round(0.55 + 0.05 * mates + 0.01 * float(rng.normal()), digits)
        runs.append(scores)
    return tasks, runs


def number(value, decimal=",", percent=False, digits=4):
    text = f"{100 * value:.{max(digits - 2, 0)}f}%" if percent else f"{value:.{digits}f}"
    return text.replace(".", decimal)


def write_rows(
    path, rows, *, separator=",", encoding="utf-8", end="\n", quoting=csv.QUOTE_MINIMAL, before=(), pad=""
):
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, lineterminator=end, quoting=quoting).writerows(
        [[f"{pad}{cell}{pad}" if cell and pad and "," not in cell else cell for cell in row] for row in rows]
    )
    text = "".join(f"{line}{end}" for line in before) + stream.getvalue()
    path.write_bytes(text.encode(encoding))
    return path


def in_dialect(rng, path, tasks, runs):
    """Write runs of tasks in a dialect that is drawn; return the file and what was drawn."""
    layout = str(rng.choice(["wide", "long", "turned"], p=[0.6, 0.25, 0.15]))
    decimal = str(rng.choice([".", ","]))
    percent = bool(rng.integers(2))
    blank = str(rng.choice(["", "NA", "NaN", "-", "#N/A", "n/a", "null"]))
    separator = str(rng.choice([",", ";", "\t", "|"]))
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]))
    order = rng.permutation(len(tasks)).tolist()
    columns = [tasks[i] for i in order]

    def cell(run, task):
        return number(run[task], decimal, percent) if task in run else blank

    if layout == "long":
        names = [
            str(rng.choice(words))
            for words in (["run", "Run ID", "experiment"], ["task", "Dataset", "task_name"])
        ]
        score = str(rng.choice(["score", "Accuracy", "value"]))
        rows = [[names[0], "seed", names[1], score, "metric"]]
        rows += [
            [f"run-{at}", str(at % 3), task, cell(run, task), "acc"]
            for at, run in enumerate(runs)
            for task in columns
            if task in run or rng.random() < 0.2
        ]
    elif layout == "turned":
        rows = [["task", *(f"run-{at}" for at in range(len(runs)))]]
        rows += [[task, *(cell(run, task) for run in runs)] for task in columns]
    else:
        rows = [list(columns), *([cell(run, task) for task in columns] for run in runs)]
        rows = with_extra_columns(rng, rows, runs, decimal, percent)
    drawn = {
        "separator": separator,
        "encoding": encoding,
        "end": str(rng.choice(["\n", "\r\n"])),
        "quoting": int(rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        "before": ["# exported", "# two comments"] if rng.random() < 0.3 else [],
        "pad": str(rng.choice(["", "", " "])),
    }
    write_rows(path, rows, **drawn)
    return {
        "layout": layout,
        "decimal": decimal,
        "percent": percent,
        "blank": blank,
        **drawn,
        "header": rows[0],
    }


def with_extra_columns(rng, rows, runs, decimal, percent):
    """Put columns that are no tasks among the others."""
    m = len(runs)

    def put(name, cells, front):
        for row, cell in zip(rows, [name, *cells], strict=True):
            row.insert(0 if front else len(row), cell)

    means = [float(np.mean(list(run.values()))) for run in runs]
    extras = [
        ("mean", [number(value, decimal, percent, 6) for value in means], False),
        ("seed", [str(at % 3) for at in range(m)], True),
        ("step", [str(100 * (at % 4)) for at in range(m)], True),
        ("model", [f"model {'abc'[at % 3]}" for at in range(m)], True),
        ("run", [f"run-{at}" for at in range(m)], True),
        (str(rng.choice(["", "Unnamed: 0", "id"])), [str(at) for at in range(m)], True),
        ("subset", ["+".join(run) for run in runs], True),
    ]
    for name, cells, front in extras:
        if rng.random() < 0.4:
            put(name, cells, front)
    return rows


def score_matrix(tasks, runs):
    """Return the scores as an array, NaN where a task was not in a run."""
    return np.array([[run.get(task, np.nan) for task in tasks] for run in runs])
