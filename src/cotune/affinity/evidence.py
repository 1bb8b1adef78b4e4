"""How well a partition of the tasks explains the scores of runs: what adaptive grouping decides by.

Affinities average over runs, and with few runs a task most of them are missing. The runs themselves still say
much: a task's score goes up with the share of its own group in its company.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.special import digamma, gammaln, polygamma

from cotune.affinity._entries import Array, Entries, Labels
from cotune.affinity._group_likelihood import (
    EFFECTS,
    NOISES,
    grid_posterior,
    log_effect_prior,
    log_likelihood,
)
from cotune.affinity._partition_prior import PartitionPrior
from cotune.affinity._placements import Companies, Weighted, placements, sums_of
from cotune.exceptions import InputError

_TOLERANCE = 1e-6


class GroupEvidence:
    """A likelihood of partitions given runs.

    For task i of group c in a run on the subset S,

        f_i(S) = a_i + s_i (b_i x_i(S)) + e,   x_i(S) = |{j in S, j != i, j in c}| / (|S| - 1),

    with a free level a_i, noise e of variance v_i, and an effect b_i ~ N(beta, (beta / 3)^2) of one's own
    group: positive, comparable between tasks, not equal. The task's scale s_i is a share common to all tasks
    times the standard deviation of its scores, shrunk between tasks; v_i is s_i^2 on average, with an inverse
    gamma prior of 4 degrees of freedom. Levels, effects and noises are integrated out: with
    y = (f_i - mean) / s_i and x centred over the task's m runs, q = x'x, z = x'y and t = beta / 3,

        S = y'y - 2 beta z + beta^2 q - t^2 (z - beta q)^2 / (1 + t^2 q),
        log p = -1/2 log(1 + t^2 q) - (m + 3) / 2 * log(1 + S / 4) - (m - 1) log s_i + const,

    summed over tasks. beta is log-normal around 4, within a factor of 2. Any number of groups up to ``k_max``
    is equally likely (:class:`PartitionPrior`). beta and the share are the only parameters (:meth:`fit`). The
    effect is taken to depend on the share of a group and on nothing else about the company: a likelihood to
    find groups by, not an affinity.

    Parameters
    ----------
    membership : array_like of bool, shape (m, n)
        Whether task i was trained in run r. Runs of one task say nothing here and are passed over.
    scores : array_like of shape (m, n)
        ``f_i(S_r)``, higher is better; ignored where the task was not in the run.
    k_max : int, optional
        Number of groups to reckon with; by default max(10, 1.5 sqrt(n)).

    Attributes
    ----------
    effect_ : float
        beta, of the last fit.
    noise_ : ndarray of shape (n,)
        s_i, of the last fit, in the units of the scores.

    Raises
    ------
    InputError
        If the scores do not fit the membership.
    """

    effect_: float
    noise_: Array
    entries: Entries
    """The runs."""
    typical: Array
    """Standard deviation of each task's scores, shape (n,)."""

    def __init__(self, membership: ArrayLike, scores: ArrayLike, *, k_max: int | None = None) -> None:
        e = self.entries = Entries.of(membership, scores)
        self.prior = PartitionPrior(e.n_tasks, most_groups(e.n_tasks) if k_max is None else k_max)
        shape = (e.n_runs, e.n_tasks)
        self._companies, self._data = Companies(e), Weighted.of([e])
        self._member = sparse.csr_matrix((np.ones(len(e.run)), (e.run, e.task)), shape=shape)
        self.typical = typical_deviation(e)
        self.effect_, self.noise_ = 4.0, self.typical

    def fit(self, labels: ArrayLike) -> GroupEvidence:
        """Choose beta and the share of noise by their likelihood for a partition, among candidates.

        Parameters
        ----------
        labels : array_like of int, shape (n,)
            The group of every task, numbered from 0.
        """
        groups, e = self._labels(labels), self.entries
        value = grid_posterior(e.sums(self._share(groups)), e.count, e.square, self.typical)
        share, effect = np.unravel_index(int(value.argmax()), value.shape)
        self.effect_, self.noise_ = float(EFFECTS[effect]), NOISES[share] * self.typical
        return self

    def log_evidence(self, labels: ArrayLike) -> float:
        """Return log p of scores, beta and partition at the fitted parameters, up to a constant of the runs.

        Values are comparable between partitions, also after fits of their own.
        """
        groups, e = self._labels(labels), self.entries
        sums = e.sums(self._share(groups))
        likelihood = log_likelihood(sums, e.count, e.square, self.noise_, self.effect_)
        scale = np.maximum(e.count - 1.0, 0.0) @ np.log(self.noise_)
        prior = self.prior.log_prior(np.bincount(groups))
        return float(likelihood.sum() - scale + log_effect_prior(self.effect_) + prior)

    def gains(self, labels: ArrayLike, tasks: ArrayLike) -> Array:
        """Log-evidence of each group for each of some tasks, all others staying where they are.

        Parameters
        ----------
        labels : array_like of int, shape (n,)
            The partition, groups numbered from 0 to k - 1.
        tasks : array_like of int, shape (t,)
            Tasks to place.

        Returns
        -------
        ndarray of shape (t, k + 1)
            Up to a constant of each task; the last column is a new group of the task's own. A task alone in
            its group has minus infinity there.
        """
        groups, asked = self._labels(labels), np.asarray(tasks, dtype=np.intp)
        k = int(groups.max()) + 1
        partition = np.r_[groups, k][None]
        sums = sums_of(self._data, self.entries, self._companies, partition)
        noise, effect = np.r_[self.noise_, 1.0][None], np.array([self.effect_])
        hood = self._companies.of(asked)
        values: Array = placements(self._data, hood, partition, k, sums, noise, effect).value[0]
        size = np.bincount(groups, minlength=k + 1)
        rows, own = np.arange(len(asked)), groups[asked]
        others = np.tile(size, (len(asked), 1))
        others[rows, own] -= 1
        values += np.log(others + self.prior.evenness)
        # A group of its own is one more, unless the task leaves one empty behind.
        one_more, as_many, one_less = self.prior.log_weight(np.maximum(k + np.array([1, 0, -1]), 1))
        alone = size[own] == 1
        values[:, -1] += one_more - as_many
        values[alone] += one_less - as_many
        values[rows[alone], own[alone]] += as_many - one_less
        values[alone, -1] = -np.inf
        return values

    def improve(self, labels: ArrayLike, tasks: ArrayLike | None = None) -> Labels:
        """Move single tasks, also into groups of their own, while the log-evidence rises.

        Parameters
        ----------
        labels : array_like of int, shape (n,)
            The partition to start from.
        tasks : array_like of int, optional
            The tasks that may move; all by default.

        Returns
        -------
        ndarray of shape (n,)
            Groups numbered from 0 without gaps.
        """
        groups = renumbered(self._labels(labels))
        moving = np.arange(len(groups)) if tasks is None else np.asarray(tasks, dtype=np.intp)
        for _ in range(20 * len(groups)):
            values = self.gains(groups, moving)
            gain = values - values[np.arange(len(moving)), groups[moving]][:, None]
            best, height = gain.argmax(1), gain.max(1)
            wants = height > _TOLERANCE
            if not wants.any():
                break
            together, single = groups.copy(), groups.copy()
            together[moving[wants]] = best[wants]
            first = int(height.argmax())
            single[moving[first]] = best[first]
            better = self.log_evidence(together) > self.log_evidence(single)
            groups = renumbered(together if better else single)
        return groups

    def merge(self, labels: ArrayLike) -> Labels:
        """Join the two groups whose union has the largest log-evidence, while it rises.

        Single moves cannot join two halves of a group: each task would leave its own half.

        Returns
        -------
        ndarray of shape (n,)
            Groups numbered from 0 without gaps.
        """
        groups = renumbered(self._labels(labels))
        while groups.max() > 0:
            gain = self.union_gains(groups)
            a, b = np.unravel_index(int(gain.argmax()), gain.shape)
            if gain[a, b] <= _TOLERANCE:
                break
            groups = renumbered(np.where(groups == b, a, groups))
        return groups

    def union_gains(self, labels: ArrayLike) -> Array:
        """Return by how much joining two groups raises the log-evidence, shape (k, k).

        Minus infinity on the diagonal and for empty groups.
        """
        groups, e = self._labels(labels), self.entries
        share = self._share(groups)
        step = e.pace[:, None] * self._in_group
        base = e.sums(share)
        member, shared, scored = (self._table(v) for v in (np.ones(len(e.run)), share, e.y))
        added = np.stack([member @ step, member @ step**2 + 2.0 * (shared @ step), scored @ step])
        runs, square, noise = e.count[:, None], e.square[:, None], self.noise_[:, None]
        union = log_likelihood(base[:, :, None] + added, runs, square, noise, self.effect_)
        change = union - log_likelihood(base, e.count, e.square, self.noise_, self.effect_)[:, None]
        own = np.eye(self._in_group.shape[1])[groups].T @ change
        size = np.bincount(groups).astype(float)
        g, k = self.prior.evenness, int((size > 0).sum())
        each = gammaln(size + g) - gammaln(g)
        prior = gammaln(size[:, None] + size + g) - gammaln(g) - each[:, None] - each
        one_less, as_many = self.prior.log_weight(np.array([max(k - 1, 1), k]))
        gain = own + own.T + prior + one_less - as_many
        gain[(size == 0)[:, None] | (size == 0)] = -np.inf
        np.fill_diagonal(gain, -np.inf)
        return np.asarray(gain)

    def _labels(self, labels: ArrayLike) -> Labels:
        groups, n = np.asarray(labels), self.entries.n_tasks
        if groups.shape != (n,) or not np.issubdtype(groups.dtype, np.integer) or groups.min() < 0:
            raise InputError(f"labels must hold a group number from 0 for each of {n} tasks, got {labels!r}.")
        return groups.astype(np.intp)

    def _share(self, groups: Labels) -> Array:
        """Return x of every entry."""
        e = self.entries
        self._in_group = np.asarray(self._member @ np.eye(int(groups.max()) + 1)[groups])
        return np.asarray((self._in_group[e.run, groups[e.task]] - 1.0) * e.pace[e.run])

    def _table(self, values: Array) -> sparse.csr_matrix:
        """Return values of the entries in a sparse matrix of shape (n, m)."""
        e = self.entries
        return sparse.csr_matrix((values, (e.task, e.run)), shape=(e.n_tasks, e.n_runs))


