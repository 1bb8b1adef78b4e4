"""The mean of a set of tasks and its two sources of uncertainty: test examples and training seeds.

The tasks are those of the study, not a sample of tasks, so they add no uncertainty. For one task with values
d[s, e] of seed s on example e,

    se_examples = sd over e of mean_s d[s, e] / sqrt(E)
    se_seeds    = sd over s of mean_e d[s, e] / sqrt(S)

and the interval is mean ± sqrt((t(E - 1) se_examples)^2 + (t(S - 1) se_seeds)^2): each part with its own
quantile of t. By Banerjee's inequality (1960) such an interval covers the truth at least as often as it
says, whatever the ratio of the parts. One with Welch-Satterthwaite degrees of freedom does not: with two
seeds and a seed part larger than the example part it covered 0.89 where it said 0.95. What one seed does
on one example is estimated in both parts and counts once, in the part where it makes the interval wider;
the other is less by it. Simulated over 14 ratios of the three, with 3, 8 and 30 examples, the interval
covers 0.95 to 0.996 with two seeds, 0.95 to 0.993 with three, 0.95 to 0.992 with five.

Averages over tasks add the example parts as independent, but first average the tasks that share their test
examples example by example: twenty instructions for one data set have no more examples than one. They keep a
seed together across tasks and budgets, since one training serves several tasks.

With few seeds the quantile of t is most of a margin, and more degrees of freedom would narrow it. What was
tried, on components of a variance of which each is known with S - 1: Welch-Satterthwaite over the adapters of
an arm is wrong up to 2.2 times as often as 5 % with two seeds (8 times 0.5 %), where one of 13 adapters
brings most of the variance, as a joint run does beside those of single tasks; so is all that takes the tasks
of one run for independent. Between two arms whose trainings have nothing in common a third of it, on the log
scale, holds: (S - 1)^(2/3) of Welch's to the 1/3, for variances added arm by arm and not of paired
differences, is wrong at most 1.03 times as often as 5 to 0.1 %, for 2 to 16 seeds and all ratios of the two.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from cotune.findings.comparison._budget import Budget
from cotune.findings.comparison._types import CONFIDENCE, MeanWithMargin

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SeedValues:
    """Values (E,) of one task at one budget, by training seed.

    ``examples`` names the set of test examples that the task shares with others; empty for its own.
    """

    task: str
    budget: Budget
    by_seed: Mapping[int, Values]
    examples: str = ""

    @property
    def seed_means(self) -> Values:
        """Mean over examples of every seed, shape (S,)."""
        return np.array([values.mean() for values in self.by_seed.values()])

    @property
    def example_means(self) -> Values:
        """Mean over seeds of every example, shape (E,)."""
        means: Values = np.mean(list(self.by_seed.values()), axis=0)
        return means


def _example_variance(tasks: Sequence[Sequence[SeedValues]]) -> tuple[float, float]:
    """Variance of the average over tasks from the test examples, and its degrees of freedom."""
    variances, dofs = [], []
    for sharing in _by_examples(tasks):
        by_task = [np.mean([cell.example_means for cell in cells], axis=0) for cells in sharing]
        per_example = np.mean(by_task, axis=0)
        if len(per_example) < 2:
            return math.nan, math.nan
        weight = len(sharing) / len(tasks)
        variances.append(weight**2 * float(per_example.var(ddof=1)) / len(per_example))
        dofs.append(len(per_example) - 1)
    return sum(variances), _satterthwaite(variances, dofs)


def _by_examples(tasks: Sequence[Sequence[SeedValues]]) -> list[list[Sequence[SeedValues]]]:
    """Put tasks together that share their test examples."""
    sets: dict[tuple[str, str], list[Sequence[SeedValues]]] = defaultdict(list)
    for cells in tasks:
        examples = cells[0].examples
        sets[examples, "" if examples else cells[0].task].append(cells)
    return list(sets.values())


def _seed_variance(tasks: Sequence[Sequence[SeedValues]]) -> tuple[float, float]:
    """Variance of the average over tasks from the training seeds, and its degrees of freedom.

    Each seed's influence on the average is summed over all tasks and budgets it was used for; for a complete
    design the result is the variance over seeds of the task mean, over S. A cell that has one seed left is
    taken to vary between seeds as the others do, and, which is the worst case, together with them.
    """
    cells = [(cell, 1 / (len(task) * len(tasks))) for task in tasks for cell in task]
    repeated = [(cell, weight) for cell, weight in cells if len(cell.by_seed) > 1]
    if not repeated:
        return math.nan, math.nan
    influence: dict[int, float] = defaultdict(float)
    spreads = []
    for cell, weight in repeated:
        seeds, means = len(cell.by_seed), cell.seed_means
        spreads.append(float(means.var(ddof=1)))
        for seed, deviation in zip(cell.by_seed, means - means.mean(), strict=True):
            influence[seed] += weight * float(deviation) / math.sqrt(seeds * (seeds - 1))
    stderr = math.sqrt(sum(u * u for u in influence.values()))
    alone = sum(weight for cell, weight in cells if len(cell.by_seed) == 1)
    stderr += alone * math.sqrt(sum(spreads) / len(spreads))
    return stderr**2, min(len(cell.by_seed) for cell, _ in repeated) - 1


def _satterthwaite(variances: Sequence[float], dofs: Sequence[float]) -> float:
    """Degrees of freedom of a sum of variances of examples (Welch-Satterthwaite); NaN if they are all 0."""
    largest = max(variances)
    if not largest > 0:
        return math.nan
    # Ratios to the largest keep the fourth powers of tiny losses away from underflow.
    ratios = [v / largest for v in variances]
    return sum(ratios) ** 2 / sum(r * r / dof for r, dof in zip(ratios, dofs, strict=True))


def _shared_variance(tasks: Sequence[Sequence[SeedValues]]) -> float:
    """Variance of the average over tasks from what one seed does on one example, which is in both parts.

    Seeds that some cell lacks are passed over, and 0 is said where it is unknown: it only narrows margins.
    """
    variance = 0.0
    for sharing in _by_examples(tasks):
        cells = [cell for task in sharing for cell in task]
        seeds = sorted(set.intersection(*(set(cell.by_seed) for cell in cells)))
        if len(seeds) < 2:
            continue
        # Of every seed and example the mean over cells, by task and then over tasks, as the average is.
        values = np.mean(
            [np.mean([[cell.by_seed[s] for s in seeds] for cell in task], axis=0) for task in sharing], axis=0
        )
        rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
        freedom = (rest.shape[0] - 1) * (rest.shape[1] - 1)
        if freedom:
            weight = len(sharing) / len(tasks)
            of_most = len(seeds) / max(len(cell.by_seed) for cell in cells)
            variance += weight**2 * float((rest**2).sum()) / freedom / rest.size * of_most
    return variance


def estimate(cells: Sequence[SeedValues]) -> MeanWithMargin:
    """Mean over tasks (equal weights) of the mean over budgets, seeds and examples, with its 95 % margin.

    Parameters
    ----------
    cells : sequence of SeedValues
        At least one; all cells of a task have the same number of examples.

    Returns
    -------
    MeanWithMargin
        Margin NaN where a task has one example or all have one seed, 0 where the values do not vary at all.
    """
    by_task: dict[str, list[SeedValues]] = defaultdict(list)
    for cell in cells:
        by_task[cell.task].append(cell)
    tasks = list(by_task.values())
    examples, example_dof = _example_variance(tasks)
    seeds, seed_dof = _seed_variance(tasks)
    sets = _by_examples(tasks)
    found = MeanWithMargin(
        mean=float(np.mean([np.mean([cell.seed_means.mean() for cell in task]) for task in tasks])),
        se_examples=math.sqrt(examples),
        se_seeds=math.sqrt(seeds),
        se_shared=math.sqrt(_shared_variance(tasks)),
        dof_examples=example_dof,
        dof_seeds=seed_dof,
        margin=math.nan,
        examples=sum(len(sharing[0][0].example_means) for sharing in sets),
        example_sets=len(sets),
        seeds=len({seed for cell in cells for seed in cell.by_seed}),
    )
    return replace(found, margin=margin_at(found, CONFIDENCE))


def added(
    found: MeanWithMargin,
    cells: Sequence[SeedValues],
    left: Sequence[SeedValues],
    right: Sequence[SeedValues],
) -> MeanWithMargin:
    """Return a difference with the seeds' part of two arms that have nothing in common, each by itself.

    Parameters
    ----------
    found : MeanWithMargin
        The mean of the differences.
    cells : sequence of SeedValues
        The differences; those that are 0 throughout are of one training that both arms share.
    left, right : sequence of SeedValues
        Values of either arm, of the same tasks, budgets and seeds in the same order.
    """
    differ = [any(np.any(values != 0) for values in cell.by_seed.values()) for cell in cells]
    share = sum(differ) / len(differ)
    sides = []
    for side in (left, right):
        by_task: dict[str, list[SeedValues]] = defaultdict(list)
        for cell, kept in zip(side, differ, strict=True):
            if kept:
                by_task[cell.task].append(cell)
        sides.append(_seed_variance(list(by_task.values())) if by_task else (0.0, math.nan))
    (one, dof), (other, _) = sides
    variance = one + other
    if not variance > 0:
        return found
    welch = dof * variance**2 / (one**2 + other**2)
    more = replace(
        found,
        se_seeds=share * math.sqrt(variance),
        dof_seeds=dof ** (2 / 3) * welch ** (1 / 3),
    )
    return replace(more, margin=margin_at(more, CONFIDENCE))


def margin_at(found: MeanWithMargin, confidence: float) -> float:
    """Half width of the interval at another confidence level; NaN where a part is unknown."""
    return float(_margins(_parts([found]), np.array([confidence]))[0])


def p_values(found: Sequence[MeanWithMargin]) -> Values:
    """Return the least significance at which the interval of each mean leaves 0 out; NaN without a margin."""
    parts = _parts(found)
    mean = np.array([abs(f.mean) for f in found])
    known = np.array([not math.isnan(f.margin) for f in found], dtype=bool)
    low, high = np.full(len(found), -14.0), np.zeros(len(found))
    for _ in range(40):  # bisection in powers of ten, as the margin falls while the significance grows
        middle = (low + high) / 2
        outside = mean > _margins(parts, 1 - 10.0**middle)
        low, high = np.where(outside, low, middle), np.where(outside, middle, high)
    return np.where(known, np.where(mean > 0, 10.0**high, 1.0), np.nan)


def _parts(found: Sequence[MeanWithMargin]) -> tuple[Values, Values, Values]:
    """Return variances of examples and seeds (n, 2), their degrees of freedom, and what is in both (n, 1)."""
    stderr = np.array([(f.se_examples, f.se_seeds) for f in found]).reshape(-1, 2)
    dof = np.array([(f.dof_examples, f.dof_seeds) for f in found]).reshape(-1, 2)
    dof[stderr == 0] = 1.0  # any, as a part that does not vary has none
    shared = np.array([f.se_shared for f in found]).reshape(-1, 1)
    return stderr**2, dof, shared**2


def _margins(parts: tuple[Values, Values, Values], confidence: Values) -> Values:
    variances, dof, shared = parts
    squares = stdtrit(dof, (1 + confidence[:, None]) / 2) ** 2
    whole = squares * variances
    less = squares * np.maximum(variances - shared, 0)
    return np.asarray(np.sqrt(np.maximum(whole[:, 0] + less[:, 1], less[:, 0] + whole[:, 1])))


def with_more(found: MeanWithMargin, *, seeds: int = 0, examples: int = 0) -> MeanWithMargin:
    """Foresee the margin of the same mean with more seeds, or more examples in every set of them.

    What one seed does on one example is in both parts and shrinks with either.
    """
    by_seeds = found.seeds / (found.seeds + seeds)
    each = found.examples / found.example_sets
    by_examples = each / (each + examples)
    shared = found.se_shared**2
    more = replace(
        found,
        se_examples=_shrunk(found.se_examples, shared, by_examples, by_seeds),
        se_seeds=_shrunk(found.se_seeds, shared, by_seeds, by_examples),
        se_shared=math.sqrt(shared * by_seeds * by_examples),
        dof_examples=found.dof_examples * (each + examples - 1) / max(each - 1, 1),
        dof_seeds=found.dof_seeds * (found.seeds + seeds - 1) / max(found.seeds - 1, 1),
        examples=found.examples + examples * found.example_sets,
        seeds=found.seeds + seeds,
    )
    return replace(more, margin=margin_at(more, CONFIDENCE))


def _shrunk(stderr: float, shared: float, own: float, other: float) -> float:
    both = min(shared, stderr**2)  # by chance its estimate may be larger than the part that it belongs to
    return math.sqrt((stderr**2 - both + both * other) * own)
