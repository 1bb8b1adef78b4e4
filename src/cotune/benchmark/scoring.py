"""How many cases of recorded tables a grouping algorithm recovers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sklearn.metrics import adjusted_rand_score

from cotune._config import did_you_mean
from cotune.benchmark.cases import Case, Labels, Verification, cases_of, verify
from cotune.benchmark.recorded import RecordedTable
from cotune.exceptions import InputError
from cotune.grouping import GROUPERS, objective


@dataclass(frozen=True)
class Outcome:
    """What an algorithm made of a case.

    Parameters
    ----------
    algorithm : str
        A key of :data:`cotune.grouping.GROUPERS`.
    labels : tuple of int
        Its groups.
    objective : float
        Their sum of densities (Eq. 3).
    agreement : float
        Adjusted Rand index with the families.
    optimal : bool
        Whether no grouping is known to be better.
    """

    algorithm: str
    labels: Labels
    objective: float
    agreement: float
    optimal: bool

    @property
    def recovered(self) -> bool:
        """Whether the groups are the families."""
        return self.agreement == 1.0


@dataclass(frozen=True)
class ScoredCase:
    """A case with its verified grouping and the outcome of every algorithm."""

    table: str
    name: str
    n_tasks: int
    n_families: int
    verification: Verification
    outcomes: tuple[Outcome, ...]

    def why_missed(self, outcome: Outcome) -> str:
        """Say in a clause why an algorithm missed the families; empty where it did not."""
        if outcome.recovered:
            return ""
        if self.verification.reason:
            return self.verification.reason
        if outcome.optimal:
            return "another grouping is exactly as good as the families"
        return (
            f"the families are the optimum, {self.verification.objective:.4g}, and it stops at "
            f"{outcome.objective:.4g} (adjusted Rand index {outcome.agreement:.2f})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "table": self.table,
            "case": self.name,
            "tasks": self.n_tasks,
            "families": self.n_families,
            "verification": {**asdict(self.verification), "confirmed": self.verification.confirmed},
            "outcomes": [
                {**asdict(o), "recovered": o.recovered, "missed": self.why_missed(o)} for o in self.outcomes
            ],
        }


@dataclass(frozen=True)
class Tally:
    """Cases of one row: how many there are, how many are confirmed, and what each algorithm recovered."""

    total: int
    confirmed: int
    recovered: dict[str, int]
    optimal: dict[str, int]


@dataclass(frozen=True)
class ScoreCard:
    """The outcomes of all cases.

    Parameters
    ----------
    algorithms : tuple of str
        In the order asked for.
    cases : tuple of ScoredCase
        Table by table, fewer families first.
    """

    algorithms: tuple[str, ...]
    cases: tuple[ScoredCase, ...]

    def tally(self, table: str | None = None, n_families: int | None = None) -> Tally:
        """Count the cases of a table, of a number of families, or all."""
        chosen = [
            case
            for case in self.cases
            if table in (None, case.table) and n_families in (None, case.n_families)
        ]
        outcomes = [outcome for case in chosen for outcome in case.outcomes]
        return Tally(
            len(chosen),
            sum(case.verification.confirmed for case in chosen),
            {a: sum(o.recovered for o in outcomes if o.algorithm == a) for a in self.algorithms},
            {a: sum(o.optimal for o in outcomes if o.algorithm == a) for a in self.algorithms},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: all cases, and the counts over them."""
        tables = dict.fromkeys(case.table for case in self.cases)
        return {
            "algorithms": list(self.algorithms),
            "all": asdict(self.tally()),
            "tables": {table: asdict(self.tally(table)) for table in tables},
            "cases": [case.to_dict() for case in self.cases],
        }


def score(
    tables: Sequence[RecordedTable],
    algorithms: Sequence[str] | None = None,
    *,
    matrix: str = "prepared",
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> ScoreCard:
    """Run grouping algorithms over all cases of tables, with the number of groups given.

    An algorithm that can fall back on exact search is kept from it: verification uses exact search, and an
    algorithm is not tested against itself.

    Parameters
    ----------
    tables : sequence of RecordedTable
        At least one, of different names.
    algorithms : sequence of str, optional
        Keys of :data:`cotune.grouping.GROUPERS`; all unless given.
    matrix : {"prepared", "raw"}
        What the algorithms get; see :func:`cotune.benchmark.cases.cases_of`.
    seed : int
        Of the algorithms' random starts.
    progress : callable, optional
        Called after every case with how many are done and how many there are.

    Returns
    -------
    ScoreCard

    Raises
    ------
    InputError
        If an algorithm is unknown, a table cannot be split into cases, or two tables have one name.
    """
    names = tuple(GROUPERS) if algorithms is None else tuple(dict.fromkeys(algorithms))
    for name in names:
        if name not in GROUPERS:
            hint = did_you_mean(name, GROUPERS)
            raise InputError(f"algorithms must be of: {', '.join(GROUPERS)}; got {name!r}{hint}.")
    titles = [table.name for table in tables]
    if not tables or len(set(titles)) < len(titles):
        raise InputError(f"score takes at least one table, and no two of one name, got {titles}.")
    cases = [case for table in tables for case in cases_of(table, matrix=matrix)]
    scored = []
    for case in cases:
        scored.append(_scored(case, names, seed))
        if progress is not None:
            progress(len(scored), len(cases))
    return ScoreCard(names, tuple(scored))


def _scored(case: Case, algorithms: Sequence[str], seed: int) -> ScoredCase:
    verification = verify(case)
    outcomes = tuple(_outcome(case, name, verification, seed) for name in algorithms)
    return ScoredCase(case.table, case.name, len(case.tasks), case.n_families, verification, outcomes)


def _outcome(case: Case, name: str, verification: Verification, seed: int) -> Outcome:
    grouper = GROUPERS[name](n_clusters=case.n_families, random_state=seed)
    if "exact_max" in grouper.get_params():
        grouper.set_params(exact_max=0)
    labels = tuple(int(label) for label in grouper.fit(case.matrix).labels_)
    value = objective(case.matrix, labels)
    best = verification.objective
    return Outcome(
        algorithm=name,
        labels=labels,
        objective=value,
        agreement=float(adjusted_rand_score(case.families, labels)),
        optimal=value >= best - 1e-9 * max(1.0, abs(best)),
    )
