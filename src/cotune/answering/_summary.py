from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cotune._repr import Brief
from cotune.answering._score import InContextScore
from cotune.exceptions import InputError
from cotune.tasks import get_metric


@dataclass(frozen=True, slots=True)
class InContextSummary(Brief):
    """One task at one number of shots, averaged over the draws of the demonstrations.

    Parameters
    ----------
    task : str
        Name of the task.
    shots : int
        Number of demonstrations.
    metric : str
        Name of the metric.
    higher_is_better : bool
        Direction of the metric.
    mean : float
        Mean value over the draws, in the metric's units.
    stderr_draws : float or None
        Standard error of the mean that other demonstrations would cause, the examples fixed; None for a
        single draw.
    stderr_examples : float or None
        Standard error of the mean that other examples would cause, the demonstrations fixed; None for a
        single example and for corpus metrics, which are no means over examples.
    n_draws, n_examples : int
        What the two are over.
    n_cut : int
        Prompts of all draws whose input was cut to fit.
    """

    task: str
    shots: int
    metric: str
    higher_is_better: bool
    mean: float
    stderr_draws: float | None
    stderr_examples: float | None
    n_draws: int
    n_examples: int
    n_cut: int


@dataclass(frozen=True, slots=True)
class NormalisedAverage(Brief):
    """The mean over tasks at one number of shots.

    Parameters
    ----------
    shots : int
        Number of demonstrations.
    mean : float
        In [0, 1].
    stderr_draws : float or None
        From those of the tasks, whose draws are independent; None where a task has a single draw.
    n_tasks : int
        Number of tasks.
    """

    shots: int
    mean: float
    stderr_draws: float | None
    n_tasks: int


def summarise(scores: Iterable[InContextScore]) -> list[InContextSummary]:
    """Average scores over the draws of the demonstrations.

    Parameters
    ----------
    scores : iterable of InContextScore
        Of one model; every draw of a task and number of shots on the same examples.

    Returns
    -------
    list of InContextSummary
        One for each task and number of shots, in the order of their first scores.
    """
    cells: dict[tuple[str, int], list[InContextScore]] = {}
    for score in scores:
        cells.setdefault((score.task, score.shots), []).append(score)
    return [_summarise(cell) for cell in cells.values()]


def _summarise(cell: Sequence[InContextScore]) -> InContextSummary:
    first, metric = cell[0], get_metric(cell[0].metric)
    values = np.array([score.value for score in cell])
    # The mean over draws of each example: its draws are repeated measurements, not more examples.
    examples = np.mean([score.per_example for score in cell], axis=0)
    return InContextSummary(
        task=first.task,
        shots=first.shots,
        metric=first.metric,
        higher_is_better=first.higher_is_better,
        mean=float(values.mean()),
        stderr_draws=_standard_error(values),
        stderr_examples=_standard_error(examples) if metric.corpus is None or metric.parts else None,
        n_draws=len(cell),
        n_examples=len(examples),
        n_cut=sum(score.n_cut for score in cell),
    )


def normalised_average(rows: Iterable[InContextSummary]) -> list[NormalisedAverage]:
    """Average over tasks with every metric on the scale from 0 to 1, each task counting the same.

    This is the normalised average of ProMoT: the four averages published for RTE (17.52, 15.43, 20.10, 22.26)
    are the plain means of the eight 1-shot columns of its Table 2, on a scale from 0 to 100.

    Parameters
    ----------
    rows : iterable of InContextSummary
        From :func:`summarise`.

    Returns
    -------
    list of NormalisedAverage
        One for each number of shots, in the order of the rows.

    Raises
    ------
    InputError
        If a row's metric is a loss, which has no scale from 0 to 1; names the task and the metric.
    """
    by_shots: dict[int, list[InContextSummary]] = {}
    for row in rows:
        if not row.higher_is_better:
            raise InputError(
                f"Task {row.task} is scored with the loss '{row.metric}', which has no scale from 0 to 1; an "
                "average over tasks takes metrics such as accuracy, exact_match, bleu or rouge_2."
            )
        by_shots.setdefault(row.shots, []).append(row)
    return [
        NormalisedAverage(shots, float(np.mean([row.mean for row in group])), _pooled(group), len(group))
        for shots, group in by_shots.items()
    ]


def _standard_error(values: np.ndarray) -> float | None:
    if len(values) < 2:
        return None
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _pooled(rows: Sequence[InContextSummary]) -> float | None:
    errors = [row.stderr_draws for row in rows]
    known = [error for error in errors if error is not None]
    return math.hypot(*known) / len(rows) if len(known) == len(errors) else None
