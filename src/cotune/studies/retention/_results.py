"""The files a retention study leaves: every measurement as a table, and all that the report shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cotune._files import write_text
from cotune.findings.retention import RetentionCheckpoint, RetentionData, RetentionFindings
from cotune.studies.engine._tables import cell, csv_text

_HEADER = [
    *("method", "learning_rate", "seed", "stage", "step", "chosen"),
    *("task", "split", "shots", "draws", "value", "label_share"),
]


def write_results(folder: Path, findings: RetentionFindings, split: str) -> None:
    """Write ``results.csv`` and ``results.json``.

    ``results.csv`` has a row for every run, checkpoint, task and number of shots: the mean over the draws of
    the demonstrations. ``chosen`` says whether the checkpoint is the run's best or the first that reaches the
    target score (or both); ``shots`` is blank for the targets, which are answered as they are trained.

    Parameters
    ----------
    folder : Path
        The study's.
    findings : RetentionFindings
        What was found.
    split : str
        The examples that the other tasks were evaluated on.
    """
    write_text(folder / "results.csv", csv_text(_HEADER, _rows(findings.data, split)))
    write_text(folder / "results.json", json.dumps(findings.to_dict(), indent=1, ensure_ascii=False) + "\n")


def _rows(data: RetentionData, split: str) -> Iterator[list[object]]:
    for row in _measurements(data.pretrained, split):
        yield ["pretrained", "", "", "", "", "", *row]
    for run in data.runs:
        for at, checkpoint in enumerate(run.checkpoints):
            chosen = "+".join(
                name for name, place in (("best", run.best), ("equal", run.equal)) if at == place
            )
            place = [run.method, run.learning_rate, run.seed, checkpoint.stage, checkpoint.step, chosen]
            for row in _measurements(checkpoint, split):
                yield [*place, *row]


def _measurements(checkpoint: RetentionCheckpoint, split: str) -> Iterator[list[object]]:
    for score in checkpoint.targets:
        yield [score.task, "validation", "", 1, cell(score.validation), ""]
        yield [score.task, "test", "", 1, cell(score.test), ""]
    for value in checkpoint.in_context:
        mean = float(np.mean(value.draws))
        share = cell(value.label_share)
        yield [value.task, split, value.shots, len(value.draws), cell(mean), share]
