"""The claims of the paper beside what was measured, and whether the two agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cotune._repr import Brief
from cotune.findings.transfer._best import cells_of, lead, less
from cotune.findings.transfer._early import BEFORE, EARLY, FEWEST_TASKS, EarlyPrediction, of_the_claim
from cotune.findings.transfer._effects import Effect, paired_effect
from cotune.findings.transfer._markings import MarkingRow
from cotune.findings.transfer._records import TransferData
from cotune.findings.transfer._relation import Interval, Relation
from cotune.findings.transfer._replay import ReplayEffect, transfer_area
from cotune.findings.transfer._statistics import Correlation
from cotune.findings.wording import count, percent, significant

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
        Whether the two agree; undecided where what was measured is within its margin, or the margin unknown.
    """

    claim: str
    measured: str
    agreement: Agreement


def claims_of(
    data: TransferData,
    relation: Relation,
    replay: Sequence[ReplayEffect],
    early: Sequence[EarlyPrediction],
    markings: Sequence[MarkingRow],
) -> tuple[Claim, ...]:
    """Put the paper's claims beside what was measured and what follows from it."""
    further = (row for row in markings if row.marking != data.marking)
    return (
        _drop(data),
        *(_drop_marked(row) for row in further),
        _relation(relation),
        _best_scheme(data),
        *_replay(replay),
        _early(data, early),
    )


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
    return Claim(claim, _dropped(effect), _decide(effect, lower=True))


def _drop_marked(row: MarkingRow) -> Claim:
    claim = f"Instruction tuning makes transfer to unseen tasks worse, marked by {row.marking} too."
    return Claim(claim, _dropped(row.change), _decide(row.change, lower=True))


def _dropped(effect: Effect) -> str:
    return (
        f"The area under the transfer curve (score) changes by {effect.text} from the pretrained model "
        f"to the end of instruction tuning without replay, over {count(effect.n, 'pair')}."
    )


def _relation(relation: Relation) -> Claim:
    claim = (
        "The loss after fine-tuning and the loss in context go together: r = 0.936 over 91 points, "
        "each a checkpoint and a task."
    )
    measured = (
        f"r = {_correlation(relation.overall, relation.overall_interval)} over {relation.overall.n} points; "
        f"within tasks r = {_correlation(relation.within, relation.within_interval)}."
    )
    if not math.isfinite(relation.overall.r) or not any(point.step for point in relation.points):
        return Claim(claim, "There are too few points.", "not measured")
    tasks = len({point.task for point in relation.points})
    if tasks < FEWEST_TASKS:
        return Claim(claim, f"{measured} {count(tasks, 'task')} are too few to decide by.", "undecided")
    overall, within = relation.overall_interval, relation.within_interval
    if overall[0] > 0 and within[0] > 0:
        return Claim(claim, measured, "agrees")
    return Claim(claim, measured, "does not agree" if overall[1] < 0 or within[1] < 0 else "undecided")


def _best_scheme(data: TransferData) -> Claim:
    claim = (
        "The training scheme that fits the training tasks' test examples best is the best in context on "
        "unseen tasks."
    )
    plain = [arm.label for arm in data.arms if not arm.replay]
    fits, learns = (lead(data, plain, measure) for measure in ("seen_test", "in_context_loss"))
    if fits is None or learns is None:
        return Claim(claim, "Fewer than two schemes were measured.", "not measured")
    measured = (
        f"Best on seen tasks' test examples, by loss: {fits.sentence}; best in context on unseen tasks: "
        f"{learns.sentence}."
    )
    if not fits.decided:
        return Claim(claim, measured, "undecided")
    if learns.decided:
        return Claim(claim, measured, "agrees" if fits.arm == learns.arm else "does not agree")
    # Which is best in context may be open, and still that it is not the one that fits best.
    one, other = (cells_of(data, arm, "in_context_loss") for arm in (fits.arm, learns.arm))
    return Claim(claim, measured, "does not agree" if less(one, other).sign > 0 else "undecided")


def _replay(effects: Sequence[ReplayEffect]) -> Iterator[Claim]:
    for effect in effects:
        for what, of in (
            ("in-context loss on unseen tasks", effect.in_context_loss),
            ("loss after fine-tuning on unseen tasks", effect.transfer_loss),
        ):
            claim = f"Continued language-model training lowers the {what}."
            measured = f"Replay at a ratio of {effect.ratio:g} changes it by {of.text} nats a token."
            yield Claim(claim, measured, _decide(of, lower=True))


def _early(data: TransferData, found: Sequence[EarlyPrediction]) -> Claim:
    claim = (
        "Early in training, what instruction tuning does to transfer to a task tells what it does to "
        "learning that task in context."
    )
    one = of_the_claim(data, found)
    if one is None or not math.isfinite(one.r):
        why = (
            f"No checkpoint in the first {percent(EARLY)} of the steps was measured."
            if one is None
            else f"At step {one.step:,} the changes do not differ between the tasks."
        )
        return Claim(claim, why, "not measured")
    said = (
        f"The score's change by step {one.step:,} after fine-tuning on {one.predictor} and its change in "
        f"context by the end have r = {significant(one.r)} over {count(one.tasks, 'task')} within "
        f"{count(one.runs, 'run')}"
    )
    if one.tasks < FEWEST_TASKS:
        return Claim(claim, f"{said}: with fewer than {FEWEST_TASKS} tasks nothing is known.", "undecided")
    before = next(
        (
            other.r
            for other in found
            if (other.step, other.measure, other.predictor) == (one.step, one.measure, BEFORE)
        ),
        math.nan,
    )
    measured = (
        f"{said} (95 % over resampled tasks and seeds {_span(one.interval)}, p = {significant(one.p, 2)} of "
        f"outcomes dealt out anew); {_skill(one)}. The score in context before tuning has r = "
        f"{significant(before)} with the same."
    )
    verdict: dict[int, Agreement] = {1: "agrees", -1: "does not agree", 0: "undecided"}
    return Claim(claim, measured, verdict[one.sign])


def _skill(one: EarlyPrediction) -> str:
    over = "tasks and seeds" if one.seeds > 1 else "tasks"
    if not math.isfinite(one.skill):
        return f"on {over} held out nothing can be said"
    low, high = (percent(end) if math.isfinite(end) else "unknown" for end in one.skill_interval)
    saved = "saves" if one.skill >= 0 else "adds"
    return (
        f"on {over} held out a line fitted on the others {saved} {percent(abs(one.skill))} of the squared "
        f"error of their mean (saved: 95 % {low} to {high})"
    )


def _decide(effect: Effect, *, lower: bool) -> Agreement:
    """Say whether an effect has the claimed sign, by more than its margin."""
    if not effect.sign:
        return "undecided"
    return "agrees" if (effect.sign < 0) == lower else "does not agree"


def _span(interval: Interval) -> str:
    return " to ".join(significant(end, 2) for end in interval)


def _correlation(found: Correlation, interval: Interval) -> str:
    if not math.isfinite(found.r):
        return "not defined"
    low, high = (significant(end, 2) for end in (found.low, found.high))
    over = ", ".join(significant(end, 2) for end in interval)
    p = "p < 0.0001" if found.p < 1e-4 else f"p = {significant(found.p, 2)}"
    return f"{significant(found.r)} (95 % {low} to {high}, {p}; over resampled tasks {over})"
