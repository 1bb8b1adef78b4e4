"""ProMoT beside LoRA and prompt tuning on real text (make bench-promot).

Runs the study in promot.yaml, as ``cotune run`` would, and prints its tables in Markdown: in-context scores
of every method at the same target score and at each one's best checkpoint, for every learning rate, and what
the methods cost. Finished runs are kept in the folder: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from cotune.cli._progress import duration, progress
from cotune.findings.retention import At, RetentionFindings
from cotune.report.retention import cost_rows
from cotune.report.retention_table import RetentionCell, retention_table
from cotune.studies import Study, run_study
from cotune.studies.retention import RetentionResult

STUDY = Path(__file__).with_suffix(".yaml")
ORDERS: tuple[tuple[At, str], ...] = (
    ("equal", "At equal target score"),
    ("best", "At each method's best checkpoint"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the study and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--folder", type=Path, default=STUDY.parents[1] / ".cache" / "bench-promot")
    options = parser.parse_args(argv)
    started = time.perf_counter()
    with progress(as_json=False) as events:
        result = run_study(Study.load(options.study, options.folder), events)
    assert isinstance(result, RetentionResult)
    print(f"{duration(time.perf_counter() - started)}, report: {result.report}\n")
    print("\n".join(result.sentences()))
    if result.findings is None:
        return
    for at, title in ORDERS:
        for rate in result.findings.data.learning_rates:
            print(f"\n### {title}, learning rate {rate:g}\n")
            print_table(result.findings, at, rate)
    print("\n### Cost of one run\n")
    print("| method | runs | processor time | tokens | trained parameters | on disk |")
    print(f"|{'---|' * 6}")
    for row in cost_rows(result.findings):
        print(f"| {row.method} | {row.runs} | {row.cpu} | {row.tokens} | {row.parameters} | {row.disk} |")


def print_table(findings: RetentionFindings, at: At, rate: float) -> None:
    """Print the paper's table: a row for each task, a column for each method and number of shots."""
    table = retention_table(findings, at=at, learning_rate=rate)
    header = [f"{name} {shots}-shot" for name in table.columns for shots in table.shots]
    print(f"| task | metric | {' | '.join(header)} |\n|{'---|' * (len(header) + 2)}")
    for row in table.rows:
        # A target is answered as it was tuned, without demonstrations: one cell for all shots.
        texts = [
            text
            for of_method in row.cells
            for text in [*map(_text, of_method), *[""] * (len(table.shots) - len(of_method))]
        ]
        print(f"| {row.name} | {row.metric} | {' | '.join(texts)} |")
    for remark in table.remarks:
        print(f"\n{remark}")


def _text(cell: RetentionCell) -> str:
    return f"{cell.text} ± {cell.error}" if cell.error else cell.text


if __name__ == "__main__":
    main()
