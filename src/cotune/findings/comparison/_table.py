"""The records of a comparison, checked and indexed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from cotune.exceptions import InputError
from cotune.findings.comparison._budget import Budget, budget_order
from cotune.findings.comparison._looks import Look
from cotune.findings.comparison._statistics import SeedValues, Values, added, estimate, margin_at
from cotune.findings.comparison._types import CONFIDENCE, ArmScore, MeanWithMargin, MetricTasks


class PairedScores:
    """Values per example by arm, budget, task and seed.

    Parameters
    ----------
    records : iterable of ArmScore
        In any order.
    arms : sequence of str
        The arms to keep.
    look : Look, optional
        Which look at a comparison that ends once it is decided.
    apart : collection of str
        Arms whose trainings under one seed have nothing in common.

    Raises
    ------
    InputError
        If no record is left, a record occurs twice or is not finite, the records of one task differ in their
        metric, its direction or their test examples, or tasks that share these differ in their number.
    """

    def __init__(
        self,
        records: Iterable[ArmScore],
        arms: Sequence[str],
        look: Look | None = None,
        apart: Collection[str] = (),
    ) -> None:
        self._look, self._apart = look, frozenset(apart)
        kept = [record for record in records if record.arm in arms]
        if not kept:
            raise InputError(
                f"The comparison has no record of any of the arms {', '.join(arms)}; at least one is needed."
            )
        self._values: dict[tuple[str, Budget, str], dict[int, Values]] = defaultdict(dict)
        self._first: dict[str, ArmScore] = {}
        self._shared: dict[str, ArmScore] = {}
        self.recomputed: dict[str, None] = {}
        self._seeds: dict[Budget, set[int]] = defaultdict(set)
        for record in kept:
            self._add(record)

    def _add(self, record: ArmScore) -> None:
        _check_finite(record)
        _check_same_task(record, self._first.setdefault(record.task, record))
        if record.examples:
            _check_same_examples(record, self._shared.setdefault(record.examples, record))
        by_seed = self._values[record.arm, record.budget, record.task]
        if record.seed in by_seed:
            raise InputError(f"{_where(record)} has two records; a comparison takes one of each.")
        by_seed[record.seed] = np.array(record.per_example, dtype=float)
        self._seeds[record.budget].add(record.seed)
        mean = float(by_seed[record.seed].mean())
        if not math.isclose(mean, record.value, rel_tol=1e-5, abs_tol=1e-9):
            self.recomputed[record.task] = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """All tasks, by first appearance."""
        return tuple(self._first)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """All budgets, ascending."""
        return tuple(sorted(self._seeds, key=budget_order))

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds, ascending."""
        return tuple(sorted(set().union(*self._seeds.values())))

    @property
    def metrics(self) -> tuple[MetricTasks, ...]:
        """Metrics with their tasks, the metric of most tasks first (ties by first appearance)."""
        by_metric: dict[tuple[str, bool], list[str]] = defaultdict(list)
        for task, record in self._first.items():
            by_metric[record.metric, record.higher_is_better].append(task)
        return tuple(
            MetricTasks(name, higher, tuple(tasks))
            for (name, higher), tasks in sorted(by_metric.items(), key=lambda item: -len(item[1]))
        )

    def cell(self, arm: str, budget: Budget, task: str) -> SeedValues | None:
        """Return the scores of an arm in the metric's own direction, or ``None`` without a record."""
        by_seed = self._values.get((arm, budget, task))
        return SeedValues(task, budget, by_seed, self._examples(task)) if by_seed else None

    def difference(self, reference: str, arm: str, budget: Budget, task: str) -> SeedValues | None:
        """Pair two arms: ``reference`` minus ``arm``, turned so that positive is better, by common seed."""
        left = self._values.get((reference, budget, task), {})
        right = self._values.get((arm, budget, task), {})
        sign = 1.0 if self._first[task].higher_is_better else -1.0
        paired = {seed: sign * (left[seed] - right[seed]) for seed in left if seed in right}
        return SeedValues(task, budget, paired, self._examples(task)) if paired else None

    def _examples(self, task: str) -> str:
        return self._first[task].examples

    def look_of(self, *arms: str) -> Look | None:
        """Return the look at which arms were last read together; None where they are read once."""
        return self._look.of(*arms) if self._look is not None else None

    def gain(self, reference: str, arm: str, cells: Sequence[SeedValues]) -> MeanWithMargin:
        """Return the mean of differences of two arms, with a margin that holds over all looks together."""
        found = estimate(cells)
        if {reference, arm} <= self._apart and not math.isnan(found.se_seeds):
            found = added(found, cells, *([self._side(name, c) for c in cells] for name in (reference, arm)))
        look = self.look_of(reference, arm)
        if look is None:
            return found
        return replace(found, margin=margin_at(found, 1 - look.significance(1 - CONFIDENCE)))

    def _side(self, arm: str, cell: SeedValues) -> SeedValues:
        """Return the values of one arm that a difference is of."""
        values = self._values[arm, cell.budget, cell.task]
        return replace(cell, by_seed={seed: values[seed] for seed in cell.by_seed})

    def expected_pairs(self, tasks: Sequence[str], budgets: Sequence[Budget], *arms: str) -> int:
        """Count the pairs (task, seed, budget) of a complete design: every seed the arms are trained with.

        Where there is one look, they are those that any arm used at a budget.
        """
        seeds = None
        if self._look is not None:
            seeds = self._look.planned[0]
            if (read := self.look_of(*arms)) is not None:
                seeds = read.seeds
        return len(tasks) * sum(len(self._seeds[budget]) if seeds is None else seeds for budget in budgets)

    def lacking(self, arm: str) -> int:
        """Count the records that a complete design would have of an arm and this one has not."""
        have = sum(len(by_seed) for (name, _, _), by_seed in self._values.items() if name == arm)
        return self.expected_pairs(self.tasks, self.budgets, arm) - have


def _where(record: ArmScore) -> str:
    return f"Task {record.task!r} of arm {record.arm!r} at budget {record.budget}, seed {record.seed}"


def _check_finite(record: ArmScore) -> None:
    if not record.per_example:
        raise InputError(
            f"{_where(record)} has no values per example; at least one is needed to pair two arms."
        )
    if not all(math.isfinite(value) for value in (record.value, *record.per_example)):
        raise InputError(
            f"{_where(record)} has a score that is not finite; leave the record of a diverged run out."
        )


def _check_same_task(record: ArmScore, first: ArmScore) -> None:
    for attribute, words in (
        ("metric", "metric"),
        ("higher_is_better", "direction (higher_is_better)"),
        ("examples", "set of test examples"),
    ):
        ours, theirs = getattr(record, attribute), getattr(first, attribute)
        if ours != theirs:
            raise InputError(
                f"{_where(record)} has the {words} {ours!r} but another record of the task has {theirs!r}; "
                "all records of a task must agree."
            )
    if len(record.per_example) != len(first.per_example):
        raise InputError(
            f"{_where(record)} has {len(record.per_example)} test examples but another record of the task "
            f"has {len(first.per_example)}; all records of a task must score the same examples."
        )


def _check_same_examples(record: ArmScore, first: ArmScore) -> None:
    if len(record.per_example) != len(first.per_example):
        raise InputError(
            f"{_where(record)} has {len(record.per_example)} test examples but task {first.task!r}, which "
            f"shares them, has {len(first.per_example)}; both must be scored on the same."
        )
