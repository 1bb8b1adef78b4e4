"""The files a transfer study leaves: every measurement as a table, and all that the report shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from cotune._files import write_text
from cotune.findings.transfer import TransferCheckpoint, TransferData, TransferFindings
from cotune.studies.engine._tables import cell, csv_text

_PLACE = ("arm", "scheme", "replay", "method", "seed", "group", "step")
_HEADER = (*_PLACE, "task", "measure", "examples", "draw", "score", "loss")
_POINTS = (
    *("arm", "seed", "group", "step", "task"),
    *("transfer_loss", "in_context_loss", "transfer_score", "in_context_score"),
)


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
    text = json.dumps(findings.to_dict(), indent=1, ensure_ascii=False)
    write_text(folder / "results.json", text + "\n")


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
