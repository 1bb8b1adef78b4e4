"""What the groups that are chosen from some runs earn, judged by runs of every subset.

Outcomes are scaled: 0 is the mean over all partitions of the tasks, 1 the best of them. Gains are shares of
each task's score alone, summed over tasks.

    python benchmarks/decisions.py --quick
    python benchmarks/decisions.py --only tables --tables ../shared/data/subset_tables
    python benchmarks/decisions.py --markdown decisions.md
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cotune.affinity import (
    PREDICTORS,
    SizedEffects,
    cover_pairs,
    higher_order,
    mixed_sizes,
    read_table,
    task_gains,
)
from cotune.benchmark.verdicts import comparisons_with_a_clear_effect, comparisons_without_effect
from cotune.findings.grouping import Interval
from cotune.grouping import SDPClustering, all_groups, best_gain_partition, gain_bound, prepare
from cotune.grouping.exact import _partitions
from cotune.studies.grouping import gain_groups

Row = dict[str, Any]
COVERED = (0.86, 0.94)
"""How often intervals of 90 % have to hold the truth in the planted worlds."""
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
        self.row = {int(bits): row for row, bits in enumerate(groups @ self.bits)}
        self.mean, self.best = self.scale(n)

    def scale(self, n: int) -> tuple[float, float]:
        every = [self.gain(labels) for k in range(1, n + 1) for labels in _partitions(n, k)]
        return float(np.mean(every)), float(max(every))

    def gain(self, labels: Sequence[int] | np.ndarray) -> float:
        found = np.asarray(labels)
        return float(sum(self.value[self.bits[found == group].sum()] for group in np.unique(found)))

    def outcome(self, labels: Sequence[int] | np.ndarray) -> float:
        return (self.gain(labels) - self.mean) / (self.best - self.mean)


class SampledJudge(Judge):
    """The same where partitions are too many: the mean of 300 at random, the best by dynamic programming."""

    def scale(self, n: int) -> tuple[float, float]:
        rng = np.random.default_rng(0)
        some = [self.gain(rng.integers(0, rng.integers(1, n + 1), n)) for _ in range(300)]
        return float(np.mean(some)), self.gain(
            best_gain_partition(self.value[all_groups(n) @ self.bits]).labels
        )


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


def world(seed: int, n: int | None = None) -> tuple[np.ndarray, np.ndarray, float, np.random.Generator]:
    """Draw planted gains of every group of 5 to 7 tasks, or of so many.

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
    drawn = int(rng.integers(5, 8))
    n = n or drawn
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


