"""The partition of largest predicted gain among many tasks: moves, merges and splits from several starts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cotune.grouping._partition import Labels, Matrix, first_appearance, refuse_bad_k
from cotune.grouping.exact import ExactPartition
from cotune.grouping.gain_partition import sized_gain

STARTS = 4
"""Random partitions that the search starts from, beside all together and each alone."""
SHAKES = 20
"""Times that up to 100 tasks are searched again from the best after a fifth of them changed their group."""
_LEAST = 1e-12
"""Improvements below this share of the largest effect are rounding."""


class _State:
    """A partition with what its changes would bring."""

    def __init__(self, effects: Matrix, by_size: Matrix, own: Matrix, labels: Labels) -> None:
        self.both = effects + effects.T
        self.h, self.own, self.n = by_size, own, len(effects)
        self.least = _LEAST * max(float(np.abs(effects).max()), float(np.abs(own).max()), 1e-300)
        self._cuts: dict[bytes, list[tuple[float, Labels]]] = {}
        self.set(labels)

    def set(self, labels: Labels) -> None:
        self.labels = first_appearance(labels)
        k = int(self.labels.max()) + 1
        V = np.zeros((self.n, k))
        V[np.arange(self.n), self.labels] = 1.0
        self.size = V.sum(0).astype(int)
        self.reach = self.both @ V  # what task i and group g do to each other
        self.within = np.einsum("ig,ig->g", V, self.reach) / 2.0
        self.owns = V.T @ self.own
        self.cross = V.T @ self.reach
        self.values = self._value(self.within, self.size, self.owns)

    def _value(self, within: Matrix, size: Labels, owns: Matrix) -> Matrix:
        at = np.maximum(size - 1, 0)
        return np.asarray(np.where(size > 0, self.h[at] * within + owns[np.arange(len(size)), at], 0.0))

    def moves(self, *, open_: bool) -> tuple[Matrix, Labels]:
        """Gain of moving task i to group g, shape (n, k) and one column more for a group of its own."""
        i, g, s = np.arange(self.n), self.labels, self.size
        left = s[g] - 1
        at = np.maximum(left - 1, 0)
        leaving = self.h[at] * (self.within[g] - self.reach[i, g]) + self.owns[g, at] - self.own[i, at]
        leaving = np.where(left > 0, leaving, 0.0) - self.values[g]
        at = np.minimum(s, self.n - 1)
        joining = self.h[at] * (self.within + self.reach) + self.owns[np.arange(len(s)), at] + self.own[:, at]
        gain = leaving[:, None] + joining - self.values
        gain[i, g] = -np.inf
        if not open_:
            gain[left == 0] = -np.inf  # the number of groups stays
            return gain, g
        new = leaving + self.own[:, 0]
        return np.column_stack([gain, np.where(left > 0, new, -np.inf)]), g

    def merges(self) -> Matrix:
        """Gain of merging groups g and h, shape (k, k); -inf on and below the diagonal."""
        s = self.size
        at = np.minimum(s[:, None] + s[None, :], self.n) - 1
        first = np.take_along_axis(self.owns, at, 1)
        within = self.within[:, None] + self.within[None, :] + self.cross
        gain = self.h[at] * within + first + first.T - self.values[:, None] - self.values[None, :]
        return np.where(np.triu(np.ones(gain.shape), 1) > 0, gain, -np.inf)

    def best_split(self) -> tuple[float, Labels]:
        """Return the best cut of a group in the order of a leading eigenvector of its effects."""
        best, labels = -np.inf, self.labels
        for group in np.flatnonzero(self.size > 1).tolist():
            for value, part in self._cuts_of(np.flatnonzero(self.labels == group)):
                gain = value - float(self.values[group])
                if gain > best:
                    best, labels = gain, self.labels.copy()
                    labels[part] = self.labels.max() + 1
        return best, labels

    def _cuts_of(self, tasks: Labels) -> list[tuple[float, Labels]]:
        """Return a group's best cut by either eigenvector, and its worth; most groups come back often."""
        key = tasks.tobytes()
        if key not in self._cuts:
            sub = self.both[np.ix_(tasks, tasks)]
            orders = [np.argsort(vector, kind="stable") for vector in np.linalg.eigh(sub)[1].T[-2:]]
            self._cuts[key] = [self._cut(tasks[order], sub[np.ix_(order, order)]) for order in orders]
        return self._cuts[key]

    def _cut(self, tasks: Labels, sub: Matrix) -> tuple[float, Labels]:
        s = len(tasks)
        sums = np.cumsum(np.cumsum(sub, 0), 1)
        first = np.diag(sums)[:-1] / 2.0
        second = (sums[-1, -1] - 2.0 * sums[-1, :-1] + np.diag(sums)[:-1]) / 2.0
        owns = np.cumsum(self.own[tasks], 0)
        a, b = np.arange(s - 1), s - 2 - np.arange(s - 1)
        value = self.h[a] * first + owns[a, a] + self.h[b] * second + (owns[-1, b] - owns[a, b])
        at = int(value.argmax())
        return float(value[at]), tasks[: at + 1]


