"""Bring raw affinities to one scale before grouping, and write down what was done.

Grouping sees only (T + T')/2 up to r_i + r_j, so offsets of rows and columns are harmless. Scales are not:
a task whose loss is measured in large units would decide the groups alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cotune._repr import Brief
from cotune.exceptions import InputError, SettingError
from cotune.grouping._partition import Matrix
from cotune.grouping._validation import as_float_matrix, asymmetry

SCALES = ("row_zscore", "two_way", "none")
MISSING = ("refuse", "complete")
DIAGONALS = ("neutral", "keep")


@dataclass(frozen=True, slots=True)
class Prepared(Brief):
    """A symmetric, finite affinity matrix and how it came about.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        What :meth:`SDPClustering.fit` should get.
    steps : tuple of str
        One sentence for everything that was done, in order.
    """

    matrix: Matrix
    steps: tuple[str, ...]


def prepare(
    T: ArrayLike,
    *,
    scale: str = "row_zscore",
    missing: str = "refuse",
    diagonal: str = "neutral",
    tasks: Sequence[str] | None = None,
) -> Prepared:
    """Scale, complete and symmetrise task affinities.

    Parameters
    ----------
    T : array-like of shape (n, n)
        T_uv is the affinity of task v to task u, row u in task u's own units; NaN where never sampled.
    scale : {"row_zscore", "two_way", "none"}
        ``"row_zscore"``: subtract each row's off-diagonal mean and divide by its off-diagonal standard
        deviation. ``"two_way"``: subtract row and column effects, then divide each row by the root mean
        square of what is left; better when source tasks carry offsets of their own in raw units, worse
        when the scales of whole groups differ by orders of magnitude. ``"none"``: leave the units alone.
    missing : {"refuse", "complete"}
        What to do with NaN off the diagonal. ``"complete"``: take the scaled entry of the opposite
        direction, T_vu for T_uv, where it exists; otherwise what the row and column means predict, which
        favours no grouping. A matrix that has every pair in one direction at most, such as a triangle, is
        taken for symmetric before it is scaled.
    diagonal : {"neutral", "keep"}
        T_uu says nothing about which other tasks u belongs with, but it counts in a density (Eq. 1) and
        favours small groups for tasks where it is large. ``"neutral"`` replaces it by what the row and
        column means predict. ``"keep"`` scales it like the rest of its row: sensible for higher-order
        affinities (Eq. 6), where T_uu is the task's own mean score. Means and deviations never
        include the diagonal.
    tasks : sequence of str, optional
        Names for errors, by default the numbers of rows.

    Returns
    -------
    Prepared
        ``matrix`` and ``steps``. Triangles that contradict each other, or one without entries, are said in
        ``steps`` and by a UserWarning.

    Raises
    ------
    InputError
        If T is not square, holds infinities, holds NaN with ``missing="refuse"``, or a task has no
        observed affinity at all.

    Notes
    -----
    A row without variation carries no information; it is centred and left unscaled.
    """
    for name, value, allowed in (
        ("scale", scale, SCALES),
        ("missing", missing, MISSING),
        ("diagonal", diagonal, DIAGONALS),
    ):
        if value not in allowed:
            raise InputError(
                f"The '{name}' parameter of prepare must be one of {list(allowed)}, got {value!r} instead."
            )
    matrix = _square(T)
    off = ~np.eye(len(matrix), dtype=bool)
    steps = []
    if missing == "complete" and _has_one_direction(matrix):
        # A triangle: standardised first, its rows would each be measured by another set of tasks.
        matrix = np.where(np.isnan(matrix), matrix.T, matrix)
        steps.append("the one direction given of each pair taken for both")
    absent = np.isnan(matrix) & off
    objection = asymmetry(matrix)
    if objection:
        warnings.warn(objection, UserWarning, stacklevel=2)
        steps.append(objection.removesuffix("."))
    if absent.any():
        _refuse_missing(absent, missing, tasks or [f"task {at}" for at in range(len(matrix))])
    if len(matrix) > 1:
        matrix, step = _scaled(matrix, off, scale)
        steps.append(step)
        if absent.any():
            matrix, step = _completed(matrix, absent)
            steps.append(step)
    matrix, step = _with_diagonal(matrix, diagonal)
    steps.append(step)
    steps.append("symmetrised as (T + T')/2")
    return Prepared((matrix + matrix.T) / 2.0, tuple(steps))


def _square(T: ArrayLike) -> Matrix:
    matrix = as_float_matrix(T)
    if matrix.shape[0] != matrix.shape[1]:
        raise InputError(
            f"The affinity matrix must be square, n x n for n tasks, got shape {matrix.shape} instead."
        )
    if np.isinf(matrix).any():
        row, column = np.argwhere(np.isinf(matrix))[0]
        raise InputError(
            f"The affinity matrix must not hold infinities, got one at row {row}, column {column}; "
            f"mark pairs that were never sampled with NaN."
        )
    return matrix


def _has_one_direction(matrix: Matrix) -> bool:
    """Whether every pair has an entry in one direction at most, and some have: half of a symmetric matrix."""
    given = ~np.isnan(matrix)
    np.fill_diagonal(given, False)
    return bool(given.any() and not (given & given.T).any())


def _refuse_missing(absent: Matrix, missing: str, tasks: Sequence[str]) -> None:
    if missing == "refuse":
        row, column = np.argwhere(absent)[0]
        raise SettingError(
            f"{int(absent.sum())} of {absent.size - len(absent)} affinities are missing, the first that of "
            f"'{tasks[column]}' to '{tasks[row]}'; run these pairs of tasks together, or complete them by "
            "row and column means with {missing}.",
            missing=("missing", "complete"),
        )
    n = len(absent)
    empty = np.flatnonzero(absent.sum(axis=1) == n - 1)
    if len(empty):
        raise InputError(
            f"'{tasks[empty[0]]}' has no observed affinity to any other task, so its scale is unknown; run "
            "it with others or leave it out."
        )


def _row_mean(matrix: Matrix, seen: Matrix) -> Matrix:
    return np.asarray(np.where(seen, matrix, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))


def _scaled(matrix: Matrix, off: Matrix, scale: str) -> tuple[Matrix, str]:
    if scale == "none":
        return matrix, "left in the units given"
    seen = off & ~np.isnan(matrix)
    if scale == "row_zscore":
        matrix = matrix - _row_mean(matrix, seen)[:, None]
        residual, step = matrix, "rows standardised by their off-diagonal mean and standard deviation"
    else:
        effects = _additive(matrix, seen)
        matrix = matrix - effects
        residual, step = (
            matrix,
            "row and column effects removed, rows divided by the root mean square of what is left",
        )
    square = np.where(seen, residual, 0.0) ** 2
    deviation = np.sqrt(square.sum(axis=1) / np.maximum(seen.sum(axis=1), 1))
    constant = deviation <= 1e-12 * np.abs(np.where(seen, residual, 0.0)).max(initial=0.0)
    if constant.any():
        step += f"; {int(constant.sum())} row(s) without variation left unscaled"
    return matrix / np.where(constant, 1.0, deviation)[:, None], step


def _additive(matrix: Matrix, seen: Matrix, sweeps: int = 50) -> Matrix:
    """Least-squares fit of row + column effects to the seen entries, by alternating means."""
    values = np.where(seen, matrix, 0.0)
    rows, columns = np.maximum(seen.sum(axis=1), 1), np.maximum(seen.sum(axis=0), 1)
    column = np.zeros(len(matrix))
    row = values.sum(axis=1) / rows
    for _ in range(sweeps):
        column = (values.sum(axis=0) - row @ seen) / columns
        new = (values.sum(axis=1) - seen @ column) / rows
        done = float(np.abs(new - row).max()) <= 1e-12 * float(np.abs(values).max(initial=1e-300))
        row = new
        if done:
            break
    return np.asarray(row[:, None] + column[None, :])


def _completed(matrix: Matrix, absent: Matrix) -> tuple[Matrix, str]:
    mirrored = absent & ~absent.T
    filled = np.where(mirrored, matrix.T, matrix)
    neither = absent & absent.T
    seen = ~neither & ~np.eye(len(matrix), dtype=bool)
    filled = np.where(neither, _additive(np.where(neither, 0.0, filled), seen), filled)
    return filled, (
        f"{int(mirrored.sum())} missing entries taken from the opposite direction, {int(neither.sum())} from "
        f"the row and column means"
    )


def _with_diagonal(matrix: Matrix, diagonal: str) -> tuple[Matrix, str]:
    own = np.diag(matrix)
    if diagonal == "keep" and not np.isnan(own).any():
        return matrix, "diagonal kept, scaled like its row"
    off = ~np.eye(len(matrix), dtype=bool)
    neutral = np.diag(_additive(np.where(off, matrix, 0.0), off)) if len(matrix) > 1 else np.nan_to_num(own)
    result = matrix.copy()
    replace = np.isnan(own) if diagonal == "keep" else np.ones(len(matrix), dtype=bool)
    np.fill_diagonal(result, np.where(replace, neutral, own))
    if diagonal == "keep":
        return (
            result,
            f"diagonal kept, {int(replace.sum())} missing entries replaced by the row and column means",
        )
    return result, "diagonal replaced by what the row and column means predict"
