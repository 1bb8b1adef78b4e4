"""Whether what instruction tuning does to transfer early tells what it does in context in the end.

The last claim of the paper's abstract: "early into training, the impact of instruction-tuning on model
transfer to tasks impacts in-context generalization on that task". Tasks are compared within a run, since the
claim is of tasks: a run that is better throughout says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cotune._repr import Brief
from cotune.findings.transfer._records import (
    HeldOutResult,
    TransferCheckpoint,
    TransferData,
    TransferPoint,
    TransferRun,
)
from cotune.findings.transfer._statistics import quantiles

Values = NDArray[np.float64]
Interval = tuple[float, float]
Measure = Literal["score", "loss"]

FEWEST_TASKS = 5
"""With fewer no order of the tasks is rare enough to be told from chance: 24 of four, two-sided 1 in 12."""
EARLY = 0.25
"""The share of the steps that counts as early."""
IN_CONTEXT, BEFORE = "in context", "before tuning"
_REPEATS = 2000


@dataclass(frozen=True, slots=True)
class EarlyPrediction(Brief):
    """How well something known early goes with what a task's in-context result changes by in the end.

    Parameters
    ----------
    step : int
        When it is known.
    predictor : str
        What it is: the change after fine-tuning on so many examples; the change ``in context``, which is
        what one would look at without measuring transfer; or the in-context result ``before tuning`` itself.
    measure : str
        ``score`` or ``loss``, of predictor and outcome.
    r : float
        Correlation over tasks within runs; NaN where nothing varies.
    interval : (float, float)
        95 % over resampled tasks and seeds; NaN with fewer tasks than :data:`FEWEST_TASKS`.
    p : float
        Two-sided, of tasks whose outcomes are dealt out anew, the same way in all runs; NaN as above.
    skill : float
        Of tasks and seeds that the line was not fitted on, the share of squared error that it saves beside
        the mean outcome of those it was fitted on; below 0 it does harm. With one seed, of tasks alone.
    skill_interval : (float, float)
        95 % over resampled tasks.
    tasks, runs, seeds : int
        How many.
    """

    step: int
    predictor: str
    measure: Measure
    r: float
    interval: Interval
    p: float
    skill: float
    skill_interval: Interval
    tasks: int
    runs: int
    seeds: int

    @property
    def sign(self) -> int:
        """1 or -1 where interval and p tell the sign of r, else 0."""
        low, high = self.interval
        if not (self.p <= 0.05 and (low > 0 or high < 0)):
            return 0
        return 1 if low > 0 else -1


def early_predictions(data: TransferData) -> tuple[EarlyPrediction, ...]:
    """Correlate what is known at every checkpoint before the last with the changes in context at the end."""
    steps = sorted({c.step for run in data.runs for c in run.checkpoints[:-1] if c.step})
    return tuple(
        found
        for step in steps
        for predictor in (*_numbers(data, step), IN_CONTEXT, BEFORE)
        for measure in ("score", "loss")
        if (found := _prediction(data, step, predictor, measure)) is not None
    )


def of_the_claim(data: TransferData, found: Sequence[EarlyPrediction]) -> EarlyPrediction | None:
    """Return the one that decides: scores, the most examples, the last checkpoint in a quarter of the steps.

    It is chosen before anything is looked at; the others are shown beside it.
    """
    last = max((run.last.step for run in data.runs), default=0)
    fitting = [
        one
        for one in found
        if one.step <= EARLY * last and one.measure == "score" and one.predictor == _examples(data.along[-1])
    ]
    return max(fitting, key=lambda one: one.step, default=None)


def _examples(number: int) -> str:
    return f"{number} examples"


def _numbers(data: TransferData, step: int) -> list[str]:
    """Return the numbers of examples that checkpoints at a step were fine-tuned on, in words."""
    checkpoints = (c for run in data.runs for c in run.checkpoints[:-1] if c.step == step)
    numbers = {point.examples for c in checkpoints for result in c.held_out for point in result.transfer}
    return [_examples(number) for number in sorted(numbers)]


def _prediction(data: TransferData, step: int, predictor: str, measure: Measure) -> EarlyPrediction | None:
    runs = [run for run in data.runs if step in {c.step for c in run.checkpoints[:-1]}]
    pick = partial(_picked, predictor, data.shots)
    rows = [_changes(data, run, step, pick, predictor == BEFORE, measure) for run in runs]
    x, y = (np.array([[pair[at] for pair in row] for row in rows]) for at in (0, 1))
    # Every run has all tasks, so that what is dealt out anew or drawn again is the same in all.
    whole = np.isfinite(x).all(0) & np.isfinite(y).all(0)
    x, y = x[:, whole], y[:, whole]
    if x.shape[1] < 2:
        return None
    seeds = [run.seed for run in runs]
    enough = x.shape[1] >= FEWEST_TASKS
    errors = _held_out_errors(x, y, seeds)
    nowhere = (math.nan, math.nan)
    return EarlyPrediction(
        step=step,
        predictor=predictor,
        measure=measure,
        r=float(_within_runs(x, y, np.ones((1, x.shape[1])), np.ones((1, len(runs))))[0]),
        interval=resampled_interval(x, y, seeds) if enough else nowhere,
        p=dealt_anew(x, y) if enough else math.nan,
        skill=float(_skill(errors, np.ones((1, x.shape[1])))[0]),
        skill_interval=quantiles(_skill(errors, _draws(x.shape[1], _REPEATS, 0))) if enough else nowhere,
        tasks=x.shape[1],
        runs=len(runs),
        seeds=len(set(seeds)),
    )


def _picked(predictor: str, shots: int, result: HeldOutResult) -> TransferPoint | None:
    if predictor in (IN_CONTEXT, BEFORE):
        return result.shown(shots)
    return result.transferred(int(predictor.split()[0]))


def _changes(
    data: TransferData,
    run: TransferRun,
    step: int,
    pick: Callable[[HeldOutResult], TransferPoint | None],
    before_itself: bool,
    measure: Measure,
) -> list[tuple[float, float]]:
    """Return by held-out task what is known at a step, and what changes in context until the end."""
    at_step = next(c for c in run.checkpoints if c.step == step)
    pairs = []
    for task in data.held_out:
        sign = 1.0 if measure == "loss" or task.higher_is_better else -1.0
        value = partial(_value, task.name, measure)
        early = value(data.pretrained, pick)
        if not before_itself:
            early = value(at_step, pick) - early
        shown = partial(_picked, IN_CONTEXT, data.shots)
        pairs.append((sign * early, sign * (value(run.last, shown) - value(data.pretrained, shown))))
    return pairs


def _value(
    task: str,
    measure: Measure,
    checkpoint: TransferCheckpoint,
    pick: Callable[[HeldOutResult], TransferPoint | None],
) -> float:
    result = checkpoint.of(task)
    point = None if result is None else pick(result)
    return math.nan if point is None else float(getattr(point, measure))


def resampled_interval(x: Values, y: Values, seeds: Sequence[int], repeats: int = _REPEATS) -> Interval:
    """Return the 95 % interval of the correlation within runs, over tasks and seeds drawn with replacement.

    Parameters
    ----------
    x, y : ndarray of shape (runs, tasks)
        What is correlated.
    seeds : sequence of int
        That of every run; the runs of a seed are drawn together.
    repeats : int
        How many draws.
    """
    numbers = {seed: at for at, seed in enumerate(dict.fromkeys(seeds))}
    drawn = _draws(len(numbers), repeats, 1)[:, [numbers[seed] for seed in seeds]]
    return quantiles(_within_runs(x, y, _draws(x.shape[1], repeats, 0), drawn))


def dealt_anew(x: Values, y: Values, repeats: int = _REPEATS) -> float:
    """Return the two-sided p of the correlation within runs where the tasks' outcomes are dealt out anew.

    Parameters
    ----------
    x, y : ndarray of shape (runs, tasks)
        What is correlated; every deal is the same in all runs, since runs share their tasks.
    repeats : int
        How many deals.
    """
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    products = x.T @ y
    measured = abs(np.trace(products))
    if not measured > 0:
        return math.nan
    rng = np.random.default_rng(0)
    deals = rng.permuted(np.tile(np.arange(x.shape[1]), (repeats, 1)), axis=1)
    dealt = np.abs(products[np.arange(x.shape[1]), deals].sum(1))
    # Up to rounding: with few tasks many deals are the one that was measured.
    return float((1 + (dealt >= measured * (1 - 1e-9)).sum()) / (1 + repeats))


def _draws(n: int, repeats: int, stream: int) -> Values:
    """Return how often each of n is drawn, of n draws with replacement, by repeat."""
    rng = np.random.default_rng((0, stream))
    return rng.multinomial(n, np.full(n, 1 / n), size=repeats).astype(float)


def _within_runs(x: Values, y: Values, tasks: Values, runs: Values) -> Values:
    """Correlate over tasks within runs, by weights of tasks (b, t) and runs (b, r); else NaN."""

    def product(one: Values, other: Values) -> Values:
        total = tasks.sum(1, keepdims=True)
        means = (tasks @ one.T) * (tasks @ other.T) / total
        return np.asarray(((tasks @ (one * other).T - means) * runs).sum(1))

    # About their means, so that large levels do not drown what varies.
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    squares = product(x, x), product(y, y)
    scale = np.sqrt(np.maximum(squares[0], 0) * np.maximum(squares[1], 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(scale > 1e-12 * (np.abs(x).max() * np.abs(y).max() or 1), product(x, y) / scale, np.nan)
    return np.clip(r, -1, 1)


def _held_out_errors(x: Values, y: Values, seeds: Sequence[int]) -> Values:
    """Squared errors (2, tasks) on what is held out: of a line fitted on the rest, and of the rest's mean."""
    of_seed = np.array(seeds)
    errors = np.zeros((2, x.shape[1]))
    for task in range(x.shape[1]):
        for seed in dict.fromkeys(seeds):
            others = of_seed != seed if len(set(seeds)) > 1 else of_seed == seed
            fitted = np.delete(x[others], task, 1).ravel(), np.delete(y[others], task, 1).ravel()
            own = x[of_seed == seed, task], y[of_seed == seed, task]
            errors[:, task] += _errors(*fitted, *own)
    return errors


def _errors(x: Values, y: Values, asked: Values, truth: Values) -> tuple[float, float]:
    centred = x - x.mean()
    squares = float(centred @ centred)
    slope = float(centred @ y) / squares if squares > 0 else 0.0
    guess = y.mean() + slope * (asked - x.mean())
    return float(((truth - guess) ** 2).sum()), float(((truth - y.mean()) ** 2).sum())


def _skill(errors: Values, weights: Values) -> Values:
    """Share of the squared error that the line saves, by weights of tasks (b, t)."""
    line, mean = weights @ errors[0], weights @ errors[1]
    return np.where(mean > 0, 1 - line / np.where(mean > 0, mean, 1.0), np.nan)