def search_gain_partition(
    effects: ArrayLike,
    by_size: ArrayLike,
    own: ArrayLike,
    n_clusters: int | None = None,
    *,
    weights: ArrayLike | None = None,
    random_state: int = 0,
) -> ExactPartition:
    """Search a partition of large gain under effects of pairs and sizes; see :func:`sized_gain`.

    Parameters
    ----------
    effects, by_size, own : array_like
        As :func:`sized_gain` has them.
    n_clusters : int, optional
        Into how many groups; by default as many as gain most, 1 and n included.
    weights : array_like of shape (n,), optional
        Of the tasks.
    random_state : int
        Of the random starts.

    Returns
    -------
    ExactPartition
        The best that was found, and its gain; :func:`cotune.grouping.gain_bound` says what it may miss.
    """
    w = np.ones(len(np.asarray(effects))) if weights is None else np.asarray(weights, float)
    E = np.asarray(effects, float) * w[:, None]
    np.fill_diagonal(E := E.copy(), 0.0)
    h, B = np.asarray(by_size, float), np.asarray(own, float) * w[:, None]
    n = len(E)
    if n_clusters is not None:
        refuse_bad_k(n_clusters, n, "search_gain_partition")
    rng = np.random.default_rng(random_state)
    starts = [np.arange(n), np.zeros(n, dtype=np.intp)]
    starts += [rng.integers(0, max(2, round(np.sqrt(n))), n) for _ in range(STARTS)]
    state = _State(E, h, B, starts[0])
    best, labels = -np.inf, starts[0]
    for attempt in range(len(starts) + (SHAKES if n <= 100 else 0)):
        shaken = np.where(rng.random(n) < 0.2, rng.integers(0, labels.max() + 2, n), labels)
        state.set(np.asarray(starts[attempt] if attempt < len(starts) else shaken))
        _climb(state)
        if n_clusters is not None:
            _to(state, n_clusters)
        if state.values.sum() > best + state.least:
            best, labels = float(state.values.sum()), state.labels
    return ExactPartition(labels, sized_gain(E, h, B, labels))


def _climb(state: _State) -> None:
    while True:
        _move(state, open_=True)
        merges = state.merges()
        if merges.size and merges.max() > state.least:
            _merge(state, merges)
            continue
        gain, labels = state.best_split()
        if not gain > state.least:
            return
        state.set(labels)


def _move(state: _State, *, open_: bool) -> None:
    while True:
        gain, labels = state.moves(open_=open_)
        at = int(gain.argmax())
        if not gain.flat[at] > state.least:
            return
        changed = labels.copy()
        changed[at // gain.shape[1]] = at % gain.shape[1]
        state.set(changed)


def _merge(state: _State, merges: Matrix) -> None:
    one, other = np.unravel_index(int(merges.argmax()), merges.shape)
    state.set(np.where(state.labels == other, one, state.labels))


def _to(state: _State, k: int) -> None:
    """Merge or split to k groups where it costs least, then move tasks."""
    while len(state.size) > k:
        _merge(state, state.merges())
    while len(state.size) < k:
        state.set(state.best_split()[1])
    _move(state, open_=False)
