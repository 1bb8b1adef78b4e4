"""Which tasks of a family stay: those that help one another, as AdaGroup chose them (Section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.exceptions import InputError

MIN_POSITIVE = 0.9
"""The share of positive transfers that the paper asks for."""

MIN_TASKS = 2
"""A family of fewer tasks is none."""


@dataclass(frozen=True)
class Screening:
    """What was kept and dropped.

    Parameters
    ----------
    kept : tuple of str
        Tasks, in their order.
    dropped : mapping of str to str
        Every other task with the reason, in the order dropped.
    positive : mapping of str to float
        Share of positive transfers within each family that is left.
    """

    kept: tuple[str, ...]
    dropped: Mapping[str, str]
    positive: Mapping[str, float]


def screen(
    tasks: Sequence[str],
    families: Sequence[str],
    gains: ArrayLike,
    *,
    min_positive: float = MIN_POSITIVE,
    min_tasks: int = MIN_TASKS,
) -> Screening:
    """Drop tasks until enough of the transfers within every family are positive.

    While a family falls short, the task that takes part in most transfers that are not positive is dropped;
    of equals, the one whose transfers sum to least. A family that becomes too small is dropped whole.

    Parameters
    ----------
    tasks : sequence of n str
        Names.
    families : sequence of n str
        The family of each.
    gains : array-like of shape (n, n)
        What task i gains from the company of task j over being trained alone; positive is better. Needed
        within families, off the diagonal.
    min_positive : float
        Share of positive transfers a family must have, from 0 to 1.
    min_tasks : int
        Fewest tasks a family must have.

    Returns
    -------
    Screening

    Raises
    ------
    InputError
        If a gain within a family is not known, or nothing is left.
    """
    matrix = np.asarray(gains, dtype=float)
    dropped: dict[str, str] = {}
    positive: dict[str, float] = {}
    for family in dict.fromkeys(families):
        members = [i for i, own in enumerate(families) if own == family]
        _refuse_unknown(matrix, members, tasks)
        while len(members) >= min_tasks and _share(matrix, members) < min_positive:
            worst = min(members, key=lambda i: _standing(matrix, members, i))
            bad, of = _negative(matrix, members, worst), 2 * (len(members) - 1)
            dropped[tasks[worst]] = (
                f"{bad} of its {of} transfers within '{family}' are not positive, and "
                f"{100 * _share(matrix, members):.0f} % of the family's are, fewer than "
                f"{100 * min_positive:.0f} %"
            )
            members.remove(worst)
        if len(members) < min_tasks:
            for i in members:
                dropped[tasks[i]] = f"its family '{family}' has fewer than {min_tasks} tasks left"
        else:
            positive[family] = _share(matrix, members)
    kept = tuple(task for task in tasks if task not in dropped)
    if not kept:
        raise InputError("No family has enough positive transfers; train longer or ask for a lower share.")
    return Screening(kept, dropped, positive)


def _off_diagonal(matrix: NDArray[np.float64], members: Sequence[int]) -> NDArray[np.float64]:
    block = matrix[np.ix_(members, members)]
    return block[~np.eye(len(members), dtype=bool)]


def _share(matrix: NDArray[np.float64], members: Sequence[int]) -> float:
    return float(np.mean(_off_diagonal(matrix, members) > 0)) if len(members) > 1 else 1.0


def _negative(matrix: NDArray[np.float64], members: Sequence[int], i: int) -> int:
    others = [j for j in members if j != i]
    return int((matrix[i, others] <= 0).sum() + (matrix[others, i] <= 0).sum())


def _standing(matrix: NDArray[np.float64], members: Sequence[int], i: int) -> tuple[int, float]:
    """Sort key: the worst first."""
    others = [j for j in members if j != i]
    total = float(matrix[i, others].sum() + matrix[others, i].sum())
    return -_negative(matrix, members, i), total


def _refuse_unknown(matrix: NDArray[np.float64], members: Sequence[int], tasks: Sequence[str]) -> None:
    for i in members:
        for j in members:
            if i != j and not np.isfinite(matrix[i, j]):
                raise InputError(
                    f"What {tasks[i]} gains from {tasks[j]} was not measured, so the family cannot be "
                    "screened; train them together, and each alone."
                )
