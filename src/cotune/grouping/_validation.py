"""One-sentence errors for matrices and labels that cannot be grouped."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from cotune._frames import aligned, numbers_of
from cotune.exceptions import InputError

ASYMMETRY_WARNING = 0.9
"""Share of the off-diagonal variation that may be antisymmetric before :func:`asymmetry` objects.

Independent noise in T_uv and T_vu alone gives 1/2; more than nine tenths means that T_uv and T_vu
nearly cancel, as in a matrix of differences or a triangle with its sign turned.
"""

STRIP = 128
"""Rows at a time where a matrix meets its transpose; by columns, reading a large one is what takes time."""


def as_float_matrix(T: ArrayLike, name: str = "The affinity matrix") -> NDArray[np.float64]:
    """Return T as a 2-d float array; NaN and infinities are let through."""
    if sparse.issparse(T):
        raise InputError(
            f"{name} must be a dense array, got a sparse {type(T).__name__} instead; "
            f"call its .toarray() first."
        )
    values, _ = aligned(T, name)
    if np.iscomplexobj(np.asanyarray(values)):
        raise InputError(f"Complex data not supported: {name.lower()} must be real.")
    try:
        matrix = numbers_of(values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold numbers only ({error}).") from None
    if matrix.ndim != 2:
        raise InputError(
            f"Expected 2D array, got {matrix.ndim}D array instead: {name.lower()} has one row and one column "
            f"per task. Reshape your data."
        )
    if 0 in matrix.shape:
        raise InputError(
            f"Found array with {matrix.shape[0]} sample(s) and {matrix.shape[1]} feature(s) "
            f"(shape={matrix.shape}) while a minimum of 1 is required: {name.lower()} is empty."
        )
    return matrix


def check_square(T: ArrayLike, name: str = "The affinity matrix") -> NDArray[np.float64]:
    """Return T as a finite square float matrix or say in one sentence why it is not one.

    Raises
    ------
    InputError
        If T is sparse, complex, not numeric, empty, not square, or holds NaN or infinite entries.
    """
    matrix = as_float_matrix(T, name)
    finite = np.isfinite(matrix)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InputError(
            f"{name} must be finite, but {int((~finite).sum())} of its {matrix.size} entries are NaN or "
            f"infinity, the first at row {row}, column {column}; complete missing entries with prepare(T, "
            f'missing="complete") first.'
        )
    if matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"{name} must be square, n x n for n tasks, got shape {matrix.shape} instead.")
    return matrix


def check_affinity(T: ArrayLike, name: str = "The affinity matrix") -> NDArray[np.float64]:
    """Return a checked affinity matrix, warning when its two triangles contradict each other."""
    matrix = check_square(T, name)
    objection = asymmetry(matrix, name)
    if objection:
        warnings.warn(objection, UserWarning, stacklevel=4)
    return matrix


def asymmetry(T: NDArray[np.float64], name: str = "The affinity matrix") -> str | None:
    """Say in one sentence what is suspicious about the two triangles of T, or None.

    Parameters
    ----------
    T : ndarray of shape (n, n)
        NaN where unknown.
    name : str
        What to call it.

    Returns
    -------
    str or None
        None also for fewer than 8 tasks, where noise alone may look antisymmetric.
    """
    n = len(T)
    strips = (slice(start, start + STRIP) for start in range(0, n, STRIP))
    if all(
        np.array_equal(T[strip, strip.start :], T[strip.start :, strip].T, equal_nan=True) for strip in strips
    ):
        return None
    known = np.isfinite(T) & np.isfinite(T.T) & ~np.eye(n, dtype=bool)
    if n < 8 or not known.any():
        return None
    off = np.where(known, T, 0.0)
    if off.any() and not (np.tril(off).any() and np.triu(off).any()):
        return (
            f"{name} has zeros in one whole triangle, which count as affinities; leave T_vu missing if it "
            f"was never measured, and fill it in if it equals T_uv."
        )
    off = np.where(known, off - off.sum() / known.sum(), 0.0)
    total, antisymmetric = float(np.vdot(off, off)), float(np.vdot(off - off.T, off - off.T)) / 4.0
    if not antisymmetric > ASYMMETRY_WARNING * total:
        return None
    return (
        f"{name} is almost antisymmetric: T_uv and T_vu cancel, and the groups depend only on (T + T') / 2; "
        f"check that it is not a matrix of differences."
    )


def check_labels(labels: ArrayLike, n: int) -> NDArray[Any]:
    """Return labels as an array with one entry per task.

    Raises
    ------
    InputError
        If there is not exactly one label per task.
    """
    array = np.asarray(labels)
    if array.shape != (n,):
        raise InputError(
            f"labels must hold one group per task, shape ({n},), got shape {array.shape} instead."
        )
    return array


def check_weights(weights: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return the precisions of (T + T') / 2 from those of T: the harmonic mean of both directions.

    Where one direction has none, the other one stands for both.

    Raises
    ------
    InputError
        If they are not n x n finite non-negative numbers, some off the diagonal positive.
    """
    matrix = as_float_matrix(weights)
    off = ~np.eye(n, dtype=bool) if matrix.shape == (n, n) else np.zeros(0, dtype=bool)
    if matrix.shape != (n, n) or not (np.isfinite(matrix[off]).all() and (matrix[off] >= 0).all()):
        raise InputError(f"weights must be {n} x {n} finite numbers of at least 0, one an affinity.")
    if n > 1 and not matrix[off].any():
        raise InputError("weights must not all be 0.")
    both = np.minimum(matrix, matrix.T) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        harmonic = 2.0 * matrix * matrix.T / (matrix + matrix.T)
    return np.asarray(np.where(both, harmonic, np.maximum(matrix, matrix.T)) * off)
