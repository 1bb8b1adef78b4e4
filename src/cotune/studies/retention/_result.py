"""What a retention study found: in lines for a terminal, and in the files it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cotune._files import write_text
from cotune.findings.retention import (
    CHANGE_HEADER,
    At,
    RetentionCheckpoint,
    RetentionData,
    RetentionFindings,
    RetentionScores,
    checkpoint_at,
)
from cotune.studies.engine import StudyResult, aligned, cell, csv_text, write_json
from cotune.studies.retention._design import RetentionDesign

_WAYS: tuple[At, ...] = ("equal", "best")
_HEADER = [
    *("method", "learning_rate", "seed", "stage", "step", "chosen"),
    *("task", "split", "shots", "draws", "value", "label_share", "first_word_share"),
    *("weights_changed", "kl", "answers_changed"),
]


@dataclass(kw_only=True)
class RetentionResult(StudyResult):
    """What a retention study found so far.

    Parameters
    ----------
    study : RetentionDesign
        The study.
    findings : RetentionFindings or None
        Every measurement and what follows from it, when the pretrained model was measured.
    """

    study: RetentionDesign
    findings: RetentionFindings | None = None

    @property
    def data(self) -> RetentionData | None:
        """Every measurement, when the pretrained model was measured."""
        return None if self.findings is None else self.findings.data

    def sentences(self) -> Sequence[str]:
        """Tabulate what the methods keep of in-context learning."""
        return _summary(self.findings) if self.findings is not None else ()

    def to_dict(self) -> dict[str, Any]:
        """Return every measurement as plain JSON types."""
        return {"retention": None if self.findings is None else self.findings.to_dict()}


def _summary(findings: RetentionFindings) -> list[str]:
    """Return the verdict, and a table of methods and learning rates with what every seed keeps."""
    data, scores, verdict = findings.data, findings.scores, findings.verdict
    shots = scores.most_shots
    equal = "at equal target" if data.threshold is None else f"at target {data.threshold:.3g}"
    header = ("method", "rate", equal, f"{shots}-shot kept", "at best", f"{shots}-shot kept")
    rows = [
        (method, f"{rate:g}", *(text for at in _WAYS for text in _at(scores, method, rate, at, shots)))
        for method in data.methods
        for rate in data.learning_rates
        if scores.runs(method, rate)
    ]
    table = aligned([header, *rows]) if rows else ()
    return [verdict.headline, verdict.sentence, *table, *_changes(findings)]


def _changes(findings: RetentionFindings) -> list[str]:
    """Return a table of what the last stages changed by each way to choose, and what is to be said of it."""
    lines = []
    for at in findings.chosen:
        there = [c for c in findings.changes if c.at == at and (c.runs or c.unmoved)]
        rows = [(c.method, f"{c.learning_rate:g}", *c.cells) for c in there]
        if rows:
            lines.append(f"What the last stage changed, {'at equal target' if at == 'equal' else 'at best'}:")
            lines += aligned([("method", "rate", *CHANGE_HEADER), *rows])
    return [*lines, *findings.said]


def _at(scores: RetentionScores, method: str, rate: float, at: At, shots: int) -> tuple[str, str]:
    """Return the targets' mean test score at the checkpoints chosen this way, and what each seed keeps."""
    checkpoints = list(scores.checkpoints(method, rate, at).values())
    if not checkpoints:
        return "-", "never reached"
    target = np.mean([score.test for checkpoint in checkpoints for score in checkpoint.targets])
    kept = " ".join(f"{share:.0%}" for share in scores.kept(method, rate, at, shots).values())
    missing = len(scores.runs(method, rate)) - len(checkpoints)
    return f"{target:.3f}", kept + (f" ({missing} never)" if missing else "")


def write_results(folder: Path, findings: RetentionFindings, split: str) -> None:
    """Write ``results.csv`` and ``results.json``.

    ``results.csv`` has a row for every run, checkpoint, task and number of shots: the mean over the draws of
    the demonstrations. ``chosen`` says whether the checkpoint is the run's best or the first that reaches the
    target score (or both); ``shots`` is blank for the targets, which are answered as they are trained. The
    last three columns tell what the last stage has changed: of the weights, and of what is predicted and
    answered to the targets in their rows, to the other tasks in theirs.

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
    write_json(folder / "results.json", findings.to_dict())


def _rows(data: RetentionData, split: str) -> Iterator[list[object]]:
    for row in _measurements(data.pretrained, split):
        yield ["pretrained", "", "", "", "", "", *row]
    for run in data.runs:
        results = [(at, checkpoint_at(run, at)) for at in ("best", "equal")]
        for checkpoint in run.checkpoints:
            chosen = "+".join(name for name, result in results if result is checkpoint)
            place = [run.method, run.learning_rate, run.seed, checkpoint.stage, checkpoint.step, chosen]
            for row in _measurements(checkpoint, split):
                yield [*place, *row]


def _measurements(checkpoint: RetentionCheckpoint, split: str) -> Iterator[list[object]]:
    on_targets = on_others = ["", "", ""]
    if (change := checkpoint.change) is not None:
        on_targets = [cell(v) for v in (change.weights, change.kl_target, change.answers_target)]
        on_others = [cell(v) for v in (change.weights, change.kl_other, change.answers_other)]
    for score in checkpoint.targets:
        yield [score.task, "validation", "", 1, cell(score.validation), "", "", *on_targets]
        yield [score.task, "test", "", 1, cell(score.test), "", "", *on_targets]
    for value in checkpoint.in_context:
        mean = float(np.mean(value.draws))
        shares = (cell(value.label_share), cell(value.first_word_share))
        yield [value.task, split, value.shots, len(value.draws), cell(mean), *shares, *on_others]
