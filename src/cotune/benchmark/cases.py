"""The cases of a recorded table, and the proof that the families are the best groups it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from cotune.benchmark.recorded import RecordedTable
from cotune.exceptions import InputError
from cotune.grouping import SDPClustering, exact_partitions, first_appearance, objective, prepare
from cotune.grouping.exact import MAX_TASKS

MATRICES = ("prepared", "raw")
"""What the algorithms get: the table made ready by :func:`cotune.grouping.prepare`, or as it was recorded."""

Labels = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Tasks of some families, and the matrix to find them in.

    Parameters
    ----------
    name : str
        The families, joined by " + ".
    table : str
        Name of the table the case is taken from.
    tasks : tuple of str
        Names, in the order of the matrix.
    families : tuple of str
        The family of each task.
    matrix : ndarray of shape (n, n)
        The affinities, finite.
    """

    name: str
    table: str
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    matrix: NDArray[np.float64]

    @property
    def labels(self) -> Labels:
        """The families as labels, numbered by first appearance."""
        return _labels(first_appearance(self.families))

    @property
    def n_families(self) -> int:
        """Number of families, the number of groups to find."""
        return len(set(self.families))


@dataclass(frozen=True)
class Verification:
    """The best grouping of a case by Eq. 3, and how that is known.

    Parameters
    ----------
    method : {"exact", "certified", "open"}
        Exact search over all partitions; the bound of the relaxation meets the value; or neither: the gap is
        open and the grouping the best one known.
    labels : tuple of int
        The best grouping.
    objective : float
        Its sum of densities.
    families_objective : float
        That of the families.
    gap : float
        Share of the structure that a better grouping could still add; 0 after an exact search.
    agreement : float
        Adjusted Rand index of the best grouping and the families.
    """

    method: Literal["exact", "certified", "open"]
    labels: Labels
    objective: float
    families_objective: float
    gap: float
    agreement: float

    @property
    def confirmed(self) -> bool:
        """Whether the families are proven to be a best grouping."""
        return self.method != "open" and self.agreement == 1.0

    @property
    def reason(self) -> str:
        """Why the families are not confirmed, one clause; empty where they are."""
        if self.agreement < 1.0:
            known = {"exact": "exact search", "certified": "a certified bound", "open": "a better grouping"}
            return (
                f"the families are not the optimum: {known[self.method]} finds {self.objective:.4g} against "
                f"{self.families_objective:.4g} (adjusted Rand index {self.agreement:.2f})"
            )
        return "" if self.confirmed else f"the optimum is not certified (gap {self.gap:.2g})"


def cases_of(table: RecordedTable, *, matrix: str = "prepared") -> Iterator[Case]:
    """Yield the cases of a table: every choice of two or more families, or all of them at once.

    Data sets are combined as in Section 5.2 of AdaGroup: six families make 15 + 20 + 15 + 6 + 1 = 57 cases.
    Instructions and function classes make one case a table.

    Parameters
    ----------
    table : RecordedTable
        The table.
    matrix : {"prepared", "raw"}
        Prepared (each case for itself, from its own rows alone) or as recorded.

    Raises
    ------
    InputError
        If ``matrix`` is neither, the table has a single family, or entries of a case were never measured.
    """
    if matrix not in MATRICES:
        raise InputError(f"matrix must be one of {', '.join(MATRICES)}, got {matrix!r}.")
    families = list(dict.fromkeys(table.families))
    if len(families) < 2:
        raise InputError(f"Table {table.name!r} has a single family, so there is nothing to tell apart.")
    sizes = range(2, len(families) + 1) if table.scenario == "multitask" else [len(families)]
    for size in sizes:
        for chosen in combinations(families, size):
            own = [t for t, family in zip(table.tasks, table.families, strict=True) if family in chosen]
            yield _case(table.restricted(own), " + ".join(chosen), matrix)


def verify(case: Case) -> Verification:
    """Find the best grouping into as many groups as there are families, and prove it.

    Up to 18 tasks by exact search; above by the bound of :class:`~cotune.grouping.SDPClustering`, and where
    that leaves a gap up to 20 tasks by exact search after all.

    Parameters
    ----------
    case : Case
        The case.
    """
    n, k = len(case.tasks), case.n_families
    of_families = objective(case.matrix, case.labels)
    method: Literal["exact", "certified", "open"] = "exact"
    gap = 0.0
    labels: Any = None
    if n > _EXACT_FIRST:
        fitted = SDPClustering(n_clusters=k, exact_max=0).fit(case.matrix)
        if fitted.certified_ or n > MAX_TASKS:
            labels, gap = fitted.labels_, float(fitted.gap_)
            method = "certified" if fitted.certified_ else "open"
    if labels is None:
        labels = exact_partitions(case.matrix, k)[k].labels
    best = objective(case.matrix, labels)
    # Of equally good groupings the families are one as good as any.
    if of_families >= best - _TIE * max(1.0, abs(best)):
        best, labels = of_families, case.labels
    agreement = float(adjusted_rand_score(case.families, labels))
    return Verification(method, _labels(labels), best, of_families, gap, agreement)


_EXACT_FIRST = 18
"""Up to so many tasks exact search takes a second or two; every further task takes four times as long."""

_TIE = 1e-9


def _case(table: RecordedTable, name: str, matrix: str) -> Case:
    values = table.affinity.matrix
    if np.isnan(values[~np.eye(len(values), dtype=bool)]).any():
        raise InputError(
            f"Table {table.name!r}, case {name}: pairs of tasks were never measured together; record them "
            "with more subsets."
        )
    if matrix == "prepared":
        values = prepare(values, scale=table.scale).matrix
    elif np.isnan(values).any():
        raise InputError(
            f"Table {table.name!r} has no diagonal, which the raw matrix needs; use the prepared one."
        )
    return Case(name, table.name, table.tasks, table.families, values)


def _labels(labels: Any) -> Labels:
    return tuple(int(label) for label in labels)
