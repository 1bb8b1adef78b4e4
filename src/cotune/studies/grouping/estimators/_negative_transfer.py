"""How well an estimate predicts which subsets hurt a task (Fig. 8 of AdaGroup)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cotune.affinity import f1_by_size
from cotune.studies.grouping.estimators._base import Array, NegativeTransferScore, Predict
from cotune.studies.grouping.estimators._table import RunTable

FOLDS = 5
UP_TO_TASKS = 200
"""Tasks beyond which predicting all runs from one another takes minutes."""


def cross_predicted(fit: Callable[[NDArray[np.bool_], Array], Predict], table: RunTable, seed: int) -> Array:
    """Predict every run from the others: fit on four fifths of the runs, predict the rest.

    Parameters
    ----------
    fit : callable
        Takes membership and scores, returns a predictor.
    table : RunTable
        The runs.
    seed : int
        Of the folds.

    Returns
    -------
    ndarray of shape (m, n)
        NaN also where a fold leaves some task without a run.
    """
    inside, scores = table.membership, table.scores
    fold = np.random.default_rng(seed).permutation(len(inside)) % FOLDS
    predicted = np.full(scores.shape, np.nan)
    for number in range(FOLDS):
        out = fold == number
        if out.any() and inside[~out].any(0).all():
            predicted[out] = fit(inside[~out], scores[~out])(inside[out])
    return predicted


def score_negative_transfer(
    predictor: str, predicted: Array, table: RunTable, *, predicted_alone: Array | None = None
) -> NegativeTransferScore | None:
    """Score predictions of negative transfer on runs that had no part in them.

    Returns
    -------
    NegativeTransferScore or None
        None where some task was not trained alone, or nothing was predicted.
    """
    if not np.isfinite(table.alone).all() or not np.isfinite(predicted).any():
        return None
    by_size = f1_by_size(
        predicted, table.membership, table.scores, table.alone, predicted_alone=predicted_alone
    )
    return NegativeTransferScore(predictor, tuple(by_size))
