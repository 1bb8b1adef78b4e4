"""What the benchmark of the function classes says: sentences, tables and the data of its report."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version

import numpy as np

from cotune.benchmark.functions import FunctionsResult, LawsRun, Matrix
from cotune.findings.functions import FunctionsFindings, GroupsRow, LawsSection
from cotune.grouping import GROUPERS

TITLES = {
    "scales": "Three scales of each type",
    "shapes": "Three laws of the parameters of each type",
    "shared_means": "A prior mean shared by each type",
}
"""What the sets of laws are, in words."""

MATRICES = {"raw": "raw", "prepared": "prepared"}


def verdict(result: FunctionsResult, laws: str) -> str:
    """Say in a sentence in how many seeds each algorithm recovers the types, and what explains them."""
    runs = result.of_laws(laws)
    counts = [
        f"{algorithm} {sum(run.agreement(algorithm, 'raw') == 1 for run in runs)} / {len(runs)}"
        for algorithm in GROUPERS
    ]
    explained = result.explained(laws)
    learned = all(run.agreement("sdp", "raw") == 1 for run in runs)
    if explained:
        why = "the loss before any example gives them away, so they say nothing of learning in context"
    elif learned:
        why = "the loss before any example does not give them away: they are learned in context"
    else:
        why = "the loss before any example does not give them away"
    return f"{TITLES[laws]}: types recovered from raw losses by {', '.join(counts)}; {why}."


def agreement_rows(runs: Sequence[LawsRun], positions: str = "all") -> list[tuple[str, str, list[float]]]:
    """Return algorithm, matrix and the adjusted Rand index of every seed."""
    return [
        (algorithm, words, [run.agreement(algorithm, matrix, positions) for run in runs])
        for matrix, words in MATRICES.items()
        for algorithm in GROUPERS
    ]


def leading_eigenvectors(T: Matrix) -> Matrix:
    """Return the eigenvectors of the second and third largest eigenvalue of D^-1 T (Fig. 7).

    Parameters
    ----------
    T : ndarray of shape (n, n)
        Affinities of one sign, such as negated losses, whose sign drops out; symmetrised.

    Returns
    -------
    ndarray of shape (n, 2)
        Of unit length, the entry of largest size positive.
    """
    weights = np.abs(T + T.T) / 2
    root = np.sqrt(weights.sum(1))
    _, vectors = np.linalg.eigh(weights / np.outer(root, root))
    leading = vectors[:, [-2, -3]] / root[:, None]
    leading /= np.linalg.norm(leading, axis=0)
    return np.asarray(leading * np.sign(leading[np.abs(leading).argmax(0), [0, 1]]))


def report_data(result: FunctionsResult) -> FunctionsFindings:
    """Gather what the report shows."""
    sets = dict.fromkeys(run.laws for run in result.laws)
    keys = result.curves[0].errors
    return FunctionsFindings(
        title="Function classes learned in context",
        date=date.today().isoformat(),
        seeds=len(result.curves),
        laws=tuple(_section(result, laws) for laws in sets),
        curves={key: [run.errors[key].tolist() for run in result.curves] for key in keys},
        facts=(
            ("seeds", ", ".join(str(run.seed) for run in result.curves)),
            ("processor time", f"{result.cpu_seconds:.0f} s"),
            ("machine", f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"),
            ("versions", ", ".join(f"{name} {version(name)}" for name in ("cotune", "torch", "numpy"))),
        ),
    )


def _section(result: FunctionsResult, laws: str) -> LawsSection:
    runs = result.of_laws(laws)
    first = runs[0]
    return LawsSection(
        title=TITLES[laws],
        verdict=verdict(result, laws),
        tasks=first.tasks,
        families=first.families,
        affinity=first.affinity.tolist(),
        rows=_groups(runs, "all"),
        first_position=_groups(runs, "first"),
        eigenvectors=[(float(x), float(y)) for x, y in leading_eigenvectors(first.affinity)],
        by_position=mean_by_position(runs),
    )


def mean_by_position(runs: Sequence[LawsRun]) -> dict[str, list[float]]:
    """Return the mean squared error of every type at every position, over seeds."""
    return {
        family: np.mean([run.by_position[family] for run in runs], axis=0).tolist()
        for family in runs[0].by_position
    }


def _groups(runs: Sequence[LawsRun], positions: str) -> tuple[GroupsRow, ...]:
    return tuple(
        GroupsRow(
            algorithm=found.algorithm,
            matrix=MATRICES[found.matrix],
            labels=found.labels,
            agreements=tuple(run.agreement(found.algorithm, found.matrix, positions) for run in runs),
        )
        for found in runs[0].found
        if found.positions == positions
    )
