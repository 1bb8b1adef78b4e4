"""What a transfer study found: in lines for a terminal, and in the files it leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

from cotune._files import write_text
from cotune.findings.transfer import (
    EarlyPrediction,
    TransferCheckpoint,
    TransferData,
    TransferFindings,
    TransferRun,
)
from cotune.studies.engine import StudyResult, aligned, cell, csv_text, write_json
from cotune.studies.transfer._design import TransferDesign

_COLUMNS = ("arm", "seen train", "seen test", "unseen in context", "unseen fine-tuned", "transfer kept")
_PLACE = ("arm", "scheme", "replay", "method", "seed", "group", "step")
_HEADER = (*_PLACE, "task", "measure", "examples", "draw", "score", "loss", "marking")
_POINTS = (
    *("arm", "seed", "group", "step", "task"),
    *("transfer_loss", "in_context_loss", "transfer_score", "in_context_score"),
)
_GRADIENTS = (*("arm", "seed", "group", "step", "task", "other"), *("cosine", "norm_ratio", "norm", "noise"))
_EARLY = (
    *("step", "predictor", "measure", "r", "low", "high", "p"),
    *("skill", "skill_low", "skill_high", "tasks", "runs", "seeds"),
)


@dataclass(kw_only=True)
class TransferResult(StudyResult):
    """What a transfer study found so far.

    Parameters
    ----------
    study : TransferDesign
        The study.
    findings : TransferFindings or None
        Every measurement and what follows from it, when the pretrained model was measured.
    """

    study: TransferDesign
    findings: TransferFindings | None = None

    @property
    def data(self) -> TransferData | None:
        """Every measurement, when the pretrained model was measured."""
        return None if self.findings is None else self.findings.data

    def sentences(self) -> Sequence[str]:
        """Tabulate the arms' losses, and put the paper's claims beside what was measured."""
        findings = self.findings
        if findings is None:
            return ()
        rows = [
            _COLUMNS,
            *(
                (
                    row.arm,
                    *(
                        "-" if math.isnan(value) else f"{value:.3f}"
                        for value in (
                            *(row.seen_train, row.seen_test),
                            *(row.in_context_loss, row.transfer_loss),
                        )
                    ),
                    "-" if math.isnan(row.relative) else f"{row.relative:.0%}",
                )
                for row in (findings.pretrained, *findings.arms)
            ),
        ]
        claims = [
            line
            for claim in findings.claims
            for line in (f"The paper: {claim.claim}", f"  here: {claim.measured} -> {claim.agreement}")
        ]
        said = [
            *(change.sentence for change in findings.conflict_changes),
            *(difference.sentence for difference in findings.marking_differences),
        ]
        return ["Losses in nats a token at the end of training:", *aligned(rows), *claims, *said]

    def to_dict(self) -> dict[str, Any]:
        """Return every measurement and finding as plain JSON types."""
        return {"transfer": None if self.findings is None else self.findings.to_dict()}


def write_results(folder: Path, findings: TransferFindings) -> None:
    """Write ``results.csv``, ``points.csv``, ``early.csv``, ``gradients.csv`` and ``results.json``.

    ``results.csv`` has a row for every checkpoint, task, measure (``transfer``, ``in_context``,
    ``seen_train``, ``seen_test``), number of examples and draw. ``points.csv`` has what is correlated: a
    row for every checkpoint and held-out task, losses and scores averaged over the draws. ``early.csv`` has
    what is known at every checkpoint beside what changes until the end, ``gradients.csv`` a row for every
    pair of training tasks at each step at which gradients were taken, and for each with itself its length and
    noise; it is written where there are such steps.

    Parameters
    ----------
    folder : Path
        The study's.
    findings : TransferFindings
        What was found.
    """
    points = ([getattr(point, name) for name in _POINTS] for point in findings.relation.points)
    write_text(folder / "results.csv", csv_text(_HEADER, _rows(findings.data)))
    write_text(folder / "points.csv", csv_text(_POINTS, points))
    write_text(folder / "early.csv", csv_text(_EARLY, map(_early_row, findings.early)))
    gradients = [row for run in findings.data.runs for row in _gradient_rows(run)]
    if gradients:
        write_text(folder / "gradients.csv", csv_text(_GRADIENTS, gradients))
    write_json(folder / "results.json", findings.to_dict())


def _early_row(one: EarlyPrediction) -> list[object]:
    ends = (*one.interval, one.p, one.skill, *one.skill_interval)
    return [one.step, one.predictor, one.measure, *map(cell, (one.r, *ends)), one.tasks, one.runs, one.seeds]


def _gradient_rows(run: TransferRun) -> Iterator[list[object]]:
    for step, found in run.gradients:
        for i, j in combinations_with_replacement(range(len(found.tasks)), 2):
            pair = (found.norms[i], found.norms[j])
            ratio = min(pair) / max(pair) if all(map(math.isfinite, pair)) else math.nan
            own = (found.norms[i], found.noise[i]) if i == j else (math.nan, math.nan)
            values = map(cell, (found.cosines[i][j], ratio, *own))
            yield [run.arm, run.seed, run.group, step, found.tasks[i], found.tasks[j], *values]


def _rows(data: TransferData) -> Iterator[list[object]]:
    arms = {arm.label: arm for arm in data.arms}
    pretrained = ["pretrained", "", "", "", "", "", 0]
    for row in _measurements(data.pretrained, data.marking):
        yield [*pretrained, *row]
    for run in data.runs:
        arm = arms[run.arm]
        for checkpoint in run.checkpoints:
            place = [arm.label, arm.scheme, arm.replay, arm.method, run.seed, run.group, checkpoint.step]
            for row in _measurements(checkpoint, data.marking):
                yield [*place, *row]
    last = {(run.arm, run.seed, run.group): run.last.step for run in data.runs}
    for one in data.marked:
        step = last.get((one.arm, one.seed, one.group), 0)
        place = pretrained
        if one.arm:
            arm = arms[one.arm]
            place = [arm.label, arm.scheme, arm.replay, arm.method, one.seed, one.group, step]
        for row in _measurements(TransferCheckpoint(step=step, held_out=one.held_out), one.marking):
            yield [*place, *row]


def _measurements(checkpoint: TransferCheckpoint, marking: str) -> Iterator[list[object]]:
    for seen in checkpoint.seen:
        yield [seen.task, "seen_train", "", "", "", cell(seen.train), ""]
        yield [seen.task, "seen_test", "", "", "", cell(seen.test), ""]
    for result in checkpoint.held_out:
        for measure, points in (("transfer", result.transfer), ("in_context", result.in_context)):
            for point in points:
                marked = marking if measure == "transfer" else ""
                for draw, (score, loss) in enumerate(zip(point.scores, point.losses, strict=True)):
                    yield [result.task, measure, point.examples, draw, cell(score), cell(loss), marked]
