"""The likelihood of one task's scores given the shares of its own group in its company."""

from __future__ import annotations

import numpy as np

from cotune.affinity._entries import Array

EFFECTS = 2.0 ** np.arange(-1.0, 5.5, 0.5)
"""Candidates for the effect of a company all of one's own group, in standard deviations of a run's noise."""
NOISES = np.array([1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05])
"""Candidates for the noise of a run, as a share of the standard deviation of the task's scores."""

_TYPICAL_EFFECT, _TYPICAL_RANGE = 4.0, 0.7
"""Median and log-deviation of the prior of the effect; trained function classes have 3 to 13."""
_SPREAD = 1.0 / 3.0
"""Standard deviation of the effect over tasks, as a share of its mean."""
_FREEDOM = 4.0
"""Degrees of freedom of the prior of a task's noise: tasks may differ, and few runs do not tell how."""


def log_likelihood(sums: Array, runs: Array, square: Array, noise: Array, effect: float | Array) -> Array:
    """Return log p of tasks' scores, without terms that do not depend on the partition or the effect.

    Parameters
    ----------
    sums : ndarray of shape (3, ...)
        Sums over a task's runs of x, x^2 and x y.
    runs, square, noise : ndarrays
        Number of runs, sum of y^2, and s, of each task.
    effect : float or ndarray
        beta.
    """
    x, xx, xy = sums
    q = np.maximum(xx - x * x / np.maximum(runs, 1.0), 0.0)
    z = xy / noise
    spread = (_SPREAD * effect) ** 2
    lift = 1.0 + spread * q
    rest = square / noise**2 - effect * (2.0 * z - effect * q) - spread * (z - effect * q) ** 2 / lift
    freedom = np.maximum(runs - 1.0, 0.0) + _FREEDOM
    tail = np.log1p(np.maximum(rest, 0.0) / _FREEDOM)
    return np.asarray(-0.5 * (np.log(lift) + freedom * tail))


def grid_posterior(sums: Array, runs: Array, square: Array, typical: Array) -> Array:
    """Return log p of all scores and of the effect, shape (noises, effects), without constants.

    Parameters
    ----------
    sums : ndarray of shape (3, n)
        Sums over each task's runs of x, x^2 and x y.
    runs, square : ndarrays of shape (n,)
        Number of runs and sum of y^2.
    typical : ndarray of shape (n,)
        What noises are a share of.
    """
    effect, share = EFFECTS[None, :, None], NOISES[:, None, None]
    value = log_likelihood(sums[:, None, None], runs, square, share * typical, effect).sum(-1)
    scale = float(np.maximum(runs - 1.0, 0.0).sum()) * np.log(NOISES)
    return np.asarray(value - scale[:, None] + log_effect_prior(EFFECTS))


def effect_posterior(sums: Array, runs: Array, square: Array, noise: Array) -> Array:
    """Return log p of the scores and of each effect, shape (c, effects), for c partitions and noises.

    Parameters
    ----------
    sums : ndarray of shape (3, c, n)
        Sums over each task's runs of x, x^2 and x y.
    runs, square, noise : ndarrays of shape (c, n)
        Number of runs, sum of y^2, and s.
    """
    value = log_likelihood(sums[:, :, None], runs[:, None], square[:, None], noise[:, None], EFFECTS[:, None])
    return np.asarray(value.sum(-1) + log_effect_prior(EFFECTS))


def noise_posterior(sums: Array, runs: Array, square: Array, typical: Array, effect: Array) -> Array:
    """Return log p of the scores for each share of noise, shape (c, noises), for c partitions and effects.

    Parameters
    ----------
    sums : ndarray of shape (3, c, n)
        Sums over each task's runs of x, x^2 and x y.
    runs, square : ndarrays of shape (c, n)
        Number of runs and sum of y^2.
    typical : ndarray of shape (n,)
        What noises are a share of.
    effect : ndarray of shape (c,)
        beta.
    """
    noise = NOISES[:, None] * typical
    beta = effect[:, None, None]
    value = log_likelihood(sums[:, :, None], runs[:, None], square[:, None], noise, beta)
    scale = np.maximum(runs - 1.0, 0.0).sum(-1, keepdims=True) * np.log(NOISES)
    return np.asarray(value.sum(-1) - scale)


def log_effect_prior(effect: float | Array) -> Array:
    """Log-density of beta among its candidates, without constants."""
    return np.asarray(-0.5 * (np.log(effect / _TYPICAL_EFFECT) / _TYPICAL_RANGE) ** 2)
