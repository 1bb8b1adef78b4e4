"""What a retention study found, in lines for a terminal."""

from __future__ import annotations

import numpy as np

from cotune.findings.retention import At, RetentionFindings, RetentionScores

_WAYS: tuple[At, ...] = ("equal", "best")


def summary_lines(findings: RetentionFindings) -> list[str]:
    """Return the verdict, and a table of methods and learning rates with what every seed keeps."""
    data, scores, verdict = findings.data, findings.scores, findings.verdict
    shots = scores.most_shots
    equal = "at equal target" if data.threshold is None else f"at target {data.threshold:.3g}"
    header = ("method", "rate", equal, f"{shots}-shot kept", "at best", f"{shots}-shot kept")
    rows = [
        (method, f"{rate:g}", *(cell for at in _WAYS for cell in _at(scores, method, rate, at, shots)))
        for method in data.methods
        for rate in data.learning_rates
        if scores.runs(method, rate)
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    return [verdict.headline, verdict.sentence, *(table if rows else ())]


def _at(scores: RetentionScores, method: str, rate: float, at: At, shots: int) -> tuple[str, str]:
    """Return the targets' mean test score at the checkpoints chosen this way, and what each seed keeps."""
    checkpoints = list(scores.checkpoints(method, rate, at).values())
    if not checkpoints:
        return "-", "never reached"
    target = np.mean([score.test for checkpoint in checkpoints for score in checkpoint.targets])
    kept = " ".join(f"{share:.0%}" for share in scores.kept(method, rate, at, shots).values())
    missing = len(scores.runs(method, rate)) - len(checkpoints)
    return f"{target:.3f}", kept + (f" ({missing} never)" if missing else "")
