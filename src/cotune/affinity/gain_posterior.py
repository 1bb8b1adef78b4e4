"""What the gains of groups may be, given the runs: a posterior over laws of company, effects and noise.

Task i scores, in units of its score alone,

    y_i(S) = a_i + |S - i|^(1 - power) mu + |S - i|^-power * sum of theta_ij over the others j in S
             + |S - i|^(-2 power) * sum of phi_ijl over pairs j, l of the others in S + delta_i(S) + noise,

where theta_ij has variance s_i signal around a mean that the task's companions share as far as ``common``
says, phi_ijl is what two companions do beyond that (of the same variance, or none; up to ten tasks),
delta_i(S) is what a group has of its own beyond its pairs (variance s_i (1 - noise share)), and a run's
noise has variance s_i times the noise share. A task alone has no company and no delta. The gain of a
group is y_i(S) - a_i without noise. What is left of the tasks of a run may be correlated, as in runs of
one seed; the errors of the tasks of a group then are as well.

Nothing is taken for known that the runs do not tell: power, common, signal and noise share are drawn by
their restricted likelihood, so that groups larger than any that was run may gain by any law that fits, and
where no subset was run twice any share of what is left may be noise. Effects are shrunk as much as the
runs ask for, and a group that came out well is not taken at its word: given the runs, it does not matter to a
posterior that the group was chosen for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune.affinity._gaussian import Array
from cotune.affinity.company_surrogate import COMMON, POWERS
from cotune.affinity.gain_units import TaskGains
from cotune.exceptions import InputError

Members = NDArray[np.bool_]

NOISE_SHARES = np.array([0.002, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.998])
"""Candidates for the part that noise has in what company does not explain, uniform before the runs."""
SIGNALS = np.arange(-4.0, 7.0)
"""Candidates for the log odds of the part of a run that company explains, itself uniform before the runs."""
PRIOR_SCORES = 4.0
"""Scores that the variance of all tasks counts as beside those of one task."""
FEW_TASKS = 24
"""Tasks up to which all candidates are looked at; beyond only the likeliest laws at few noise shares."""
LAWS_OF_MANY = 2
PAIRS = (0.0, 1.0)
"""Candidates for the variance of what a pair of companions does, beside that of one of them."""
PAIRS_UP_TO = 10
"""Tasks up to which pairs of companions are looked at: there are half as many as the square of the tasks."""
MIDDLE_SHARES = np.array([0.1, 0.4, 0.8])
MOST_CORRELATED = 0.95
_RANK = 1e-12
"""Eigenvalues below this share of the largest are rounding."""
LEAST_WEIGHT = 1e-3
"""Candidates are left out whose weight is below this share of the largest."""


@dataclass(frozen=True)
class _Task:
    """Distinct runs of a task under every law and noise share: shapes begin with (laws, shares)."""

    index: int
    subsets: Members
    mean: Array
    """Mean score of each distinct subset, shape (r,)."""
    variance: Array
    """Of the mean score around company, (shares, r)."""
    middle: tuple[Array, Array, Array]
    """Means of score, company and total, weighted by 1 / variance: (shares,), (l, u, p), (l, u)."""
    values: Array
    vectors: Array
    along_mean: Array
    along_total: Array
    """Eigenvalues and -vectors of company's weighted Gram matrix, as many as there are runs or effects, and
    score and total along them."""
    sums: tuple[Array, Array, Array]
    """Weighted squares of score, score times total, and total: (u,), (l, u), (l, u)."""
    within: float
    """Sum of squares of repeated runs around their means."""
    repeats: int
    log_variance: Array

    @property
    def free(self) -> int:
        """Degrees of freedom around the score alone."""
        return len(self.mean) + self.repeats - 1


class GainPosterior:
    """The joint posterior of the gains of tasks in groups.

    Parameters
    ----------
    gains : TaskGains
        Scores of runs as gains; every task alone among them.

    Attributes
    ----------
    correlation_ : float
        Of what is left of two tasks of one run.

    Raises
    ------
    InputError
        If no run has two tasks.
    """

    correlation_: float
    _tasks: list[_Task]
    _weights: Array

    def __init__(self, gains: TaskGains) -> None:
        self._n = gains.inside.shape[1]
        pairs = PAIRS if self._n <= PAIRS_UP_TO else PAIRS[:1]
        laws = [(power, common, both) for power in POWERS for common in COMMON for both in pairs]
        if self._n <= FEW_TASKS:
            self._look_at(gains, laws, NOISE_SHARES)
        else:
            self._look_at(gains, laws, MIDDLE_SHARES[1:2], weigh_only=True)
            best = np.argsort(-self._weights.sum((1, 2)), kind="stable")[:LAWS_OF_MANY]
            self._tasks = []  # of many tasks they take much memory
            self._look_at(gains, [laws[at] for at in best], MIDDLE_SHARES)
        self.correlation_ = self._correlation()

    def _look_at(
        self,
        gains: TaskGains,
        laws: list[tuple[float, float, float]],
        shares: Array,
        *,
        weigh_only: bool = False,
    ) -> None:
        """Weigh these laws and noise shares, and keep what each says of the runs where that is asked for."""
        self._laws, self._shares = laws, shares
        size = gains.inside.sum(1)
        others = np.repeat(size[size > 1] - 1.0, size[size > 1])
        if not len(others):
            raise InputError("All runs train one task alone: nothing tells what company does.")
        # A signal of 1 is the variance of a typical run in company, under any law.
        self._unit = np.array(
            [
                (others ** (-2 * p) * (others + c * others**2)).mean()
                + b * (others ** (-4 * p) * others * (others - 1.0) / 2.0).mean()
                for p, c, b in self._laws
            ]
        )
        self._odds = np.exp(SIGNALS)
        self._ridge = self._unit[:, None, None] / self._odds
        self._tasks = [self._of_task(gains, task, weigh_only) for task in range(self._n)]
        self._weigh()

    def draws(self, membership: Members, count: int, seed: int = 0) -> Array:
        """Draw gains of the tasks of each subset, shape (count, q, n), NaN elsewhere.

        Parameters
        ----------
        membership : ndarray of bool, shape (q, n)
            The subsets.
        count : int
            How many draws; those of all subsets and tasks at one place belong together.
        seed : int
            Of the draws.
        """
        inside = np.asarray(membership, dtype=bool)
        rng = np.random.default_rng(seed)
        out = np.where(inside, 0.0, np.nan)[None].repeat(count, axis=0)
        shared = np.sqrt(self.correlation_) * rng.standard_normal((count, len(inside)))
        picked = rng.choice(self._weights.size, count, p=self._weights.ravel())
        laws, shares, signals = np.unravel_index(picked, self._weights.shape)
        mu = self._mu.ravel()[picked] + self._mu_error.ravel()[picked] * rng.standard_normal(count)
        company = inside & (inside.sum(1) > 1)[:, None]
        for law, share in np.unique(np.column_stack([laws, shares]), axis=0).tolist():
            drawn = np.flatnonzero((laws == law) & (shares == share))
            signal = signals[drawn]
            for task in self._tasks:
                rows = np.flatnonzero(company[:, task.index])
                if not len(rows):
                    continue
                mean, slope, root = self._asked(task, inside[rows], law, share)
                free = PRIOR_SCORES + task.free
                scale = self._scale[task.index, law, share, signal] * free / rng.chisquare(free, len(drawn))
                z = np.sqrt(1.0 - self.correlation_) * rng.standard_normal((len(drawn), len(rows)))
                z += shared[drawn[:, None], rows]
                error = np.einsum("dq,dqp->dp", z, root[signal])
                gain = mean[signal] + mu[drawn, None] * slope[signal] + np.sqrt(scale)[:, None] * error
                out[drawn[:, None], rows, task.index] = gain
        return out

    def _company(self, inside: Members, task: int, only: int | None = None) -> tuple[Array, Array]:
        """Return company and its total under every law, or under one alone; laws are the first axis."""
        laws = self._laws if only is None else self._laws[only : only + 1]
        others = inside.astype(float)
        others[:, task] = 0.0
        count = others.sum(1)
        factor = np.array([np.where(count > 0, np.maximum(count, 1.0) ** -law[0], 0.0) for law in laws])
        shared, pairs = (np.sqrt([law[part] for law in laws]) for part in (1, 2))
        total = factor * count
        # The task's own column, which is 0, takes what all companions share.
        company = factor[:, :, None] * others
        company[:, :, task] = shared[:, None] * total
        if any(law[2] for law in self._laws):
            j, k = np.triu_indices(self._n, 1)
            both = others[:, j] * others[:, k]
            both = both[:, (j != task) & (k != task)]
            company = np.concatenate([company, (pairs[:, None] * factor**2)[:, :, None] * both], axis=2)
        return company, total

    def _of_task(self, gains: TaskGains, index: int, weigh_only: bool) -> _Task:
        runs = gains.inside[:, index]
        subsets, which, times = np.unique(gains.inside[runs], axis=0, return_inverse=True, return_counts=True)
        y = gains.values[runs, index]
        mean = np.bincount(which.ravel(), y) / times
        company, total = self._company(subsets, index)
        repeats = int(runs.sum()) - len(subsets)
        u = self._shares[:, None]
        variance = u / times + (1.0 - u) * (subsets.sum(1) > 1)
        w = 1.0 / variance
        w_sum = w.sum(1)
        y_mid = w @ mean / w_sum
        z_mid = np.einsum("ur,lrp->lup", w, company) / w_sum[:, None]
        x_mid = np.einsum("ur,lr->lu", w, total) / w_sum
        root = np.sqrt(w)
        y_c = root * (mean - y_mid[:, None])
        z_c = root[None, :, :, None] * (company[:, None] - z_mid[:, :, None])
        x_c = root * (total[:, None] - x_mid[:, :, None])
        values, vectors = _eigenpairs(z_c)

        def along(a: Array) -> Array:
            return np.asarray((a[:, :, None] @ z_c @ vectors)[:, :, 0])

        return _Task(
            index,
            subsets,
            mean,
            variance,
            (y_mid, z_mid, x_mid),
            values,
            vectors[..., :0].copy() if weigh_only else vectors,
            along(np.broadcast_to(y_c, x_c.shape)),
            along(x_c),
            ((y_c**2).sum(1), (x_c * y_c).sum(2), (x_c**2).sum(2)),
            float(((y - mean[which.ravel()]) ** 2).sum()),
            repeats,
            np.log(variance).sum(1) + np.log(w_sum) + repeats * np.log(self._shares),
        )

    def _weigh(self) -> None:
        """Set the weight of every law, noise share and signal, and mu and the tasks' scales under each."""
        yy, xy, xx, log_det = (
            np.array(parts) for parts in zip(*map(self._squares, self._tasks), strict=True)
        )
        free = np.array([task.free for task in self._tasks], dtype=float)[:, None, None, None]
        mu = np.zeros(yy.shape[1:])
        least = 1e-12 * float(yy.max()) + 1e-300  # less is rounding
        for _ in range(3):
            squares = np.maximum(yy - 2.0 * mu * xy + mu**2 * xx, least)
            pooled = squares.sum(0) / free.sum()
            scale = (PRIOR_SCORES * pooled + squares) / (PRIOR_SCORES + free)
            precision = np.maximum((xx / scale).sum(0), 1e-300)
            mu = (xy / scale).sum(0) / precision
        likelihood = -0.5 * log_det.sum(0) - 0.5 * np.log(precision * pooled)
        likelihood -= 0.5 * ((PRIOR_SCORES + free) * np.log(scale / pooled) + free * np.log(pooled)).sum(0)
        edges = np.concatenate([[0.0], (self._shares[1:] + self._shares[:-1]) / 2.0, [1.0]])
        prior = np.log(np.diff(edges))[:, None] + np.log(self._odds / (1.0 + self._odds) ** 2)
        weights = np.exp(likelihood + prior - (likelihood + prior).max())
        weights = np.where(weights < LEAST_WEIGHT, 0.0, weights)
        self._weights = weights / weights.sum()
        self._mu, self._mu_error, self._scale = mu, np.sqrt(1.0 / precision), scale

    def _correlation(self) -> float:
        """Correlation of what is left of two tasks of one run, under the likeliest law; at least 0."""
        at = np.unravel_index(int(self._weights.argmax()), self._weights.shape)
        left: dict[bytes, list[float]] = {}
        for task in self._tasks:
            for members, value in zip(task.subsets, self._left(task, *map(int, at)), strict=True):
                if members.sum() > 1:
                    left.setdefault(members.tobytes(), []).append(float(value))
        runs = [np.array(values) for values in left.values()]
        total = sum((len(run) - 1) * float((run**2).sum()) for run in runs)
        cross = sum(float(run.sum() ** 2 - (run**2).sum()) for run in runs)
        return float(np.clip(cross / total, 0.0, MOST_CORRELATED)) if total > 0 else 0.0

    def _left(self, task: _Task, law: int, share: int, signal: int) -> Array:
        """Return what a law leaves of the mean score of each distinct subset, in standard deviations."""
        mu, at = self._mu[law, share, signal], (law, share)
        y_mid, z_mid, x_mid = task.middle[0][share], task.middle[1][at], task.middle[2][at]
        along = task.along_mean[at] - mu * task.along_total[at]
        effects = task.vectors[at] @ (along / (task.values[at] + self._ridge[law, 0, signal]))
        # Those of all laws take much memory, and are not kept.
        (company,), (total,) = self._company(task.subsets, task.index, law)
        left = task.mean - y_mid - mu * (total - x_mid) - (company - z_mid) @ effects
        deviation = np.sqrt(task.variance[share] * self._scale[task.index, law, share, signal])
        return np.asarray(left / deviation)

    def _squares(self, task: _Task) -> tuple[Array, Array, Array, Array]:
        """Squares of score and total and the log determinant, each of shape (laws, shares, signals)."""
        solved = 1.0 / (task.values[:, :, None, :] + self._ridge[..., None])
        yy, xy, xx = (part[..., None] for part in task.sums)
        a, b = task.along_mean[:, :, None, :], task.along_total[:, :, None, :]
        log_det = -np.log(solved * self._ridge[..., None]).sum(3) + task.log_variance[:, None]
        within = (task.within / self._shares)[:, None]
        return (
            yy + within - (a**2 * solved).sum(3),
            xy - (a * b * solved).sum(3),
            xx - (b**2 * solved).sum(3),
            log_det,
        )

    def _asked(self, task: _Task, inside: Members, law: int, share: int) -> tuple[Array, Array, Array]:
        """Return the mean of the gains at mu = 0, what mu adds, and a root of their covariance at scale 1.

        By signal: shapes (signals, q), (signals, q) and (signals, q, q).
        """
        (z,), (x,) = self._company(inside, task.index, law)
        y_mid, z_mid, x_mid = task.middle[0][share], task.middle[1][law, share], task.middle[2][law, share]
        own = 1.0 - self._shares[share]
        same = (inside[:, None, :] == task.subsets[None]).all(2)
        # Of what company leaves of a subset's own runs, so much is its own; the rest is noise.
        believed = same @ (own / task.variance[share])
        z = (1.0 - believed)[:, None] * z + believed[:, None] * z_mid
        x = (1.0 - believed) * x + believed * x_mid
        ridge = self._ridge[law, 0][:, None]
        solved = 1.0 / (task.values[law, share] + ridge)
        along = z @ task.vectors[law, share]
        mean = (solved * task.along_mean[law, share]) @ along.T + believed * (same @ task.mean - y_mid)
        slope = x - (solved * task.along_total[law, share]) @ along.T
        alone = believed / np.sqrt((1.0 / task.variance[share]).sum())
        # In all directions what is known before the runs, along those of the runs what they leave of it.
        covariance = (z @ z.T) / ridge[..., None] + (along * (solved - 1.0 / ridge)[:, None, :]) @ along.T
        covariance += np.outer(alone, alone) + np.diag(own * (1.0 - believed))
        w, q = np.linalg.eigh(covariance)
        return mean, slope, (q * np.sqrt(np.maximum(w, 0.0))[:, None, :]) @ q.swapaxes(1, 2)


def _eigenpairs(z: Array) -> tuple[Array, Array]:
    """Return eigenvalues and -vectors of z'z for matrices z of shape (r, p), min(r, p) of them each."""
    r, p = z.shape[-2:]
    if p <= r:
        values, vectors = np.linalg.eigh(z.swapaxes(-1, -2) @ z)
        return np.maximum(values, 0.0), vectors
    values, vectors = np.linalg.eigh(z @ z.swapaxes(-1, -2))
    values = np.where(values > _RANK * values[..., -1:], values, 0.0)
    scale = np.where(values > 0, 1.0 / np.sqrt(np.where(values > 0, values, 1.0)), 0.0)
    return values, (z.swapaxes(-1, -2) @ vectors) * scale[..., None, :]
