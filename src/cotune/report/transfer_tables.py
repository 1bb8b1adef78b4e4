"""The tables of a transfer study's page that say what was measured beside its margin."""

from __future__ import annotations

import math

from cotune.findings.transfer import Effect, TransferFindings
from cotune.findings.wording import DASH, percent, significant

_COLUMNS = {
    "seen_train": "Seen tasks, loss on examples trained on",
    "seen_test": "Seen tasks, loss on others",
    "in_context_loss": "Unseen, loss in context",
    "in_context_score": "Unseen, score in context",
    "transfer_loss": "Unseen, loss after fine-tuning",
    "transfer_score": "Unseen, score after fine-tuning",
    "relative": "Unseen, transfer kept",
}


def leads(findings: TransferFindings) -> list[tuple[str, str]]:
    """Name for every column of the arms' table the best, or say that it is undecided."""
    return [(_COLUMNS[one.measure], one.sentence) for one in findings.leads]


def early_rows(findings: TransferFindings) -> list[tuple[str, ...]]:
    """Return what is known at every checkpoint beside what changes in context until the end, scores first."""
    rows = sorted(findings.early, key=lambda one: (one.measure != "score", one.step))
    return [
        (
            f"{one.step:,}",
            one.measure,
            one.predictor,
            significant(one.r),
            _span(*(significant(end, 2) for end in one.interval)),
            "< 0.001" if one.p < 1e-3 else significant(one.p, 2),
            _share(one.skill),
            _span(*(_share(end) for end in one.skill_interval)),
            str(one.tasks),
        )
        for one in rows
    ]


def conflict_rows(findings: TransferFindings) -> list[tuple[str, ...]]:
    """Return direction, magnitude and noise by arm and step."""
    return [
        (
            one.arm,
            f"{one.step:,}",
            _with_margin(one.direction),
            _share(one.conflicting),
            _with_margin(one.magnitude, signed=False),
            _with_margin(one.noise),
            str(one.unknown) if one.unknown else DASH,
        )
        for one in findings.conflicts
    ]


def marking_rows(findings: TransferFindings) -> list[tuple[str, ...]]:
    """Return the further markings less the first, by number of examples and over whole curves."""
    rows: list[tuple[str, ...]] = []
    for one in findings.marking_differences:
        name = f"{one.marking} less {one.first}"
        rows += [(name, f"{n} examples", _with_margin(effect)) for n, effect in one.by_examples]
        rows.append((name, "area under the curve", _with_margin(one.level)))
        rows.append((name, "change of the area by instruction tuning", _with_margin(one.change)))
    return rows


def _with_margin(effect: Effect, *, signed: bool = True) -> str:
    if not math.isfinite(effect.mean):
        return DASH
    margin = significant(effect.margin, 2) if math.isfinite(effect.margin) else "?"
    return f"{significant(effect.mean, 3, signed=signed)} ± {margin}"


def _share(value: float) -> str:
    return percent(value) if math.isfinite(value) else DASH


def _span(low: str, high: str) -> str:
    return DASH if low == DASH == high else f"{low} to {high}"
