"""Numbers about the estimated affinity: how well it was sampled, who gains by whom, means between groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.findings.grouping._records import AffinityData, GroupingFindings, MatrixRows

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SampledPairs(Brief):
    """How well an affinity was estimated.

    Parameters
    ----------
    pairs, never : int
        Pairs of tasks, and those never sampled together.
    samples : (float, float, float) or None
        Fewest, median and most samples of a pair; None where they were not counted.
    stderr : float or None
        Median standard error of an entry, NaN where none is known; None where there are none.
    spread : float
        Standard deviation of the entries over pairs.
    """

    pairs: int
    never: int
    samples: tuple[float, float, float] | None
    stderr: float | None
    spread: float


@dataclass(frozen=True, slots=True)
class CompanyGains(Brief):
    """What a task gains by the company of others, over training alone.

    Parameters
    ----------
    task : str
        The task.
    alone : float
        Its score alone; NaN where unknown.
    mean : float
        Mean gain over its partners; NaN without any.
    positive, partners : int
        Partners it gains with, and all that are known.
    best, worst : (str, float) or None
        Partner and gain.
    """

    task: str
    alone: float
    mean: float
    positive: int
    partners: int
    best: tuple[str, float] | None
    worst: tuple[str, float] | None


def square(values: MatrixRows, n: int, name: str) -> Array:
    """Return a matrix of the findings as an (n, n) array.

    Raises
    ------
    InputError
        If it has another shape.
    """
    rows = [[float(value) for value in row] for row in values]
    if len(rows) != n or any(len(row) != n for row in rows):
        raise InputError(
            f"The {name} of a report must have a row and a column for each of its {n} tasks, "
            f"got {len(rows)} rows of {sorted({len(row) for row in rows})} columns."
        )
    return np.array(rows, dtype=float)


def by_task(values: Sequence[float], n: int, name: str) -> Sequence[float]:
    """Return one value for each task, NaN where there are none at all.

    Raises
    ------
    InputError
        If there are some, but not one for each task.
    """
    if values and len(values) != n:
        raise InputError(
            f"The {name} of a report must be one number for each of its {n} tasks, got {len(values)}."
        )
    return values or [math.nan] * n


def sampling(affinity: AffinityData, n: int) -> SampledPairs:
    """Sum up how well the affinity of n tasks was estimated."""
    raw = square(affinity.matrix, n, "affinity matrix")
    off_diagonal = ~np.eye(n, dtype=bool)
    upper = np.triu(off_diagonal)
    pairs = n * (n - 1) // 2
    samples: tuple[float, float, float] | None = None
    if affinity.counts is not None and pairs:
        counts = square(affinity.counts, n, "counts")[upper]
        low, middle, high = (float(q) for q in np.quantile(counts, (0, 0.5, 1)))
        samples = low, middle, high
    stderr = None
    if affinity.stderr is not None:
        errors = square(affinity.stderr, n, "standard errors")[off_diagonal]
        finite = errors[np.isfinite(errors)]
        stderr = float(np.median(finite)) if finite.size else math.nan
    known = raw[off_diagonal & np.isfinite(raw)]
    return SampledPairs(
        pairs=pairs,
        never=int((~np.isfinite(raw) & ~np.isfinite(raw.T))[upper].sum()),
        samples=samples,
        stderr=stderr,
        spread=float(known.std()) if known.size else math.nan,
    )


def company_gains(findings: GroupingFindings, affinity: AffinityData) -> tuple[CompanyGains, ...]:
    """Tell of every task what it gains by company, in the order of the tasks; nothing where it is not known.

    Raises
    ------
    InputError
        If there is not one score alone for every task, or none.
    """
    if affinity.gains is None:
        return ()
    names = [task.name for task in findings.tasks]
    values = square(affinity.gains, len(names), "gains")
    np.fill_diagonal(values, np.nan)
    alone = by_task(affinity.alone, len(names), "scores alone")
    return tuple(_gains(name, names, alone[i], values[i]) for i, name in enumerate(names))


def _gains(task: str, names: Sequence[str], alone: float, gains: Array) -> CompanyGains:
    known = np.flatnonzero(np.isfinite(gains))
    ranked = [(names[i], float(gains[i])) for i in known[np.argsort(gains[known])]]
    return CompanyGains(
        task=task,
        alone=alone,
        mean=float(gains[known].mean()) if known.size else math.nan,
        positive=int((gains[known] > 0).sum()),
        partners=len(ranked),
        best=ranked[-1] if ranked else None,
        worst=ranked[0] if ranked else None,
    )


def means_between(affinity: AffinityData, groups: Sequence[Sequence[int]], n: int) -> Array:
    """Average the affinity between groups, without the diagonal; NaN where nothing is known.

    Parameters
    ----------
    affinity : AffinityData
        Of which the matrix that was clustered counts, where there is one.
    groups : sequence of sequence of int
        Indices of the tasks of each group.
    n : int
        Number of tasks.

    Returns
    -------
    ndarray of shape (groups, groups)
    """
    matrix = affinity.matrix if affinity.prepared is None else affinity.prepared
    values = square(matrix, n, "affinity matrix")
    np.fill_diagonal(values, np.nan)
    return np.array([[_mean(values[np.ix_(rows, columns)]) for columns in groups] for rows in groups])


def less_effects(matrix: Array) -> Array:
    """Take the means of rows and columns off, so that what is left is what grouping sees (Xe = e)."""
    rows, columns = matrix.mean(1, keepdims=True), matrix.mean(0, keepdims=True)
    return np.asarray(matrix - rows - columns + matrix.mean())


def _mean(block: Array) -> float:
    known = block[np.isfinite(block)]
    return float(known.mean()) if known.size else math.nan


def least_agreeing(findings: GroupingFindings, affinity: AffinityData) -> Iterator[tuple[str, float]]:
    """Yield tasks and the agreement of their predicted scores, the worst first, those not judged last.

    Raises
    ------
    InputError
        If there is not one value for every task, or none.
    """
    values = by_task(affinity.agreement, len(findings.tasks), "agreements")
    if affinity.agreement:
        rows = zip(values, findings.tasks, strict=True)
        for value, task in sorted(rows, key=lambda row: (math.isnan(row[0]), row[0])):
            yield task.name, value
