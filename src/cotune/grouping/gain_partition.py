"""The partition of largest predicted gain: exact for few tasks, by dynamic programming over subsets.

The gain of a partition is the sum of the gains of its groups, and a group's is the weighted sum of its tasks'
gains over training alone. With top(S) the last task of S,

    best(S) = max over groups C with top(S) in C, C within S, of gain(C) + best(S without C):

for all S with one last task a (max, +) convolution over subsets, as in :mod:`cotune.grouping.exact`. The
number of groups, 1 and n included, follows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.exceptions import InputError
from cotune.grouping._partition import Labels, Matrix, first_appearance, refuse_bad_k
from cotune.grouping.exact import ExactPartition, _max_plus, _next_layer, _subsets

MOST_TASKS = 16
"""Tasks up to which every partition is looked at."""


def all_groups(n: int) -> NDArray[np.bool_]:
    """Return every set of n tasks by its bit mask, shape (2^n, n)."""
    return (np.arange(1 << n)[:, None] >> np.arange(n)) & 1 > 0


def sized_gain(
    effects: ArrayLike,
    by_size: ArrayLike,
    own: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
) -> float:
    """Return the gain of a partition under effects of pairs and sizes.

    A task i in a group S of s tasks gains ``by_size[s-1] * sum over j in S of effects[i, j] + own[i, s-1]``.

    Parameters
    ----------
    effects : array_like of shape (n, n)
        Of task j on task i.
    by_size : array_like of shape (n,)
        Factor of a group of s tasks.
    own : array_like of shape (n, n)
        What company of a size does to a task whoever it is.
    labels : array_like of shape (n,)
        The group of every task.
    weights : array_like of shape (n,), optional
        Of the tasks, 1 each by default.
    """
    E, h, own = np.asarray(effects, float), np.asarray(by_size, float), np.asarray(own, float)
    labels = first_appearance(labels)
    same = labels[:, None] == labels[None, :]
    at = same.sum(1) - 1
    gain = h[at] * np.where(same, E, 0.0).sum(1) + own[np.arange(len(E)), at]
    return float((gain * (1.0 if weights is None else np.asarray(weights, float))).sum())


def best_gain_partition(gains: ArrayLike, n_clusters: int | None = None) -> ExactPartition:
    """Return the best of all partitions of up to 16 tasks.

    Parameters
    ----------
    gains : array_like of shape (2^n,)
        Gain of every group by its bit mask; the empty set's is ignored.
    n_clusters : int, optional
        Into how many groups; by default as many as gain most.

    Returns
    -------
    ExactPartition
        Labels and their gain, which no other partition (into as many groups) exceeds.

    Raises
    ------
    InputError
        If the number of gains is not 2^n for n from 1 to 16, or one is not finite.
    """
    value = np.array(gains, dtype=float)
    n = len(value).bit_length() - 1
    if value.ndim != 1 or len(value) != 1 << n or not 1 <= n <= MOST_TASKS:
        raise InputError(f"gains must hold 2^n numbers, n from 1 to {MOST_TASKS}, got shape {value.shape}.")
    if not np.isfinite(value[1:]).all():
        raise InputError(
            f"The gain of the group with bit mask {1 + int(np.isfinite(value[1:]).argmin())} is missing."
        )
    value[0] = -np.inf
    if n_clusters is None:
        best = np.zeros(1 << n)
        for task in range(n):
            size = 1 << task
            best[size : 2 * size] = _max_plus(value[size : 2 * size], best[:size])
        layers = None
    else:
        refuse_bad_k(n_clusters, n, "best_gain_partition")
        layers = [value]
        for _ in range(2, n_clusters):
            layers.append(_next_layer(value, layers[-1], n))
        best = value
    return _trace(value, best, layers, n, n_clusters or 0)


def best_up_to(value: Matrix, k_max: int) -> list[ExactPartition]:
    """Return the best partition into each number of groups up to ``k_max`` that has one.

    Parameters
    ----------
    value : ndarray of shape (2^n,)
        Of every group by its bit mask, n at most 16; -inf where there is no such group.
    k_max : int
        Most groups.
    """
    n = len(value).bit_length() - 1
    value = value.copy()
    value[0] = -np.inf
    layers = [value]
    for _ in range(2, k_max):
        layers.append(_next_layer(value, layers[-1], n))
    found = [_trace(value, value, layers, n, k) for k in range(1, k_max + 1)]
    return [part for part in found if np.isfinite(part.objective)]


def _trace(value: Matrix, best: Matrix, layers: list[Matrix] | None, n: int, k: int) -> ExactPartition:
    """Read off the groups, each the one that made the best of what was left."""
    labels: Labels = np.zeros(n, dtype=np.intp)
    rest, group, total = (1 << n) - 1, 0, 0.0
    while rest:
        top = 1 << (rest.bit_length() - 1)
        below = _subsets(rest ^ top)
        if layers is None:
            chosen = top | int(below[int((value[top | below] + best[(rest ^ top) ^ below]).argmax())])
        elif k - group == 1:
            chosen = rest
        else:
            below = below[:-1]  # something must be left for the other groups
            after = layers[k - group - 2][(rest ^ top) ^ below]
            chosen = top | int(below[int((value[top | below] + after).argmax())])
        labels[[task for task in range(n) if chosen >> task & 1]] = group
        total += float(value[chosen])
        rest, group = rest ^ chosen, group + 1
    return ExactPartition(first_appearance(labels), total)
