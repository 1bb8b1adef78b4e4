"""Predict which subsets hurt a task: f_i(S) worse than f_i({i}) (App. B.3 and Fig. 8 of AdaGroup)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune._repr import Brief
from cotune.affinity._affinity import Affinity
from cotune.affinity._runs import check_membership, check_runs
from cotune.exceptions import InputError


@dataclass(frozen=True)
class TransferF1(Brief):
    """How well negative transfer was predicted on the subsets of one size.

    Parameters
    ----------
    size : int
        Tasks in a subset.
    f1 : float
        Mean over tasks of the F1 of calling "worse than alone"; NaN when it is defined for no task.
    n_tasks : int
        Tasks that F1 is defined for: some subset hurts them, or was said to.
    n_scores : int
        Scores f_i(S) that were predicted.
    prevalence : float
        Share of them that are worse than alone. Calling all of them so has an F1 of about 2p / (1 + p).
    """

    size: int
    f1: float
    n_tasks: int
    n_scores: int
    prevalence: float


def mean_of_pairs(affinity: Affinity, membership: ArrayLike) -> NDArray[np.float64]:
    """Predict ``f_i(S)`` by the mean of ``T_ij`` over the other tasks j of S: what pairs alone can say.

    Parameters
    ----------
    affinity : Affinity
        Pairwise, or any other.
    membership : array_like of bool, shape (q, n)
        The subsets.

    Returns
    -------
    ndarray of shape (q, n)
        NaN outside the subsets, for a task alone, and where a needed entry is missing.

    Raises
    ------
    InputError
        If membership does not have a column for every task.
    """
    T = np.array(affinity.matrix)
    inside = check_membership(membership, len(T))
    np.fill_diagonal(T, 0.0)
    missing = np.isnan(T)
    member = inside.astype(float)
    others = inside.sum(1, keepdims=True) - 1
    known = (member @ missing.T.astype(float)) == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (member @ np.where(missing, 0.0, T).T) / others
    return np.where(inside & known & (others > 0), mean, np.nan)


def f1_by_size(
    predicted: ArrayLike,
    membership: ArrayLike,
    scores: ArrayLike,
    alone: ArrayLike,
    *,
    predicted_alone: ArrayLike | None = None,
) -> list[TransferF1]:
    """Score predictions of negative transfer on held-out runs, by subset size.

    Task i suffers in S when ``f_i(S) < f_i({i})``, and is said to when the prediction is below. F1 is that of
    the class "suffers", per task, averaged over the tasks for which it is defined.

    Parameters
    ----------
    predicted : array_like of shape (m, n)
        Predicted ``f_i(S)``, NaN where there is none; such scores are passed over.
    membership : array_like of bool, shape (m, n)
        The held-out subsets; none of them should have been used for the predictions.
    scores : array_like of shape (m, n)
        The ``f_i(S)`` trained for them, higher is better.
    alone : array_like of shape (n,)
        The ``f_i({i})`` trained.
    predicted_alone : array_like of shape (n,), optional
        What predictions are compared with, ``alone`` by default: a predictor in units of its own (a cosine, a
        relative change of loss) has a threshold of its own, such as 0.

    Returns
    -------
    list of TransferF1
        One for every size of two tasks or more, ascending.

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    inside, f = check_runs(membership, scores)
    guess, base = np.asarray(predicted, dtype=float), np.asarray(alone, dtype=float)
    threshold = base if predicted_alone is None else np.asarray(predicted_alone, dtype=float)
    n = inside.shape[1]
    if guess.shape != inside.shape or base.shape != (n,) or threshold.shape != (n,):
        raise InputError(
            f"predicted must have shape {inside.shape} and alone and predicted_alone ({n},), got "
            f"{guess.shape}, {base.shape} and {threshold.shape}."
        )
    size = inside.sum(1)
    return [
        _score(
            int(s),
            inside[size == s] & np.isfinite(guess[size == s]),
            guess[size == s] < threshold,
            f[size == s] < base,
        )
        for s in np.unique(size[size >= 2])
    ]


def _score(
    size: int, use: NDArray[np.bool_], said: NDArray[np.bool_], suffers: NDArray[np.bool_]
) -> TransferF1:
    hits = (use & said & suffers).sum(0)
    relevant = (use & said).sum(0) + (use & suffers).sum(0)
    defined = relevant > 0
    f1 = float((2.0 * hits[defined] / relevant[defined]).mean()) if defined.any() else float("nan")
    total = int(use.sum())
    prevalence = float((use & suffers).sum() / total) if total else float("nan")
    return TransferF1(size, f1, int(defined.sum()), total, prevalence)
