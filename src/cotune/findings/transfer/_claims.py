"""The claims of the paper beside what was measured, and whether the two agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cotune._repr import Brief
from cotune.findings.transfer._arms import TransferArmRow
from cotune.findings.transfer._records import TransferData
from cotune.findings.transfer._relation import Interval, Relation
from cotune.findings.transfer._replay import ReplayEffect, transfer_area
from cotune.findings.transfer._statistics import Correlation, Effect, paired_effect
from cotune.findings.wording import significant

Agreement = Literal["agrees", "does not agree", "undecided", "not measured"]


@dataclass(frozen=True, slots=True)
class Claim(Brief):
    """What Mueller, Dredze and Andrews (2024) found, and what was found here.

    Parameters
    ----------
    claim : str
        The paper's, in a sentence.
    measured : str
        What was measured here, in a sentence.
    agreement : str
        Whether the two agree; undecided where the difference is within two of its standard errors.
    """

    claim: str
    measured: str
    agreement: Agreement


def claims_of(
    data: TransferData,
    relation: Relation,
    arms: Sequence[TransferArmRow],
    replay: Sequence[ReplayEffect],
) -> tuple[Claim, ...]:
    """Put the paper's claims beside what was measured and what follows from it."""
    return (_drop(data), _relation(relation), _best_scheme(data, arms), *_replay(replay))


def _drop(data: TransferData) -> Claim:
    claim = "Instruction tuning makes transfer to unseen tasks worse."
    plain = {arm.label for arm in data.arms if not arm.replay}
    found = [
        (transfer_area(result) - transfer_area(before), result.task, run.seed)
        for run in data.runs
        if run.arm in plain
        for result in run.last.held_out
        if (before := data.pretrained.of(result.task)) is not None
    ]
    if not found:
        return Claim(claim, "No arm without replay was measured.", "not measured")
    effect = paired_effect(*zip(*found, strict=True))
    measured = (
        f"The area under the transfer curve (score) changes by {_signed(effect)} from the pretrained model "
        f"to the end of instruction tuning without replay, over {effect.n} pairs."
    )
    return Claim(claim, measured, _decide(effect, lower=True))


def _relation(relation: Relation) -> Claim:
    claim = (
        "The loss after fine-tuning and the loss in context go together: r = 0.936 over 91 points, "
        "each a checkpoint and a task."
    )
    measured = (
        f"r = {_correlation(relation.overall, relation.overall_interval)} over {relation.overall.n} points; "
        f"within tasks r = {_correlation(relation.within, relation.within_interval)}."
    )
    if not math.isfinite(relation.overall.r):
        return Claim(claim, "There are too few points.", "not measured")
    low, high = relation.overall_interval
    if low > 0 and relation.within_interval[0] > 0:
        return Claim(claim, measured, "agrees")
    return Claim(claim, measured, "does not agree" if high < 0 or relation.within.high < 0 else "undecided")


def _best_scheme(data: TransferData, arms: Sequence[TransferArmRow]) -> Claim:
    claim = (
        "The training scheme that fits the training tasks' test examples best is the best in context on "
        "unseen tasks."
    )
    plain = {arm.label for arm in data.arms if not arm.replay}
    rows = [row for row in arms if row.arm in plain and math.isfinite(row.in_context_loss)]
    if len(rows) < 2:
        return Claim(claim, "Fewer than two schemes were measured.", "not measured")
    fits = min(rows, key=lambda row: row.seen_test)
    learns = min(rows, key=lambda row: row.in_context_loss)
    measured = (
        f"Best on seen tasks' test examples: {fits.arm} ({significant(fits.seen_test)} nats a token); best "
        f"in context on unseen tasks: {learns.arm} ({significant(learns.in_context_loss)})."
    )
    return Claim(claim, measured, "agrees" if fits is learns else "does not agree")


def _replay(effects: Sequence[ReplayEffect]) -> Iterator[Claim]:
    for effect in effects:
        for what, of in (
            ("in-context loss on unseen tasks", effect.in_context_loss),
            ("loss after fine-tuning on unseen tasks", effect.transfer_loss),
        ):
            claim = f"Continued language-model training lowers the {what}."
            measured = f"Replay at a ratio of {effect.ratio:g} changes it by {_signed(of)} nats a token."
            yield Claim(claim, measured, _decide(of, lower=True))


def _decide(effect: Effect, *, lower: bool) -> Agreement:
    """Say whether an effect has the claimed sign, by more than two of its larger standard error."""
    errors = [e for e in (effect.stderr_tasks, effect.stderr_seeds) if math.isfinite(e)]
    if not errors or abs(effect.mean) <= 2.0 * max(errors):
        return "undecided"
    return "agrees" if (effect.mean < 0) == lower else "does not agree"


def _signed(effect: Effect) -> str:
    over = ", ".join(
        f"{significant(error, 2)} over {what}"
        for error, what in ((effect.stderr_tasks, "tasks"), (effect.stderr_seeds, "seeds"))
        if math.isfinite(error)
    )
    return significant(effect.mean, 3, signed=True) + (f" (standard error {over})" if over else "")


def _correlation(found: Correlation, interval: Interval) -> str:
    if not math.isfinite(found.r):
        return "not defined"
    low, high = (significant(end, 2) for end in (found.low, found.high))
    over = ", ".join(significant(end, 2) for end in interval)
    p = "p < 0.0001" if found.p < 1e-4 else f"p = {significant(found.p, 2)}"
    return f"{significant(found.r)} (95 % {low} to {high}, {p}; over resampled tasks {over})"
