"""What the groups that are chosen from some runs earn, judged by runs of every subset.

Outcomes are scaled: 0 is the mean over all partitions of the tasks, 1 the best of them. Gains are shares of
each task's score alone, summed over tasks.

    python benchmarks/decisions.py --quick
    python benchmarks/decisions.py --only tables --tables ../shared/data/subset_tables
    python benchmarks/decisions.py --markdown decisions.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cotune.affinity import PREDICTORS, higher_order, read_table, task_gains
from cotune.grouping import SDPClustering, all_groups, best_gain_partition, prepare
from cotune.grouping.exact import _partitions
from cotune.studies.grouping import gain_groups

Row = dict[str, Any]
TARGETS = {"pairs + singles": 0.6, "all subsets": 0.7}
"""Mean scaled outcome over the tables that the default must reach."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few planted worlds")
    parser.add_argument("--only", default="", choices=["", *SECTIONS], help="run one section")
    parser.add_argument(
        "--tables",
        type=Path,
        default=Path(__file__).parents[2] / "shared" / "data" / "subset_tables",
        help="folder with NAME_validation.csv and NAME_test.csv, losses of every subset",
    )
    parser.add_argument("--markdown", type=Path, help="also write the tables to this Markdown file")
    arguments = parser.parse_args(argv)
    written = []
    for name, section in SECTIONS.items():
        if arguments.only not in ("", name):
            continue
        print(f"\n{name}: {section.__doc__}")
        started = time.perf_counter()
        rows = []
        for row in section(arguments):
            rows.append(row)
            print("  " + "  ".join(f"{column} {_text(value)}" for column, value in row.items()), flush=True)
        print(f"  ({time.perf_counter() - started:.0f} s)")
        written.append(_markdown(name, str(section.__doc__), rows))
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(written))


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _markdown(name: str, what: str, rows: list[Row]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_text(row.get(column, "")) for column in columns] for row in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"## {name.capitalize()}\n\n{what}\n\n{table}\n"


class Judge:
    """The true gain of every group, and with it what a partition is worth among all."""

    def __init__(self, groups: np.ndarray, gains: np.ndarray) -> None:
        n = groups.shape[1]
        self.bits = 1 << np.arange(n)
        self.value = np.zeros(1 << n)
        self.value[groups @ self.bits] = np.where(groups, gains, 0.0).sum(1)
        every = [self.gain(labels) for k in range(1, n + 1) for labels in _partitions(n, k)]
        self.mean, self.best = float(np.mean(every)), float(max(every))

    def gain(self, labels: Sequence[int] | np.ndarray) -> float:
        found = np.asarray(labels)
        return float(sum(self.value[self.bits[found == group].sum()] for group in np.unique(found)))

    def outcome(self, labels: Sequence[int] | np.ndarray) -> float:
        return (self.gain(labels) - self.mean) / (self.best - self.mean)


def _choices(inside: np.ndarray, scores: np.ndarray, judge: Judge) -> Row:
    """Outcomes of the default, of what was the default, of every predictor alone and of no groups at all."""
    n = inside.shape[1]
    found = gain_groups(inside, scores, draws=0)
    matrix = prepare(higher_order(inside, scores).matrix, missing="complete").matrix
    row: Row = {
        "gain (default)": judge.outcome(found.labels),
        "predictor": found.prediction.chosen_,
        "density": judge.outcome(SDPClustering("auto").fit(matrix).labels_),
    }
    gains, groups = task_gains(inside, scores), all_groups(n)
    for kind in PREDICTORS:
        predicted = kind().fit(gains.inside, gains.values).predict(groups)
        labels = best_gain_partition(np.where(groups, predicted, 0.0).sum(1)).labels
        row[kind.name] = judge.outcome(labels)
    return row | {"together": judge.outcome([0] * n), "alone": judge.outcome(range(n))}


def tables(arguments: argparse.Namespace) -> Iterator[Row]:
    """Tables in which every subset was truly trained: validation chooses, test judges."""
    rows: dict[str, list[Row]] = {runs: [] for runs in TARGETS}
    files = sorted(arguments.tables.glob("*_validation.csv"))
    for file in files:
        name = file.name.removesuffix("_validation.csv")
        validation = read_table(file, lower_is_better=True).scores
        test = read_table(file.with_name(f"{name}_test.csv"), lower_is_better=True).scores
        assert validation is not None
        assert test is not None
        judged = task_gains(~np.isnan(test), test)
        judge = Judge(judged.inside, judged.values)
        for runs, most in (("pairs + singles", 2), ("all subsets", validation.shape[1])):
            scores = validation[(~np.isnan(validation)).sum(1) <= most]
            row = _choices(~np.isnan(scores), scores, judge)
            rows[runs].append(row)
            yield {"table": name, "runs": runs, **row}
    for runs, target in TARGETS.items():
        if rows[runs]:
            mean = {
                column: float(np.mean([row[column] for row in rows[runs]]))
                for column, value in rows[runs][0].items()
                if isinstance(value, float)
            }
            held = "held" if mean["gain (default)"] >= target else "NOT HELD"
            yield {
                "table": f"mean of {len(files)}",
                "runs": runs,
                **mean,
                "target": f">= {target}",
                "verdict": held,
            }