def pulled(seed: int) -> tuple[np.ndarray, np.ndarray, float, np.random.Generator]:
    """Draw true gains of every group of 5 to 7 tasks that pull a model their own way, as :func:`world`.

    Each is a quadratic loss around an optimum, near that of its family, of which its few examples
    tell an estimate. A group goes to the minimum of its tasks' mean loss: company of one family averages
    errors out, any other pulls elsewhere. Nothing adds up, and each group has curvature of its own.
    """
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(5, 8)), int(rng.integers(3, 9))
    family = rng.integers(0, max(2, n // 2), n)
    optimum = rng.normal(0, rng.uniform(0.1, 0.4), (n, d))[family] + rng.normal(0, 0.1, (n, d))
    told = optimum + rng.normal(0, rng.uniform(0.1, 0.4), (n, d))
    curvature = rng.gamma(2.0, 0.5, (n, d))
    groups = all_groups(n)
    mass = np.maximum(groups @ curvature, 1e-12)
    found = (groups @ (curvature * told)) / mass
    loss = 1.0 + (curvature * (found[:, None] - optimum) ** 2).sum(2)
    alone = loss[1 << np.arange(n), np.arange(n)]
    noise = rng.choice([0.003, 0.01, 0.02])
    return groups, np.where(groups, 1.0 - loss / alone, 0.0), float(noise), rng


def learned(seed: int) -> tuple[np.ndarray, np.ndarray, float, np.random.Generator]:
    """Draw true gains of every group of 5 to 7 tasks that are learned, as :func:`world`.

    Tasks are logistic regressions with a few examples each, families of them alike. A group takes as many
    steps of gradient descent as a task alone, on the mean loss of its tasks; gains are of the loss on
    examples held back. Interference, sharing and too few updates come as they do in training.
    """
    rng = np.random.default_rng(seed)
    n, d, examples = int(rng.integers(5, 8)), int(rng.integers(4, 11)), int(rng.integers(8, 33))
    family = rng.integers(0, max(2, n // 2), n)
    likeness = rng.uniform(0.3, 0.95)
    truth = np.sqrt(likeness) * rng.normal(0, 1, (n, d))[family]
    truth = (truth + np.sqrt(1 - likeness) * rng.normal(0, 1, (n, d))) * rng.uniform(0.5, 1.5, (n, 1))

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(0, 1, (n, count, d))
        return x, (rng.random((n, count)) < 1 / (1 + np.exp(-np.einsum("icd,id->ic", x, truth)))) * 1.0

    (x, y), (x_test, y_test) = drawn(examples), drawn(300)
    groups = all_groups(n)
    share = groups / np.maximum(groups.sum(1, keepdims=True), 1)
    w = np.zeros((len(groups), d))
    for _ in range(int(rng.choice([10, 30, 100]))):
        wrong = 1 / (1 + np.exp(-np.einsum("icd,gd->gic", x, w))) - y
        w -= 1.0 * np.einsum("gi,gic,icd->gd", share, wrong, x, optimize=True) / examples
    logits = np.einsum("icd,gd->gic", x_test, w)
    loss = (np.logaddexp(0, logits) - y_test * logits).mean(2)
    alone = loss[1 << np.arange(n), np.arange(n)]
    noise = rng.choice([0.003, 0.01, 0.02])
    return groups, np.where(groups, 1.0 - loss / alone, 0.0), float(noise), rng


LAWS = {"added, averaged, saturated": world, "pulled": pulled, "learned": learned}
"""How planted gains come about: rules were fixed on the first, the intervals changed once after the second
was looked at (at other seeds), and nothing after the third."""


def designs(arguments: argparse.Namespace) -> Iterator[Row]:
    """The runs that are chosen, at one cost: subsets of one size against mixed sizes, singles in both."""
    for n, worlds in ((5, 40), (6, 40), (10, 25)):
        worlds = 2 if arguments.quick else worlds
        outcomes: dict[str, list[float]] = {"fixed_size": [], "mixed_sizes": []}
        cost = 0
        for seed in range(1000, 1000 + worlds):
            groups, gains, noise, rng = world(seed, n)
            judge = SampledJudge(groups, gains) if n > 8 else Judge(groups, gains)
            level, errors = np.exp(rng.normal(0, 1, n)), noise * rng.normal(size=groups.shape)
            scores = np.where(groups, -level * (1 - gains - errors), np.nan)
            fixed = cover_pairs(n, 3, min(5 * n, math.comb(n, 3)), seed)
            cost = fixed.size
            for name, chosen in (("fixed_size", fixed), ("mixed_sizes", mixed_sizes(n, cost, seed))):
                subsets = [*np.eye(n, dtype=bool), *(np.isin(range(n), subset) for subset in chosen)]
                rows = [judge.row[int(subset @ judge.bits)] for subset in subsets]
                found = gain_groups(groups[rows], scores[rows], draws=0)
                outcomes[name].append(judge.outcome(found.labels))
        yield {"runs": f"{worlds} planted worlds, {n} tasks", "cost": n + cost, **_beside(outcomes)}
    outcomes = {"fixed_size": [], "mixed_sizes": []}
    for judge, validation in _trained_tables(arguments):
        n = validation.shape[1]
        row = {subset.tobytes(): i for i, subset in enumerate(~np.isnan(validation))}
        fixed = cover_pairs(n, 3, min(5 * n, math.comb(n, 3)), 0)
        for seed in range(10):
            for name, chosen in (("fixed_size", fixed), ("mixed_sizes", mixed_sizes(n, fixed.size, seed))):
                subsets = [*np.eye(n, dtype=bool), *(np.isin(range(n), subset) for subset in chosen)]
                scores = validation[[row[subset.tobytes()] for subset in subsets]]
                found = gain_groups(~np.isnan(scores), scores, draws=0)
                outcomes[name].append(judge.outcome(found.labels))
    if outcomes["fixed_size"]:
        yield {"runs": "trained tables, 10 draws of each", "cost": n + fixed.size, **_beside(outcomes)}


def _beside(outcomes: dict[str, list[float]]) -> Row:
    fixed, mixed = (np.array(outcomes[name]) for name in ("fixed_size", "mixed_sizes"))
    error = float((mixed - fixed).std(ddof=1) / np.sqrt(len(fixed)))
    row: Row = {name: float(np.mean(values)) for name, values in outcomes.items()}
    return row | {"more": float((mixed - fixed).mean()), "standard error": error}


def _trained_tables(arguments: argparse.Namespace) -> Iterator[tuple[Judge, np.ndarray]]:
    for file in sorted(arguments.tables.glob("*_validation.csv")):
        validation = read_table(file, lower_is_better=True).scores
        test = read_table(
            file.with_name(file.name.replace("_validation", "_test")), lower_is_better=True
        ).scores
        assert validation is not None
        assert test is not None
        judged = task_gains(~np.isnan(test), test)
        yield Judge(judged.inside, judged.values), validation


def planted(arguments: argparse.Namespace) -> Iterator[Row]:
    """Planted worlds: outcomes, and how often 90 % intervals hold the truth."""
    worlds = 3 if arguments.quick else 100
    for law, draw in LAWS.items():
        for runs in ("pairs + singles", "mixed", "mixed, twice", "all subsets"):
            rows = [_of_world(draw(seed), runs) for seed in range(worlds)]
            row: Row = {"law": law, "runs": runs, "worlds": worlds}
            for column in rows[0]:
                row[column] = float(np.mean([value for each in rows for value in each[column]] or [np.nan]))
            least, most = COVERED
            held = all(least <= row[column] <= most for column in row if column.startswith("over "))
            held &= least <= row["of a task"] <= most
            yield row | {"target": f"{least} to {most}", "verdict": "held" if held else "NOT HELD"}


def _of_world(
    drawn: tuple[np.ndarray, np.ndarray, float, np.random.Generator], runs: str
) -> dict[str, list[float]]:
    """Outcomes of the answer to runs of a world, and which of its intervals hold the truth."""
    groups, gains, noise, rng = drawn
    n = groups.shape[1]
    rows = _design(groups, runs, rng)
    scores = -np.exp(rng.normal(0, 1, n)) * (1 - gains[rows] - noise * rng.normal(size=(len(rows), n)))
    scores = np.where(groups[rows], scores, np.nan)
    judge = Judge(groups, gains)
    found = gain_groups(groups[rows], scores)
    labels = np.array(found.labels)
    truth = gains[[judge.bits[labels == label].sum() for label in labels], np.arange(n)]
    company = np.flatnonzero(np.bincount(labels)[labels] > 1)
    over = truth.mean() - gains[-1].mean()
    return {
        "gain (default)": [judge.outcome(labels)],
        "together": [judge.outcome([0] * n)],
        "alone": [judge.outcome(range(n))],
        "over alone": [_holds(found.over_alone, truth.mean())] if len(company) else [],
        "over together": [_holds(found.over_together, over)] if labels.any() else [],
        "of a task": [_holds(found.by_task[i], truth[i]) for i in company],
    }


def _holds(gain: Interval, truth: float) -> float:
    return float(gain.low <= truth <= gain.high)


def bounds(arguments: argparse.Namespace) -> Iterator[Row]:
    """Upper bounds on the predicted gain beside the best of all partitions, random instances."""
    instances = 40 if arguments.quick else 1000
    for law, power in (("sum", 0.0), ("root", 0.5), ("mean", 1.0)):
        rng = np.random.default_rng(int(10 * power))
        apart, below = [], 0
        for _ in range(instances // 3 + (power == 0.0) * (instances % 3)):
            n = int(rng.integers(2, 10))
            effects = rng.normal(rng.choice([-0.3, 0.0, 0.3]), 1.0, (n, n)) * rng.choice([0.01, 1.0, 100.0])
            np.fill_diagonal(effects, 0.0)
            by_size = np.concatenate([[0.0], np.arange(1.0, n) ** -power])
            own = rng.normal(0, rng.choice([0.0, np.abs(effects).mean()]), (n, n))
            own[:, 0] = 0.0
            form = SizedEffects(effects, by_size, own)
            groups = all_groups(n)
            found = best_gain_partition(np.nansum(form.predict(groups), 1))
            best = found.objective
            bound = gain_bound(effects, by_size, own, found=found.labels)
            unit = max(abs(best), float(np.abs(effects).max()))
            below += bound < best - 1e-9 * unit
            apart.append((bound - best) / unit)
        yield {
            "effects": law,
            "instances": len(apart),
            "below the best": int(below),
            "met to 1e-4": float(np.mean(np.array(apart) <= 1e-4)),
            "largest gap": float(max(apart)),
            "target": "0 below",
            "verdict": "NOT HELD" if below else "held",
        }


def no_effect(arguments: argparse.Namespace) -> Iterator[Row]:
    """Comparisons without any effect, read after every seed: a verdict is false."""
    yield from comparisons_without_effect(quick=arguments.quick)


def clear_effect(arguments: argparse.Namespace) -> Iterator[Row]:
    """Comparisons in which an arm is better by twice the noise floor, read after every seed and once."""
    yield from comparisons_with_a_clear_effect(quick=arguments.quick)


SECTIONS = {
    "tables": tables,
    "designs": designs,
    "planted": planted,
    "bounds": bounds,
    "no effect": no_effect,
    "clear effect": clear_effect,
}


if __name__ == "__main__":
    main()
