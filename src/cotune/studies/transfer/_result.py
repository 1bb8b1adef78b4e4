"""What a transfer study found: in lines for a terminal, and in the files it leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotune._files import write_text
from cotune.findings.transfer import TransferCheckpoint, TransferData, TransferFindings
from cotune.studies.engine import StudyResult, aligned, cell, csv_text, write_json
from cotune.studies.transfer._design import TransferDesign

_COLUMNS = ("arm", "seen train", "seen test", "unseen in context", "unseen fine-tuned", "transfer kept")
_PLACE = ("arm", "scheme", "replay", "method", "seed", "group", "step")
_HEADER = (*_PLACE, "task", "measure", "examples", "draw", "score", "loss")
_POINTS = (
    *("arm", "seed", "group", "step", "task"),
    *("transfer_loss", "in_context_loss", "transfer_score", "in_context_score"),
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
        return ["Losses in nats a token at the end of training:", *aligned(rows), *claims]

    def to_dict(self) -> dict[str, Any]:
        """Return every measurement and finding as plain JSON types."""
        return {"transfer": None if self.findings is None else self.findings.to_dict()}


def write_results(folder: Path, findings: TransferFindings) -> None:
    """Write ``results.csv``, ``points.csv`` and ``results.json``.

    ``results.csv`` has a row for every checkpoint, task, measure (``transfer``, ``in_context``,
    ``seen_train``, ``seen_test``), number of examples and draw. ``points.csv`` has what is correlated: a
    row for every checkpoint and held-out task, losses and scores averaged over the draws.

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
    write_json(folder / "results.json", findings.to_dict())


def _rows(data: TransferData) -> Iterator[list[object]]:
    arms = {arm.label: arm for arm in data.arms}
    for row in _measurements(data.pretrained):
        yield ["pretrained", "", "", "", "", "", 0, *row]
    for run in data.runs:
        arm = arms[run.arm]
        for checkpoint in run.checkpoints:
            place = [arm.label, arm.scheme, arm.replay, arm.method, run.seed, run.group, checkpoint.step]
            for row in _measurements(checkpoint):
                yield [*place, *row]


def _measurements(checkpoint: TransferCheckpoint) -> Iterator[list[object]]:
    for seen in checkpoint.seen:
        yield [seen.task, "seen_train", "", "", "", cell(seen.train)]
        yield [seen.task, "seen_test", "", "", "", cell(seen.test)]
    for result in checkpoint.held_out:
        for measure, points in (("transfer", result.transfer), ("in_context", result.in_context)):
            for point in points:
                for draw, (score, loss) in enumerate(zip(point.scores, point.losses, strict=True)):
                    yield [result.task, measure, point.examples, draw, cell(score), cell(loss)]
