"""Groups by predicted gain: what the tasks of a score table will earn over training each alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune import affinity, grouping
from cotune._repr import Brief
from cotune.affinity.gain_units import GainUnit
from cotune.exceptions import InputError
from cotune.findings.grouping import Interval
from cotune.grouping.gain_partition import MOST_TASKS, all_groups

if TYPE_CHECKING:
    from cotune.affinity import GainPosterior, PredictedGain, SizedEffects, TaskGains
    from cotune.affinity.gain_predictors import PredictorMaker
    from cotune.affinity.predicted_gain import Prediction

LEVEL = 0.9
"""Probability that intervals of gains are made for."""
ROUNDS = 5
"""Times that the predictor is chosen anew by the sizes of the groups that came out."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GainGroups(Brief):
    """The partition of largest predicted gain.

    Parameters
    ----------
    labels : tuple of int
        Group of every task, numbered by first appearance.
    over_alone, over_together : Interval
        Weighted mean gain a task over training each task alone, and over training all together.
    by_task : tuple of Interval
        Gain of every task over training it alone.
    together : float
        Mean gain a task of all together over each alone.
    bound : float
        What the predicted mean gain of no partition exceeds.
    exact : bool
        Whether every partition was compared.
    undecided : bool
        Whether the runs tell nothing of who should be with whom, so that all together or each alone is taken.
    prediction : Prediction
        The predictor that was chosen, and how each did on held-out runs.
    worth : ndarray of shape (2^n,) or SizedEffects
        The weighted sum of gains that are predicted in a group: of every group by its bit mask where all
        partitions were compared, else the effects that it follows from.
    gains : TaskGains
        The runs in units of the tasks.
    weights : ndarray of shape (n,)
        Of the tasks.
    """

    labels: tuple[int, ...]
    over_alone: Interval
    over_together: Interval
    by_task: tuple[Interval, ...]
    together: float
    bound: float
    exact: bool
    undecided: bool
    prediction: Prediction
    worth: Array | SizedEffects
    gains: TaskGains
    weights: Array

    def value_of(self, labels: Sequence[int]) -> float:
        """Predict the mean gain a task of another partition."""
        groups = _members(np.asarray(labels))
        if isinstance(self.worth, np.ndarray):
            worth = self.worth[groups @ (1 << np.arange(groups.shape[1]))]
        else:
            worth = _sum(self.worth.predict(groups), groups, self.weights)
        return float(worth.sum() / self.weights.sum())

    @property
    def by_group(self) -> tuple[float, ...]:
        """Weighted mean gain of the tasks of every group, over training each alone."""
        gains, labels = np.array([gain.value for gain in self.by_task]), np.array(self.labels)
        total = np.bincount(labels, self.weights)
        worth = np.bincount(labels, self.weights * gains)
        return tuple(np.where(total > 0, worth / np.where(total > 0, total, 1.0), 0.0).tolist())

    @property
    def optimal(self) -> bool:
        """Whether no partition has a larger predicted gain."""
        return (self.exact and not self.undecided) or self.bound - self.over_alone.value <= 1e-5 * max(
            abs(self.bound), 1e-12
        )


def gain_groups(
    membership: ArrayLike,
    scores: ArrayLike,
    *,
    n_clusters: int | None = None,
    weights: ArrayLike | None = None,
    unit: GainUnit = "own_score",
    predictors: Sequence[PredictorMaker] = (),
    draws: int = 500,
    seed: int = 0,
) -> GainGroups:
    """Group tasks by the gain that their runs predict.

    Parameters
    ----------
    membership : array_like of bool, shape (m, n)
        Whether task i was trained in run r; every task alone in at least one.
    scores : array_like of shape (m, n)
        ``f_i(S_r)``, higher is better; ignored where the task was not in the run.
    n_clusters : int, optional
        Number of groups; by default that of the largest gain, 1 and n included.
    weights : array_like of shape (n,), optional
        What a gain of each task is worth, 1 by default.
    unit : {"own_score", "noise"}
        What gains are measured in, see :func:`cotune.affinity.task_gains`.
    predictors : sequence of callable
        What makes further predictors, beside :data:`cotune.affinity.PREDICTORS`.
    draws : int
        Draws from the posterior of the gains behind the intervals; 0 for none.
    seed : int
        Of the draws, and of the search's random starts.

    Raises
    ------
    InputError
        If a task was never trained alone, no run has two tasks, or the weights do not fit.
    """
    gains = affinity.task_gains(membership, scores, unit)
    n = gains.inside.shape[1]
    w = _weights(weights, n)
    prediction = affinity.PredictedGain((*affinity.PREDICTORS, *predictors)).fit(gains)
    labels, bound, worth = _settle(prediction, n, n_clusters, w, seed)
    posterior = affinity.GainPosterior(gains) if draws else None
    undecided = False
    if n_clusters is None and prediction.fell_back_:
        found = labels
        labels = _told_from_extremes(prediction, posterior, found, w, draws, seed)
        undecided = labels is not found
    asked = _asked(labels)
    gain = prediction.predict(asked, believe_runs=_is_exact(n))
    sample = np.empty((0, *asked.shape)) if posterior is None else posterior.draws(asked, draws, seed)
    tasks = np.arange(n)
    share = w / w.sum()
    value, together = gain[labels, tasks], gain[-1]
    drawn, drawn_together = sample[:, labels, tasks], sample[:, -1]
    if not labels.any():  # one group: then there is nothing between the two, in no draw
        together, drawn_together = value, drawn
    difference = drawn @ share - drawn_together @ share
    return GainGroups(
        labels=tuple(int(label) for label in labels),
        over_alone=_gain(float(value @ share), drawn @ share),
        over_together=_gain(float((value - together) @ share), difference),
        by_task=tuple(_gain(float(value[i]), drawn[:, i]) for i in tasks),
        together=float(together @ share),
        bound=max(bound / float(w.sum()), float(value @ share)),
        exact=_is_exact(n),
        undecided=undecided,
        prediction=prediction.result,
        worth=worth,
        gains=gains,
        weights=w,
    )