def world(seed: int) -> tuple[np.ndarray, np.ndarray, float, np.random.Generator]:
    """Draw planted gains of every group of 5 to 7 tasks.

    Companions of the same family help, others do this or that, some are bad company for everyone and all
    company costs a little; effects add up, average or saturate, and every group has something of its own.

    Returns
    -------
    groups, gains : ndarray of shape (2^n, n)
    noise : float
        Standard deviation of a run.
    rng : Generator
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 8))
    family = rng.integers(0, max(2, n // 2), n)
    effects = (family[:, None] == family) * rng.uniform(0, 0.06) + rng.normal(-0.01, 0.02, (n, n))
    effects += rng.normal(0, 0.02, n) * rng.integers(0, 2) - rng.uniform(0, 0.02)
    np.fill_diagonal(effects, 0.0)
    power, own, noise = (
        rng.choice(of) for of in ([0, 0.3, 0.6, 1.0], [0, 0.01, 0.02, 0.03], [0.003, 0.01, 0.02])
    )
    groups = all_groups(n)
    size = groups.sum(1)
    factor = np.where(size > 1, np.maximum(size - 1.0, 1.0) ** -power, 0.0)[:, None]
    gains = factor * (groups @ effects.T) + (size > 1)[:, None] * rng.normal(0, 1, groups.shape) * own
    return groups, np.where(groups, gains, 0.0), float(noise), rng


def _design(groups: np.ndarray, runs: str, rng: np.random.Generator) -> np.ndarray:
    """Rows of the subsets that are run."""
    n, size = groups.shape[1], groups.sum(1)
    if runs == "pairs + singles":
        return np.flatnonzero((size == 1) | (size == 2))
    if runs == "all subsets":
        return np.flatnonzero(size >= 1)
    some = np.flatnonzero((size >= 2) & (size <= (n + 1) // 2 + 1))
    some = rng.choice(some, min(len(some), 3 * n), replace=False)
    mixed = [np.flatnonzero(size == 1), some, [len(groups) - 1]]
    return np.tile(np.concatenate(mixed), 2 if runs == "mixed, twice" else 1)


def planted(arguments: argparse.Namespace) -> Iterator[Row]:
    """Planted worlds, where the rules were fixed: outcomes, and how often 90 % intervals hold the truth."""
    worlds = 3 if arguments.quick else 100
    for runs in ("pairs + singles", "mixed", "mixed, twice", "all subsets"):
        outcomes: list[Row] = []
        total: list[bool] = []
        together: list[bool] = []
        tasks: list[bool] = []
        for seed in range(worlds):
            groups, gains, noise, rng = world(seed)
            n = groups.shape[1]
            rows = _design(groups, runs, rng)
            scores = -np.exp(rng.normal(0, 1, n)) * (
                1 - gains[rows] - noise * rng.normal(size=(len(rows), n))
            )
            scores = np.where(groups[rows], scores, np.nan)
            judge = Judge(groups, gains)
            found = gain_groups(groups[rows], scores)
            labels = np.array(found.labels)
            outcomes.append(
                {
                    "gain (default)": judge.outcome(labels),
                    "together": judge.outcome([0] * n),
                    "alone": judge.outcome(range(n)),
                }
            )
            at = np.array([judge.bits[labels == label].sum() for label in labels])
            truth = gains[at, np.arange(n)]
            company = np.bincount(labels)[labels] > 1
            if company.any():
                total.append(found.over_alone.low <= truth.mean() <= found.over_alone.high)
            if labels.any():
                over = truth.mean() - gains[-1].mean()
                together.append(found.over_together.low <= over <= found.over_together.high)
            tasks += [
                found.by_task[i].low <= truth[i] <= found.by_task[i].high for i in np.flatnonzero(company)
            ]
        row: Row = {"runs": runs, "worlds": worlds}
        row |= {column: float(np.mean([o[column] for o in outcomes])) for column in outcomes[0]}
        yield row | {
            "covered over alone": float(np.mean(total)) if total else float("nan"),
            "over together": float(np.mean(together)) if together else float("nan"),
            "of a task": float(np.mean(tasks)) if tasks else float("nan"),
        }


SECTIONS = {"tables": tables, "planted": planted}


if __name__ == "__main__":
    main()
