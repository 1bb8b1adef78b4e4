"""The mean of a set of tasks and its two sources of uncertainty: test examples and training seeds.

The tasks are those of the study, not a sample of tasks, so they add no uncertainty. For one task with values
d[s, e] of seed s on example e,

    se_examples = sd over e of mean_s d[s, e] / sqrt(E)
    se_seeds    = sd over s of mean_e d[s, e] / sqrt(S)

and the interval is mean ± t(dof) * sqrt(se_examples^2 + se_seeds^2), with the Welch-Satterthwaite degrees of
freedom of the two parts. The interaction of seeds and examples counts in both parts, so the interval errs on
the wide side; with two seeds only and a seed part larger than the example part it errs on the narrow side
(simulated: it then covers the truth in 89 to 92 % instead of 95 %). Averages over tasks add the example parts
as independent, but first average the tasks that share their test examples example by example: twenty
instructions for one data set have no more examples than one. They keep a seed together across tasks and
budgets, since one training serves several tasks.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from cotune.findings.comparison._types import CONFIDENCE, MeanWithMargin

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SeedValues:
    """Values (E,) of one task at one budget, by training seed.

    ``examples`` names the set of test examples that the task shares with others; empty for its own.
    """

    task: str
    budget: int
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
    """Degrees of freedom of a sum of independent variances (Welch-Satterthwaite); NaN if they are all 0."""
    largest = max(variances)
    if not largest > 0:
        return math.nan
    # Ratios to the largest keep the fourth powers of tiny losses away from underflow.
    ratios = [v / largest for v in variances]
    return sum(ratios) ** 2 / sum(r * r / dof for r, dof in zip(ratios, dofs, strict=True))


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
    total = examples + seeds
    dof = margin = math.nan
    if total == 0:
        margin = 0.0
    elif total > 0:
        dof = _satterthwaite([examples, seeds], [example_dof, seed_dof])
        margin = float(stdtrit(dof, (1 + CONFIDENCE) / 2)) * math.sqrt(total)
    return MeanWithMargin(
        mean=float(np.mean([np.mean([cell.seed_means.mean() for cell in task]) for task in tasks])),
        se_examples=math.sqrt(examples),
        se_seeds=math.sqrt(seeds),
        dof=dof,
        margin=margin,
        examples=sum(len(sharing[0][0].example_means) for sharing in _by_examples(tasks)),
        seeds=len({seed for cell in cells for seed in cell.by_seed}),
    )