def _told_from_extremes(
    prediction: PredictedGain,
    posterior: GainPosterior | None,
    labels: NDArray[np.intp],
    w: Array,
    draws: int,
    seed: int,
) -> NDArray[np.intp]:
    """Return the groups, or all together or each alone where the runs do not tell these from them.

    Where nothing beats the tasks' own means, groups of one size differ by noise alone, and the best of
    very many is a little better than all together whatever is true: such groups are taken only where the
    interval of what they gain over the better of the two lies above 0.
    """
    n = len(labels)
    if labels.max() + 1 in (1, n):
        return labels
    together = _worth(prediction, np.ones((1, n), dtype=bool), w)[0]
    if posterior is not None:
        share, sample = w / w.sum(), posterior.draws(_asked(labels), draws, seed)
        rival = sample[:, -1] @ share if together >= 0 else 0.0
        if np.quantile(sample[:, labels, np.arange(n)] @ share - rival, (1.0 - LEVEL) / 2.0) > 0:
            return labels
    return np.zeros(n, dtype=np.intp) if together >= 0 else np.arange(n, dtype=np.intp)


def _is_exact(n: int) -> bool:
    """Whether every partition of so many tasks is compared, and runs of a group itself are believed."""
    return n <= MOST_TASKS


def _members(labels: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return who is in each group, shape (k, n)."""
    return np.asarray(labels == np.arange(labels.max() + 1)[:, None])


def _asked(labels: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return the groups, and all tasks together as the last."""
    return np.vstack([_members(labels), np.ones((1, len(labels)), dtype=bool)])


def _worth(prediction: PredictedGain, groups: NDArray[np.bool_], w: Array) -> Array:
    """Return the weighted sum of the gains that are predicted in each group, shape (q,)."""
    return _sum(prediction.predict(groups, believe_runs=_is_exact(groups.shape[1])), groups, w)


def _sum(gain: Array, groups: NDArray[np.bool_], w: Array) -> Array:
    return np.asarray(np.where(groups, gain, 0.0) @ w)


def _weights(weights: ArrayLike | None, n: int) -> Array:
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
    if w.shape != (n,) or not (np.isfinite(w) & (w >= 0)).all() or not w.sum() > 0:
        raise InputError(f"Weights must be {n} numbers of at least 0, one a task and not all 0, got {w}.")
    return w


def _settle(
    prediction: PredictedGain, n: int, k: int | None, w: Array, seed: int
) -> tuple[NDArray[np.intp], float, Array | SizedEffects]:
    """Return the best partition, its bound and what groups are worth by the predictor best at its sizes."""
    seen: set[int] = set()
    stays = False
    searched: dict[str, NDArray[np.intp]] = {}
    while True:
        worth = _worth(prediction, all_groups(n), w) if _is_exact(n) else _sized(prediction)
        found = _best(prediction, worth, k, w, seed, searched)
        sizes = {int(s) for s in np.bincount(found)}
        if stays or sizes <= seen or len(seen) > ROUNDS:
            break
        before = prediction.chosen_
        seen |= sizes
        prediction.choose(s for s in seen for _ in range(s))
        stays = prediction.chosen_ == before  # yet how far runs are believed may be another: once more
    if k is None:
        found = _fewest(prediction, found, w)
    return found, _bound(prediction, found, n, w), worth


def _fewest(prediction: PredictedGain, labels: NDArray[np.intp], w: Array) -> NDArray[np.intp]:
    """Merge groups that are predicted to lose nothing by it: of equals the fewest adapters are the answer."""
    groups = list(_members(labels))

    def worth(asked: list[NDArray[np.bool_]]) -> Array:
        return _worth(prediction, np.array(asked), w)

    value = worth(groups)
    rise = np.full((len(groups), len(groups)), -np.inf)
    if len(groups) > 1:
        a, b = np.triu_indices(len(groups), 1)
        rise[a, b] = worth([groups[i] | groups[j] for i, j in zip(a, b, strict=True)]) - value[a] - value[b]
    while len(groups) > 1:
        one, other = divmod(int(rise.argmax()), len(groups))
        if rise[one, other] < -1e-9 * max(float(np.abs(value).sum()), 1e-12):
            break
        groups[one] = groups[one] | groups[other]
        value[one] += rise[one, other] + value[other]
        del groups[other]
        value = np.delete(value, other)
        rise = np.delete(np.delete(rise, other, 0), other, 1)
        rest = np.delete(np.arange(len(groups)), one)
        if len(rest):  # all other pairs are as they were
            joined = worth([groups[one] | groups[i] for i in rest]) - value[one] - value[rest]
            rise[np.minimum(one, rest), np.maximum(one, rest)] = joined
    found = np.zeros(len(labels), dtype=np.intp)
    for label, members in enumerate(sorted(groups, key=lambda members: int(members.argmax()))):
        found[members] = label
    return found


def _best(
    prediction: PredictedGain,
    worth: Array | SizedEffects,
    k: int | None,
    w: Array,
    seed: int,
    searched: dict[str, NDArray[np.intp]],
) -> NDArray[np.intp]:
    """Return the best partition; of many tasks what was searched before by the same predictor."""
    if isinstance(worth, np.ndarray):
        return grouping.best_gain_partition(worth, k).labels
    if prediction.chosen_ not in searched:  # how far runs are believed does not matter there
        searched[prediction.chosen_] = grouping.search_gain_partition(
            worth.effects, worth.by_size, worth.own, k, weights=w, random_state=seed
        ).labels
    return searched[prediction.chosen_]


def _bound(prediction: PredictedGain, labels: NDArray[np.intp], n: int, w: Array) -> float:
    """Of all partitions, into however many groups; the value itself where all were compared."""
    if _is_exact(n):
        return float(_worth(prediction, _members(labels), w).sum())
    form = _sized(prediction)
    return grouping.gain_bound(form.effects, form.by_size, form.own, weights=w, found=labels)


def _sized(prediction: PredictedGain) -> SizedEffects:
    form = prediction.predictor.sized()
    assert form is not None  # others are not asked about so many tasks
    return form


def groups_of(tasks: Sequence[str], labels: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the tasks of every group."""
    members: list[list[str]] = [[] for _ in range(max(labels) + 1)]
    for task, label in zip(tasks, labels, strict=True):
        members[label].append(task)
    return [tuple(group) for group in members]


def to_dict(groups: GainGroups, tasks: Sequence[str]) -> dict[str, Any]:
    """Return what ``groups.json`` and ``cotune group --json`` hold of a predicted gain."""

    def interval(gain: Interval) -> dict[str, float | None]:
        known = {"value": gain.value, "low": gain.low, "high": gain.high}
        return {key: None if np.isnan(number) else number for key, number in known.items()}

    prediction = groups.prediction
    return {
        "groups": [list(group) for group in groups_of(tasks, groups.labels)],
        "labels": list(groups.labels),
        "unit": groups.gains.unit,
        "weights": dict(zip(tasks, groups.weights.tolist(), strict=True)),
        "level": LEVEL,
        "over_alone": interval(groups.over_alone),
        "over_together": interval(groups.over_together),
        "together_over_alone": groups.together,
        "tasks": {task: interval(gain) for task, gain in zip(tasks, groups.by_task, strict=True)},
        "upper_bound": groups.bound,
        "optimal": groups.optimal,
        "predictor": prediction.chosen_,
        "fell_back": prediction.fell_back_,
        "tested_sizes": list(prediction.tested_sizes_),
        "held_out_error": {
            held.name: {str(size): error for size, error in held.error.items()}
            for held in prediction.held_out_
        },
    }


def _gain(value: float, draws: Array) -> Interval:
    if not draws.size or np.isnan(draws).any():
        return Interval(value=value, low=float("nan"), high=float("nan"))
    low, high = np.quantile(draws, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    # The predictor that the groups are chosen by need not be the middle of the posterior over all laws.
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value))
