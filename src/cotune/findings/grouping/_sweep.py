"""What other settings of a study come to: groups, their density, test scores (Table 3 of AdaGroup)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cotune._repr import Brief
from cotune.findings._plain import Plain
from cotune.findings.comparison import ArmScore, Budget, MeanWithMargin, budget_words, compare, discovered
from cotune.findings.wording import count, format_number, significant


@dataclass(frozen=True)
class SettingScore(Brief, Plain):
    """Test score of the groups of a setting, averaged over the tasks of a metric.

    Parameters
    ----------
    budget : Budget
        Training steps a task.
    metric : str
        The metric.
    score : MeanWithMargin
        In its units.
    gain : MeanWithMargin or None
        Over the groups of the file's own setting, positive is better; None of those themselves, and where
        these are the same groups.
    sign : int
        1 for a gain and -1 for a loss among all settings at a false discovery rate of 5 %, else 0.
    """

    budget: Budget
    metric: str
    score: MeanWithMargin
    gain: MeanWithMargin | None = None
    sign: int = 0


@dataclass(frozen=True)
class SettingRow(Brief, Plain):
    """A setting of a sweep, and what came of it.

    Parameters
    ----------
    option, value : str
        The option and its value; empty of the file's own setting.
    labels : tuple of int
        The group of every task.
    k : int
        Number of groups.
    summed_density : float
        Sum of their densities (Eq. 3) on the matrix that was clustered.
    predicted_gain : float or None
        What they are predicted to gain a task over training each alone, where they were chosen by that.
    affinity_runs : int
        Runs that the affinity took.
    further_runs : int
        Runs of affinity and comparison that neither the file's own setting nor one before it has.
    scores : tuple of SettingScore
        Test scores by budget and metric.
    """

    option: str
    value: str
    labels: tuple[int, ...]
    k: int
    summed_density: float
    predicted_gain: float | None
    affinity_runs: int
    further_runs: int
    scores: tuple[SettingScore, ...] = ()

    @property
    def name(self) -> str:
        """Option and value."""
        return f"{self.option} = {self.value}" if self.option else "the file's own setting"

    @property
    def average_density(self) -> float:
        """Mean density of the groups (Eq. 2)."""
        return self.summed_density / self.k


def with_scores(
    rows: Sequence[SettingRow], scores: Sequence[Sequence[ArmScore]], left_out: dict[str, int]
) -> tuple[SettingRow, ...]:
    """Add test scores to the settings of a sweep, the file's own first.

    Parameters
    ----------
    rows : sequence of SettingRow
        The settings without scores.
    scores : sequence of sequence of ArmScore
        Test scores of the groups of each.
    left_out : dict of str to int
        See :func:`cotune.findings.comparison.compare`.
    """
    own = rows[0].name
    named = [replace(score, arm=row.name) for row, of in zip(rows, scores, strict=True) for score in of]
    if len(rows) < 2 or not scores[0]:
        return tuple(rows)
    found = compare(named, [row.name for row in rows], reference=own, left_out=left_out)
    over = {(c.arm, c.budget, c.metric): c.gain for c in found.contrasts}
    by_row: dict[str, list[SettingScore]] = {row.name: [] for row in rows}
    same = {row.name for row in rows if row.labels == rows[0].labels}
    for average in found.averages:
        gain = over.get((average.arm, average.budget, average.metric))
        turned = None if gain is None or average.arm in same else replace(gain, mean=-gain.mean)
        by_row[average.arm].append(SettingScore(average.budget, average.metric, average.score, turned))
    return _judged([replace(row, scores=tuple(by_row[row.name])) for row in rows])


def _judged(rows: Sequence[SettingRow]) -> tuple[SettingRow, ...]:
    """Say which gains hold among all settings of a budget and metric."""
    keys = {(score.budget, score.metric) for row in rows for score in row.scores}
    signs: dict[tuple[str, Budget, str], int] = {}
    for budget, metric in keys:
        of = [
            (row.name, score.gain)
            for row in rows
            for score in row.scores
            if (score.budget, score.metric) == (budget, metric) and score.gain is not None
        ]
        held = discovered([gain for _, gain in of])
        signs |= {(name, budget, metric): sign for (name, _), sign in zip(of, held, strict=True)}
    return tuple(
        replace(
            row,
            scores=tuple(replace(s, sign=signs.get((row.name, s.budget, s.metric), 0)) for s in row.scores),
        )
        for row in rows
    )


def sweep_sentences(rows: Sequence[SettingRow]) -> list[str]:
    """Say of every setting how many groups it gives and how they score, and what the sweep tells."""
    if len(rows) < 2:
        return []
    return [*(f"  {_row_words(row)}" for row in rows), *_told(rows)]


def _row_words(row: SettingRow) -> str:
    words = f"{row.name}: {count(row.k, 'group')}, summed density {significant(row.summed_density)}"
    if row.scores:
        last = row.scores[-1]
        words += f", {last.metric} {score_text(last.score)} at {budget_words(last.budget)}"
        words += "" if last.gain is None else f" (gain {score_text(last.gain, signed=True)})"
    return words


def score_text(score: MeanWithMargin, *, signed: bool = False) -> str:
    """Text of a mean with its 95 % margin."""
    margin = format_number(score.margin, 3) if score.margin == score.margin else "?"
    return f"{format_number(score.mean, 3, signed=signed)} ± {margin}"


def _told(rows: Sequence[SettingRow]) -> list[str]:
    if not any(row.scores for row in rows):
        return []
    apart = [row.name for row in rows[1:] if any(score.sign for score in row.scores)]
    if apart:
        return [
            f"The test scores tell {', '.join(apart)} from the file's own setting (false discovery rate 5 %)."
        ]
    return ["No setting is told from the file's own by its test scores: which is best is undecided."]
