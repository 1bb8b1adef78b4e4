"""What instruction tuning does to learning new tasks, on real text (make bench-transfer).

Runs the study in transfer.yaml, as ``cotune run`` would, and prints what it found beside what "Multi-Task
Transfer Matters During Instruction-Tuning" (Findings of ACL 2024) claims: the table of schemes, the effect of
replay with standard errors, how loss after fine-tuning and loss in context go together, over all points and
within tasks. Finished runs are kept in the folder: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from cotune._files import write_text
from cotune.cli._progress import duration, progress
from cotune.findings.transfer import Correlation, Effect, TransferFindings
from cotune.studies import Study, run_study
from cotune.studies.transfer import TransferResult

STUDY = Path(__file__).with_suffix(".yaml")

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""A title, the names of columns, and rows."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the study and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--folder", type=Path, default=STUDY.parents[1] / ".cache" / "bench-transfer")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this Markdown file")
    options = parser.parse_args(argv)
    started = time.perf_counter()
    with progress(as_json=False) as events:
        result = run_study(Study.load(options.study, options.folder), events)
    assert isinstance(result, TransferResult)
    print(f"{duration(time.perf_counter() - started)}, report: {result.report}")
    if result.findings is None:
        return
    lines = [f"failed: {failure.name}: {failure.error}" for failure in result.findings.data.failures]
    replay = result.study.config.replay
    if replay is not None:
        text = ", ".join(f"{key} {value}" for key, value in replay["text"].items())
        lines += ["", f"Text replayed ({text}) comes on top of the instructions."]
    for table in tables(result.findings):
        lines += markdown(*table)
    print("\n".join(lines))
    if options.markdown:
        write_text(options.markdown, "\n".join(lines) + "\n")


def tables(findings: TransferFindings) -> Iterable[Table]:
    """Make the tables of what was found."""
    yield (
        "Arms at the end of instruction tuning (losses in nats a token)",
        (
            *("arm", "runs", "instructions", "seen, trained on", "seen, others"),
            *("unseen in context: loss", "score", "unseen fine-tuned: loss", "score", "transfer kept"),
        ),
        [
            (
                *(row.arm, str(row.runs), str(row.instructions or "")),
                *map(number, (row.seen_train, row.seen_test, row.in_context_loss, row.in_context_score)),
                *map(number, (row.transfer_loss, row.transfer_score, row.relative)),
            )
            for row in (findings.pretrained, *findings.arms)
        ],
    )
    yield (
        "Replay less no replay, paired by scheme, seed and task",
        (
            *("ratio", "of unseen tasks", "effect", "±, 95 %", "standard error over tasks", "over seeds"),
            *("pairs", "better"),
        ),
        [
            (f"{replay.ratio:g}", what, *effect(found), better)
            for replay in findings.replay
            for what, found, better in (
                ("in-context loss", replay.in_context_loss, "lower"),
                ("in-context score", replay.in_context_score, "higher"),
                ("loss after fine-tuning", replay.transfer_loss, "lower"),
                ("score after fine-tuning", replay.transfer_score, "higher"),
            )
        ],
    )
    relation = findings.relation
    yield (
        f"Loss after fine-tuning on {relation.examples} examples and loss with {relation.shots} shots, "
        "a point for every checkpoint and task",
        ("", "points", "r", "95 % interval", "over resampled tasks", "p"),
        [
            ("over all points", *correlation(relation.overall, relation.overall_interval)),
            ("within tasks", *correlation(relation.within, relation.within_interval)),
        ],
    )
    yield (
        "The paper and this run",
        ("the paper", "here", ""),
        [(claim.claim, claim.measured, claim.agreement) for claim in findings.claims],
    )


def number(value: float, digits: int = 3) -> str:
    """Format a number; nothing where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else ""


def effect(found: Effect) -> tuple[str, ...]:
    """Format an effect with its margin and its standard errors."""
    errors = (found.margin, found.stderr_tasks, found.stderr_seeds)
    return f"{found.mean:+.3f}", *map(number, errors), str(found.n)


def correlation(found: Correlation, interval: tuple[float, float]) -> tuple[str, ...]:
    """Format a correlation with its intervals."""
    p = f"{found.p:.2g}" if math.isfinite(found.p) else ""
    return str(found.n), number(found.r), span(found.low, found.high), span(*interval), p


def span(low: float, high: float) -> str:
    """Format an interval; nothing where there is none."""
    return f"{low:.2f} to {high:.2f}" if math.isfinite(low) and math.isfinite(high) else ""


def markdown(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table in Markdown."""
    lines = ["", f"### {title}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


if __name__ == "__main__":
    main()
