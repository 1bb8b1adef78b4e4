"""How well a partition of the tasks explains the scores of runs: what adaptive grouping decides by.

Affinities average over runs, and with few runs a task most of them are missing. The runs themselves still say
much: a task's score goes up with the share of its own group in its company.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import gammaln

from cotune.affinity._runs import check_runs
from cotune.exceptions import InputError

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

EFFECTS = tuple(float(x) for x in 2.0 ** np.arange(-1.0, 5.5, 0.5))
"""Candidates for the effect of a company all of one's own group, in standard deviations of a run's noise."""
NOISES = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
"""Candidates for the noise of a run, as a share of the standard deviation of the task's scores."""

_SPREAD = 1.0 / 3.0
"""Standard deviation of the effect over tasks, as a share of its mean."""
_FREEDOM = 4.0
"""Degrees of freedom of the prior of a task's noise: tasks may differ, and few runs do not tell how."""
_TOLERANCE = 1e-6


class GroupEvidence:
    """A likelihood of partitions given runs.

    For task i of group c in a run on the subset S,

        f_i(S) = a_i + s_i (b_i x_i(S)) + e,   x_i(S) = |{j in S, j != i, j in c}| / (|S| - 1),

    with a free level a_i, noise e of variance v_i, and an effect b_i ~ N(beta, (beta / 3)^2) of one's own
    group: positive, comparable between tasks, not equal. The task's scale s_i is a share common to all tasks
    times the standard deviation of its scores; v_i is s_i^2 on average, with an inverse gamma prior of
    4 degrees of freedom. Levels, effects and noises are integrated out: with y = (f_i - mean) / s_i and x
    centred over the task's m runs, q = x'x, z = x'y and t = beta / 3,

        S = y'y - 2 beta z + beta^2 q - t^2 (z - beta q)^2 / (1 + t^2 q),
        log p = -1/2 log(1 + t^2 q) - (m + 3) / 2 * log(1 + S / 4) - (m - 1) log s_i + const,

    summed over tasks. The prior of a partition is that of a Dirichlet process with concentration 1,
    log p = sum over groups of log (size - 1)!, which charges for groups without fixing their number. beta
    and the share are the only parameters (:meth:`fit`). The effect is taken to depend on the share of a
    group and on nothing else about the company: a likelihood to find groups by, not an affinity.

    Parameters
    ----------
    membership : array_like of bool, shape (m, n)
        Whether task i was trained in run r. Runs of one task say nothing here and are passed over.
    scores : array_like of shape (m, n)
        ``f_i(S_r)``, higher is better; ignored where the task was not in the run.

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

    def __init__(self, membership: ArrayLike, scores: ArrayLike) -> None:
        inside, f = check_runs(membership, scores)
        company = inside.sum(1) > 1
        inside, f = inside[company], f[company]
        self._n = inside.shape[1]
        self._member = sparse.csr_matrix(inside, dtype=float)
        self._run, self._task = inside.nonzero()
        self._score = f[inside]
        self._step = 1.0 / np.maximum(inside.sum(1) - 1.0, 1.0)
        self._weigh(np.ones(len(inside)))
        self._typical = _positive(np.sqrt(self._square / np.maximum(self._count - 1.0, 1.0)))
        self.effect_, self.noise_ = 1.0, self._typical

    def fit(self, labels: ArrayLike) -> GroupEvidence:
        """Choose beta and the share of noise by maximum likelihood for a partition, from fixed candidates.

        Parameters
        ----------
        labels : array_like of int, shape (n,)
            The group of every task, numbered from 0.
        """
        sums = self._sums(self._share(self._labels(labels)))
        best = -np.inf
        for share in NOISES:
            noise = share * self._typical
            for effect in EFFECTS:
                value = float(self._log(*sums, self._count, self._square, noise, effect).sum())
                if value > best:
                    best, self.effect_, self.noise_ = value, effect, noise
        return self

    def log_evidence(self, labels: ArrayLike) -> float:
        """Return log p of scores and partition at the fitted beta and s, up to a constant of the runs.

        Values are comparable between partitions, also after fits of their own.
        """
        groups = self._labels(labels)
        sums = self._sums(self._share(groups))
        likelihood = self._log(*sums, self._count, self._square, self.noise_, self.effect_)
        size = np.bincount(groups)
        return float(likelihood.sum()) + float(gammaln(size[size > 0]).sum())

    def gains(
        self, labels: ArrayLike, tasks: ArrayLike, weights: ArrayLike | None = None, *, prior: bool = True
    ) -> Array:
        """Log-evidence of each group for each of some tasks, all others staying where they are.

        Parameters
        ----------
        labels : array_like of int, shape (n,)
            The partition, groups numbered from 0 to k - 1.
        tasks : array_like of int, shape (t,)
            Tasks to place.
        weights : array_like of shape (m,), optional
            How often each run counts; a bootstrap resample is a vector of counts. Of the runs of two tasks or
            more, in order.
        prior : bool
            Whether the partition's prior counts.

        Returns
        -------
        ndarray of shape (t, k + 1)
            Relative to a company without any effect; the last column is a new group of the task's own. A task
            alone in its group has minus infinity there.
        """
        groups, asked = self._labels(labels), np.asarray(tasks, dtype=np.intp)
        if weights is not None:
            self._weigh(np.asarray(weights, dtype=float))
        share = self._share(groups)
        k = int(groups.max()) + 1
        values = np.zeros((len(asked), k + 1))
        values[:, :k] = self._own_scores(groups, asked, k) + self._scores_of_others(groups, asked, share, k)
        size = np.bincount(groups, minlength=k)
        rows = np.arange(len(asked))
        alone = size[groups[asked]] == 1
        if prior:
            others = np.tile(np.r_[size, 1.0], (len(asked), 1))
            others[rows, groups[asked]] -= ~alone
            values += np.log(others)
        values[rows[alone], -1] = -np.inf
        if weights is not None:
            self._weigh(np.ones(self._member.shape[0]))
        return values

    def improve(self, labels: ArrayLike) -> Labels:
        """Move single tasks, also into groups of their own, while the log-evidence rises.

        Returns
        -------
        ndarray of shape (n,)
            Groups numbered from 0 without gaps.
        """
        groups = _renumbered(self._labels(labels))
        everyone = np.arange(self._n)
        for _ in range(20 * self._n):
            values = self.gains(groups, everyone)
            gain = values - values[everyone, groups][:, None]
            best = gain.argmax(1)
            wants = gain[everyone, best] > _TOLERANCE
            if not wants.any():
                break
            first = int(gain.max(1).argmax())
            together = _renumbered(np.where(wants, best, groups))
            single = groups.copy()
            single[first] = best[first]
            better = self.log_evidence(together) > self.log_evidence(single)
            groups = together if better and wants.sum() > 1 else _renumbered(single)
        return groups

    def _labels(self, labels: ArrayLike) -> Labels:
        groups = np.asarray(labels)
        if groups.shape != (self._n,) or not np.issubdtype(groups.dtype, np.integer) or groups.min() < 0:
            raise InputError(
                f"labels must hold a group number from 0 for each of {self._n} tasks, got {labels!r}."
            )
        return groups.astype(np.intp)

    def _weigh(self, weights: Array) -> None:
        """Centre the scores under how often each run counts."""
        self._weight = weights[self._run]
        self._count = self._by_task(np.ones(len(self._run)))
        mean = self._by_task(self._score) / _positive(self._count)
        self._y = self._score - mean[self._task]
        self._square = self._by_task(self._y**2)

    def _by_task(self, values: Array) -> Array:
        """Add values of every (run, task), as weighted, over the runs of each task."""
        return np.asarray(np.bincount(self._task, self._weight * values, self._n), dtype=float)

    def _share(self, groups: Labels) -> Array:
        """Return x of every (run, task), in the order of the scores."""
        self._in_group = np.asarray(self._member @ np.eye(int(groups.max()) + 1)[groups])
        own = self._in_group[self._run, groups[self._task]] - 1.0
        return np.asarray(own * self._step[self._run])

    def _sums(self, share: Array) -> tuple[Array, Array, Array]:
        """Sum x, x^2 and x (f - mean) by task."""
        return self._by_task(share), self._by_task(share**2), self._by_task(share * self._y)

    @staticmethod
    def _log(
        x: Array, xx: Array, xy: Array, runs: Array, square: Array, noise: Array, effect: float
    ) -> Array:
        """Log-likelihood of a task's scores from its sums of x, x^2 and x (f - mean)."""
        q = np.maximum(xx - x**2 / _positive(runs), 0.0)
        z, spread = xy / noise, (_SPREAD * effect) ** 2
        rest = square / noise**2 - 2.0 * effect * z + effect**2 * q
        rest = np.maximum(rest - spread * (z - effect * q) ** 2 / (1.0 + spread * q), 0.0)
        free = np.maximum(runs - 1.0, 0.0)
        tail = 0.5 * (free + _FREEDOM) * np.log1p(rest / _FREEDOM)
        return np.asarray(-0.5 * np.log1p(spread * q) - tail - free * np.log(noise))

    def _table(self, values: Array) -> sparse.csr_matrix:
        """Return values of every (run, task), as weighted, in a sparse matrix of shape (n, m)."""
        shape = (self._n, self._member.shape[0])
        return sparse.csr_matrix((self._weight * values, (self._task, self._run)), shape=shape)

    def _own_scores(self, groups: Labels, asked: Labels, k: int) -> Array:
        """Log-likelihood of the tasks' own scores in each group, shape (t, k)."""
        step = self._step[:, None] * self._in_group
        ones = np.ones(len(self._run))
        member, scored = self._table(ones)[asked], self._table(self._y)[asked]
        x, xx, xy = (np.asarray(a @ b) for a, b in ((member, step), (member, step**2), (scored, step)))
        # In its own group a task does not count as its own company.
        at = np.arange(len(asked)), groups[asked]
        pace = self._step[:, None]
        mine = np.asarray(member @ (pace * step))[at]
        xx[at] += np.asarray(member @ pace**2)[:, 0] - 2.0 * mine
        x[at] -= np.asarray(member @ pace)[:, 0]
        xy[at] -= np.asarray(scored @ pace)[:, 0]
        runs, square, noise = (v[asked][:, None] for v in (self._count, self._square, self.noise_))
        none = np.zeros(1)
        alone = self._log(none, none, none, runs, square, noise, self.effect_)
        return self._log(x, xx, xy, runs, square, noise, self.effect_) - alone

    def _scores_of_others(self, groups: Labels, asked: Labels, share: Array, k: int) -> Array:
        """Gain of each group's log-likelihood from holding the task, shape (t, k)."""
        pace = self._step[self._run]
        member = self._member[:, asked]
        sums = (self._table(v) @ member for v in (pace, pace**2, pace * share, pace * self._y))
        x, xx, cross, xy = (np.asarray(s.toarray()) for s in sums)
        base = [v[:, None] for v in self._sums(share)]
        runs, square, noise = (v[:, None] for v in (self._count, self._square, self.noise_))

        def log(sign: float) -> Array:
            sums = base[0] + sign * x, base[1] + 2.0 * sign * cross + abs(sign) * xx, base[2] + sign * xy
            return self._log(*sums, runs, square, noise, self.effect_)

        same = groups[:, None] == groups[asked]
        now = log(0.0)
        change = np.where(same, now - log(-1.0), log(1.0) - now)
        change[(x == 0) | (np.arange(self._n)[:, None] == asked)] = 0.0
        return np.asarray(change.T @ np.eye(k)[groups])


def _positive(values: Array) -> Array:
    return np.where(values > 0, values, 1.0)


def _renumbered(groups: Labels) -> Labels:
    return np.asarray(np.unique(groups, return_inverse=True)[1], dtype=np.intp)
