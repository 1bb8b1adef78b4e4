"""First-order estimates of f_i(S): one small regression a subset in the place of training.

GradEx (arXiv 2409.19458) and its LoRA version (arXiv 2505.21930).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve, qr
from scipy.special import expit

from cotune._repr import Brief
from cotune.affinity._runs import check_membership, check_runs
from cotune.affinity.agreement import within_task_correlation
from cotune.exceptions import InputError

Array = NDArray[np.float64]

REGULARISATIONS = tuple(float(x) for x in np.logspace(-4, 3, 15))
"""Candidates, in units of the mean squared gradient over its dimension."""

_NEWTON_STEPS = 50
_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class Linearised(Brief):
    """One task's examples at the meta-initialisation theta*, to first order.

    A margin h is the output that the loss is a function of: log(p / (1 - p)) of the right answer, or a
    regression's output. Its gradient over the trained parameters is projected to d numbers by a random
    projection that keeps inner products and is the same for all tasks: ``h(theta* + P w) = h + g'w``.

    Parameters
    ----------
    train_gradients : ndarray of shape (a, d)
        Projected gradients g of the training examples' margins.
    train_margins : ndarray of shape (a,)
        Margins h at theta*.
    eval_gradients : ndarray of shape (b, d)
        The same for the examples that scores are measured on.
    eval_margins : ndarray of shape (b,)
        Their margins.
    train_targets, eval_targets : ndarray of shape (a,) and (b,), optional
        Signs -1 and 1 under the logistic loss, all 1 by default (margins of the right answer); the
        outputs wanted under the squared loss.
    """

    train_gradients: Array
    train_margins: Array
    eval_gradients: Array
    eval_margins: Array
    train_targets: Array | None = field(default=None)
    eval_targets: Array | None = field(default=None)


class _Examples(NamedTuple):
    """Gradients (a, d), margins (a,) and targets (a,) of one split."""

    gradients: Array
    margins: Array
    targets: Array


class _Loss(NamedTuple):
    """A loss of margin and target, with its first two derivatives in the margin."""

    value: Callable[[Array, Array], Array]
    slope: Callable[[Array, Array], Array]
    curvature: Callable[[Array, Array], Array]


LOSSES = {
    "logistic": _Loss(
        lambda h, y: np.logaddexp(0.0, -y * h),
        lambda h, y: -y * expit(-y * h),
        lambda h, y: expit(h) * expit(-h),
    ),
    "squared": _Loss(
        lambda h, y: (h - y) ** 2, lambda h, y: 2.0 * (h - y), lambda h, y: np.full_like(h, 2.0)
    ),
}
"""Losses by name: log(1 + exp(-y h)), and (h - y)^2."""


class FirstOrder:
    """Estimate ``f_i(S)`` without training: fit the linearised margins of S, read the scores off them.

    For a subset S, with L the loss and task means so that tasks count alike whatever their size,

        w_S = argmin over w of  mean over i in S, mean over i's training examples of L(h + g'w, y)
                                + regularisation * c / 2 * |w|^2,
        f_i(S) = - mean over i's evaluation examples of L(h + g'w_S, y),

    with c the mean of |g|^2 / d over all training examples. theta_S = theta* + P w_S are the parameters
    this stands for.

    Parameters
    ----------
    loss : {"logistic", "squared"}
        Of the margins.
    regularisation : float, optional
        By default the one of :data:`REGULARISATIONS` whose scores of the truly trained subsets agree best
        with their training (:func:`within_task_correlation`). It plays the part of the length of training.

    Attributes
    ----------
    regularisation_ : float
        The one used.
    validation_ : dict of float to float
        Within-task correlation with the trained scores for every candidate; empty where it was given.
        Around 0 means that these estimates are worth nothing here.
    """

    regularisation_: float
    validation_: dict[float, float]

    def __init__(self, *, loss: str = "logistic", regularisation: float | None = None) -> None:
        if loss not in LOSSES:
            raise InputError(f"The 'loss' parameter must be one of {list(LOSSES)}, got {loss!r}.")
        if regularisation is not None and not regularisation > 0:
            raise InputError(
                f"The 'regularisation' parameter must be None or positive, got {regularisation!r}."
            )
        self.loss = loss
        self.regularisation = regularisation

    def fit(
        self,
        tasks: Sequence[Linearised],
        membership: ArrayLike | None = None,
        scores: ArrayLike | None = None,
    ) -> Self:
        """Take the features of all tasks, and choose the regularisation on a few truly trained subsets.

        Parameters
        ----------
        tasks : sequence of Linearised
            One a task.
        membership : array_like of bool, shape (m, n)
            Subsets that were trained; not needed where the regularisation is given.
        scores : array_like of shape (m, n)
            Their ``f_i(S)``, higher is better, in any units.

        Raises
        ------
        InputError
            If the features do not fit each other, or the trained subsets cannot tell a regularisation:
            no task has two with different scores.
        """
        self._train = [
            _examples(t.train_gradients, t.train_margins, t.train_targets, i, self.loss)
            for i, t in enumerate(tasks)
        ]
        self._eval = [
            _examples(t.eval_gradients, t.eval_margins, t.eval_targets, i, self.loss)
            for i, t in enumerate(tasks)
        ]
        dimensions = {e.gradients.shape[1] for e in (*self._train, *self._eval)}
        if len(dimensions) != 1:
            raise InputError(
                f"All gradients must be projected to one dimension, got dimensions {sorted(dimensions)}."
            )
        self._unit = float(np.mean([np.mean(e.gradients**2) for e in self._train]))
        self.validation_ = {}
        if self.regularisation is not None:
            self.regularisation_ = self.regularisation
            return self
        if membership is None or scores is None:
            raise InputError("Choosing the regularisation needs trained subsets: pass membership and scores.")
        self._choose(*check_runs(membership, scores))
        return self

    def _choose(self, inside: NDArray[np.bool_], f: Array) -> None:
        check_membership(inside, len(self._train))
        for candidate in REGULARISATIONS:
            agreement = within_task_correlation(self._predict(inside, candidate), f)
            if np.isnan(agreement):
                raise InputError(
                    "Choosing the regularisation needs a task with two trained subsets that scored "
                    f"differently; the {len(inside)} subsets given have none."
                )
            self.validation_[candidate] = agreement
        self.regularisation_ = max(self.validation_, key=lambda x: self.validation_[x])

    def predict(self, membership: ArrayLike) -> Array:
        """Estimate the scores of subsets.

        Parameters
        ----------
        membership : array_like of bool, shape (q, n)
            The subsets, also of one task.

        Returns
        -------
        ndarray of shape (q, n)
            Minus the mean loss of each task of the subset, NaN elsewhere.

        Raises
        ------
        InputError
            If membership does not have a column for every task.
        """
        return self._predict(check_membership(membership, len(self._train)), self.regularisation_)

    def _predict(self, inside: NDArray[np.bool_], regularisation: float) -> Array:
        loss = LOSSES[self.loss]
        result = np.full(inside.shape, np.nan)
        for row, subset in enumerate(inside):
            members = np.flatnonzero(subset)
            if not len(members):
                continue
            w = _minimise(loss, [self._train[i] for i in members], regularisation * self._unit)
            for i in members:
                e = self._eval[i]
                result[row, i] = -loss.value(e.margins + e.gradients @ w, e.targets).mean()
        return result


def _examples(gradients: Array, margins: Array, targets: Array | None, task: int, loss: str) -> _Examples:
    G, h = np.asarray(gradients, dtype=float), np.asarray(margins, dtype=float)
    if targets is None and loss == "squared":
        raise InputError(
            f"Task {task} has no targets; the squared loss needs train_targets and eval_targets."
        )
    y = np.ones(h.shape) if targets is None else np.asarray(targets, dtype=float)
    if G.ndim != 2 or not len(G) or h.shape != (len(G),) or y.shape != (len(G),):
        raise InputError(
            f"Task {task} needs gradients of shape (examples, dimension) and as many margins and targets, "
            f"got shapes {G.shape}, {h.shape} and {y.shape}."
        )
    if not (np.isfinite(G).all() and np.isfinite(h).all() and np.isfinite(y).all()):
        raise InputError(f"The gradients, margins and targets of task {task} must be finite.")
    if loss == "logistic" and not np.isin(y, (-1.0, 1.0)).all():
        raise InputError(f"Under the logistic loss the targets of task {task} must be -1 or 1.")
    return _Examples(G, h, y)


def _minimise(loss: _Loss, tasks: Sequence[_Examples], penalty: float) -> Array:
    """Newton's method with backtracking; the objective is strictly convex, so one minimum is all there is."""
    G = np.concatenate([t.gradients for t in tasks])
    h = np.concatenate([t.margins for t in tasks])
    y = np.concatenate([t.targets for t in tasks])
    weight = np.concatenate([np.full(len(t.margins), 1.0 / (len(t.margins) * len(tasks))) for t in tasks])
    # The minimum lies in the span of the gradients: with fewer examples than dimensions work in there.
    basis = qr(G.T, mode="economic")[0] if len(G) < G.shape[1] else np.eye(G.shape[1])
    G = G @ basis

    def objective(w: Array) -> float:
        return float(weight @ loss.value(h + G @ w, y)) + 0.5 * penalty * float(w @ w)

    w = np.zeros(G.shape[1])
    value = objective(w)
    for _ in range(_NEWTON_STEPS):
        margins = h + G @ w
        slope = G.T @ (weight * loss.slope(margins, y)) + penalty * w
        hessian = (G.T * (weight * loss.curvature(margins, y))) @ G
        hessian[np.diag_indices_from(hessian)] += penalty
        step = cho_solve(cho_factor(hessian), slope)
        descent = float(slope @ step)
        length = 1.0
        while (new := objective(w - length * step)) > value - 0.25 * length * descent and length > 1e-8:
            length /= 2.0
        if length <= 1e-8:
            break
        w, value = w - length * step, new
        if descent < _TOLERANCE * (1.0 + abs(value)):
            break
    return np.asarray(basis @ w)
