"""Groups that may share tasks, each task served by its best group: the selection problem of TAG.

Fifty et al., "Efficiently identifying task groupings for multi-task learning" (2021): with a budget of k
networks, choose k sets of tasks so that the sum over tasks of the affinity onto the task from its best set is
largest. The affinity onto u from a set S is the mean of T_uv over the other members v. TAG enumerates by
branch and bound; here the bound is Lagrangian, which also removes most sets before branching.

A partition is a choice, too: the search starts from the best one, and never returns less.

With a multiplier p_u for "u is served", a choice of k sets is worth at most sum_u p_u plus the k largest of
the reduced values rho(S) = sum over u in S of max(a(u, S) - p_u, 0), for any p.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.grouping._partition import Labels, Matrix, refuse_bad_k
from cotune.grouping._validation import check_square
from cotune.grouping.gain_partition import MOST_TASKS, all_groups, best_up_to
from cotune.grouping.gain_search import search_gain_partition

MAX_SETS = 200_000
SUBGRADIENT_STEPS = 400


@dataclass(frozen=True, slots=True)
class OverlappingGroups(Brief):
    """A choice of possibly overlapping groups.

    Parameters
    ----------
    groups : tuple of tuple of int
        At most k sets of tasks, ascending.
    served_by : ndarray of shape (n,)
        Index in ``groups`` of the group whose model serves each task.
    value : float
        Sum over tasks of the affinity onto the task from the rest of that group.
    upper_bound : float
        No choice of k groups is worth more.
    certified : bool
        Whether ``value`` is the optimum.
    """

    groups: tuple[tuple[int, ...], ...]
    served_by: Labels
    value: float
    upper_bound: float
    certified: bool


def select_overlapping(
    T: ArrayLike, n_groups: int, *, max_size: int | None = None, node_limit: int = 200_000
) -> OverlappingGroups:
    """Choose at most k groups, which may share tasks, so that every task is served as well as possible.

    Parameters
    ----------
    T : array-like of shape (n, n)
        T_uv is the affinity of task v onto task u; T_uu is what u is worth in a group of its own. Not
        symmetrised: helping and being helped are different here.
    n_groups : int
        The budget k, from 1 to n.
    max_size : int, optional
        Largest group considered; all sizes unless given.
    node_limit : int
        Nodes after which the search stops and reports its bound.

    Returns
    -------
    OverlappingGroups
        The optimum when ``certified``; never worth less than the best partition into at most k groups (up
        to 16 tasks of all partitions, beyond of those that a search finds).

    Raises
    ------
    InputError
        If T is not a finite square matrix, k is out of range, the groups of ``max_size`` cannot cover
        all tasks, or there are more than ``MAX_SETS`` candidate groups.
    """
    matrix = check_square(T)
    n = len(matrix)
    k = refuse_bad_k(n_groups, n, "select_overlapping")
    size = n if max_size is None else max_size
    if not 1 <= size <= n or k * size < n:
        raise InputError(
            f"max_size must be from 1 to {n} and {k} groups of it must cover {n} tasks, got {max_size!r}."
        )
    members = _candidates(n, size)
    gains = set_affinities(matrix, members)
    search = _Search(gains, k, node_limit)
    groups = _best_partition(matrix, k, size)
    search.offer([int(np.flatnonzero((members == group).all(axis=1))[0]) for group in groups])
    search.run()
    chosen = [index for index in search.best if np.any(search.server() == index)]
    order = sorted(chosen, key=lambda index: tuple(np.flatnonzero(members[index])))
    position = {index: place for place, index in enumerate(order)}
    return OverlappingGroups(
        tuple(tuple(int(task) for task in np.flatnonzero(members[index])) for index in order),
        np.array([position[int(index)] for index in search.server()], dtype=np.intp),
        search.value,
        search.bound,
        search.complete,
    )


def _candidates(n: int, max_size: int) -> Matrix:
    """All sets of at most ``max_size`` tasks as rows of booleans, shape (m, n)."""
    rows = np.zeros((1, n), dtype=bool)
    for task in range(n):
        more = rows[rows.sum(axis=1) < max_size].copy()
        more[:, task] = True
        rows = np.concatenate([rows, more])
        if len(rows) > MAX_SETS:
            raise InputError(
                f"{n} tasks have more than {MAX_SETS} groups of up to {max_size} tasks; "
                f"set a smaller max_size."
            )
    return rows[1:]


def set_affinities(T: Matrix, members: Matrix) -> Matrix:
    """a(u, S): mean of T_uv over the other members of S, T_uu for a set of one, -inf where u is not in S.

    Parameters
    ----------
    T : ndarray of shape (n, n)
        Affinities of the column's task onto the row's.
    members : ndarray of shape (m, n)
        Sets as rows of booleans.

    Returns
    -------
    ndarray of shape (m, n)
        One row a set.
    """
    others = T - np.diag(np.diag(T))
    count = members.sum(axis=1, keepdims=True)
    mean = members @ others.T / np.maximum(count - 1, 1)
    return np.asarray(np.where(members, np.where(count == 1, np.diag(T), mean), -np.inf))


def _best_partition(T: Matrix, k: int, max_size: int) -> list[Matrix]:
    """Rows of booleans of the best partition into at most k groups of a size; none where none is found."""
    n = len(T)
    if n <= MOST_TASKS:
        members = all_groups(n)
        affinities = set_affinities(T, members)
        worth = np.where(members, affinities, 0.0).sum(axis=1)
        worth[members.sum(axis=1) > max_size] = -np.inf
        found = best_up_to(worth, k)
    else:
        by_size = 1.0 / np.maximum(np.arange(n), 1)
        own = np.zeros((n, n))
        own[:, 0] = np.diag(T)
        own[:, max_size:] = -1e3 * max(float(np.abs(T).max()), 1e-300) * n
        found = [search_gain_partition(T, by_size, own, groups) for groups in range(1, k + 1)]
        found = [part for part in found if np.bincount(part.labels).max() <= max_size]
    if not found:
        return []
    best = max(found, key=lambda part: part.objective)
    return [best.labels == group for group in range(int(best.labels.max()) + 1)]


class _Search:
    def __init__(self, gains: Matrix, k: int, node_limit: int) -> None:
        self.gains, self.k, self.node_limit = gains, k, node_limit
        self.value = -np.inf
        self.best: list[int] = []
        self.bound = np.inf
        self.complete = False
        self.nodes = 0

    def run(self) -> None:
        """Bound by subgradients, remove hopeless sets, then branch on the rest."""
        self.offer(self._greedy())
        prices = self._best_prices()
        reduced = np.maximum(self.gains - prices, 0.0).sum(axis=1)
        order = np.argsort(-reduced, kind="stable")
        top = reduced[order]
        margin = 1e-12 * max(1.0, abs(self.value))
        # A set can matter only if it and the k - 1 best others could still beat what is known.
        potential = prices.sum() + top[: self.k - 1].sum() + top
        keep = order[potential > self.value + margin]
        self._branch([], keep, reduced[keep], float(prices.sum()), np.full(self.gains.shape[1], -np.inf))
        self.complete = self.nodes < self.node_limit
        self.bound = self.value if self.complete else max(self.bound, self.value)

    def server(self) -> Labels:
        """Return the chosen set that serves each task, shape (n,)."""
        return np.asarray(np.array(self.best)[self.gains[self.best].argmax(axis=0)])

    def offer(self, chosen: list[int]) -> None:
        """Take a choice of sets where it serves every task and is worth more than the best so far."""
        if not chosen:
            return
        value = float(self.gains[chosen].max(axis=0).sum())
        if value > self.value:
            self.value, self.best = value, list(chosen)

    def _greedy(self) -> list[int]:
        """Start from the set of all, or from sets that cover all, and exchange sets while that helps."""
        floor = float(np.min(self.gains, where=np.isfinite(self.gains), initial=np.inf))
        low = floor - 1.0 - np.ptp(self.gains[np.isfinite(self.gains)]) * self.gains.shape[1]
        finite = np.where(np.isfinite(self.gains), self.gains, low)  # leaving a task out never pays
        chosen: list[int] = []
        current = np.full(finite.shape[1], low)
        for _ in range(self.k):
            chosen.append(int(np.maximum(finite, current).sum(axis=1).argmax()))
            current = np.maximum(current, finite[chosen[-1]])
        for _ in range(50):
            before = list(chosen)
            for place in range(self.k):
                rest = finite[[*chosen[:place], *chosen[place + 1 :]]].max(axis=0, initial=low)
                chosen[place] = int(np.maximum(finite, rest).sum(axis=1).argmax())
            if chosen == before:
                break
        if not np.isfinite(self.gains[chosen].max(axis=0)).all():
            chosen = self._cover(chosen)
        return chosen

    def _cover(self, chosen: list[int]) -> list[int]:
        """Fall back to consecutive blocks of the largest size, which cover all tasks."""
        present = np.isfinite(self.gains)
        largest = int(present.sum(axis=1).max())
        n = self.gains.shape[1]
        wanted = [np.arange(start, min(start + largest, n)) for start in range(0, n, largest)]
        blocks = []
        for tasks in wanted:
            row = np.isin(np.arange(n), tasks)
            blocks.append(int(np.flatnonzero((present == row).all(axis=1))[0]))
        return blocks + chosen[: self.k - len(blocks)]

    def _best_prices(self) -> Matrix:
        """Return multipliers of a small bound, by Polyak's subgradient steps towards the greedy value."""
        prices = best = self.gains[self.best].max(axis=0)
        scale = 1.0
        stalled = 0
        for _ in range(SUBGRADIENT_STEPS):
            excess = np.maximum(self.gains - prices, 0.0)
            reduced = excess.sum(axis=1)
            top = np.argpartition(reduced, -self.k)[-self.k :]
            bound = float(prices.sum() + reduced[top].sum())
            if bound < self.bound - 1e-12:
                self.bound, best, stalled = bound, prices, 0
            else:
                stalled += 1
                if stalled == 10:
                    scale, stalled = scale / 2.0, 0
            slope = 1.0 - (excess[top] > 0).sum(axis=0)
            length = float(slope @ slope)
            if length == 0 or self.bound - self.value <= 1e-12 or scale < 1e-4:
                break
            prices = prices - scale * (bound - self.value) / length * slope
        return np.asarray(best)

    def _branch(self, chosen: list[int], sets: Labels, reduced: Matrix, base: float, current: Matrix) -> None:
        """Extend a choice by sets in order of reduced value, while the bound allows an improvement."""
        self.nodes += 1
        left = self.k - len(chosen)
        if chosen:
            value = float(current.sum())
            if value > self.value:
                self.value, self.best = value, list(chosen)
        if left == 0:
            return
        margin = 1e-12 * max(1.0, abs(self.value))
        for place in range(len(sets)):
            if self.nodes >= self.node_limit:
                return
            if base + float(reduced[place : place + left].sum()) <= self.value + margin:
                return
            following = np.maximum(current, self.gains[sets[place]])
            self._branch(
                [*chosen, int(sets[place])],
                sets[place + 1 :],
                reduced[place + 1 :],
                base + float(reduced[place]),
                following,
            )