def most_groups(n: int) -> int:
    """Return how many groups are tried at most when nobody says."""
    return min(max(10, round(1.5 * math.sqrt(n))), n)


def typical_deviation(entries: Entries) -> Array:
    """Return a standard deviation of each task's scores, shape (n,), shrunk towards that of the others.

    A task with a few runs, all in foreign company, would else pass for one with little noise. Variances have
    an inverse gamma prior, told from all tasks by the moments of their logarithms (Smyth, 2004): tasks in
    units of their own keep their own.
    """
    degrees = np.maximum(entries.count - 1.0, 0.0)
    known = (degrees > 0) & (entries.square > 0)
    if not known.any():
        return np.ones(entries.n_tasks)
    d = degrees[known]
    log_variance = np.log(entries.square[known] / d) - digamma(d / 2.0) + np.log(d / 2.0)
    precision = 1.0 / polygamma(1, d / 2.0)
    centre = float(log_variance @ precision / precision.sum())
    excess = float(np.mean((log_variance - centre) ** 2 - 1.0 / precision))
    prior = _freedom(excess)
    common = np.exp(centre + digamma(prior / 2.0) - np.log(prior / 2.0))
    return np.asarray(np.sqrt((prior * common + entries.square) / (prior + degrees)))


def _freedom(excess: float) -> float:
    """Degrees of freedom whose log-variance has this variance, between 1e-2 and 1e2."""
    from scipy.optimize import brentq  # slow to import

    low, high = 1e-2, 1e2
    if excess <= polygamma(1, high / 2.0):
        return high
    if excess >= polygamma(1, low / 2.0):
        return low
    return float(brentq(lambda d: polygamma(1, d / 2.0) - excess, low, high))


def renumbered(groups: Labels) -> Labels:
    """Return the groups numbered from 0 without gaps."""
    return np.asarray(np.unique(groups, return_inverse=True)[1], dtype=np.intp)
