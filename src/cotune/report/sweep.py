"""The section on other settings of a study: what each gives, and how its groups score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cotune.findings.comparison import budget_words
from cotune.findings.grouping import SettingRow, SettingScore, score_text
from cotune.findings.wording import DASH, significant


@dataclass(frozen=True, slots=True)
class SweepLine:
    """A setting at one budget in one metric, as text; ``kind`` is "gain", "loss" or empty."""

    name: str
    groups: str
    summed: str
    average: str
    predicted: str
    runs: str
    scale: str
    score: str
    gain: str
    kind: str


def sweep_lines(rows: Sequence[SettingRow]) -> list[SweepLine]:
    """Return the lines of the table; none without a sweep."""
    return [_line(row, score) for row in rows for score in row.scores or (None,)]


def _line(row: SettingRow, score: SettingScore | None) -> SweepLine:
    gain = DASH
    if score is not None and row.option:
        gain = "the same groups" if score.gain is None else score_text(score.gain, signed=True)
    return SweepLine(
        name=row.name,
        groups=str(row.k),
        summed=significant(row.summed_density),
        average=significant(row.average_density),
        predicted=DASH if row.predicted_gain is None else significant(row.predicted_gain, signed=True),
        runs=f"{row.further_runs:,}" if row.option else DASH,
        scale=DASH if score is None else f"{score.metric}, {budget_words(score.budget)}",
        score=DASH if score is None else score_text(score.score),
        gain=gain,
        kind="" if score is None else {1: "gain", -1: "loss"}.get(score.sign, ""),
    )
