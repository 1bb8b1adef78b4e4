"""Ways to keep in-context learning side by side, at equal target score (make bench-arena).

Runs a study of retention, as ``cotune run`` would, and prints in Markdown what every method keeps of the
in-context scores, seed by seed, and how far from the best kept it is. Finished runs are kept in the folder:
the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev

from cotune.cli._progress import duration, progress
from cotune.findings.retention import At, Kept, RetentionFindings
from cotune.findings.wording import percent
from cotune.studies import Study, run_study
from cotune.studies.retention import RetentionResult

STUDY = Path(__file__).with_suffix(".yaml")
HEADER = (
    *("method", "rate", "target, test", "kept, by seed", "mean", "behind the first"),
    *("weights", "KL others", "labels"),
)
ORDERS: tuple[tuple[At, str], ...] = (
    ("equal", "At equal target score"),
    ("best", "At each run's best checkpoint by validation score"),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the study and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(argv)
    folder = options.folder or STUDY.parents[1] / ".cache" / f"bench-{options.study.stem}"
    started, spent = time.perf_counter(), time.process_time()
    with progress(as_json=False) as events:
        result = run_study(Study.load(options.study, folder), events)
    assert isinstance(result, RetentionResult)
    took = (
        f"{duration(time.perf_counter() - started)}, of this process {duration(time.process_time() - spent)}"
    )
    print(f"{took}, report: {result.report}\n")
    print("\n".join(result.sentences()))
    if result.findings is None:
        return
    for at, title in ORDERS:
        print(f"\n### {title}\n")
        print("\n".join(table(result.findings, at)))


def table(findings: RetentionFindings, at: At) -> Iterator[str]:
    """Yield the rows of the arena: the most kept first, with the margin to it, paired by seed."""
    kept = sorted((one for one in findings.kept if one.at == at and one.shares), key=lambda one: -one.mean)
    yield f"| {' | '.join(HEADER)} |"
    yield f"|{'---|' * len(HEADER)}"
    for one in kept:
        change = findings.changed_by(one.method, one.learning_rate, at)
        shares = [share.first_word for share in findings.label_shares if _same(share, one)]
        cells = [
            one.method,
            f"{one.learning_rate:g}",
            _target(findings, one),
            ", ".join(percent(share) for share in one.shares.values()) + _missing(one),
            percent(one.mean),
            "" if one is kept[0] else behind(kept[0], one),
            *((change.cells[0], change.cells[2]) if change else ("", "")),
            percent(shares[0]) if shares and math.isfinite(shares[0]) else "",
        ]
        yield f"| {' | '.join(cells)} |"
    never = [one for one in findings.kept if one.at == at and not one.shares]
    for one in never:
        yield f"| {one.method} | {one.learning_rate:g} | never reached |{' |' * (len(HEADER) - 3)}"


def behind(first: Kept, other: Kept) -> str:
    """Return by how many points a method keeps less than the first, with its standard error over seeds."""
    shared = first.shares.keys() & other.shares.keys()
    differences = [100 * (first.shares[seed] - other.shares[seed]) for seed in shared]
    if not differences:
        return "no seed in common"
    if len(differences) < 2:
        return f"{differences[0]:.0f}, one seed"
    return f"{fmean(differences):.0f} ± {stdev(differences) / math.sqrt(len(differences)):.0f}"


def _target(findings: RetentionFindings, kept: Kept) -> str:
    found = findings.scores.checkpoints(kept.method, kept.learning_rate, kept.at).values()
    return percent(fmean(score.test for checkpoint in found for score in checkpoint.targets))


def _missing(kept: Kept) -> str:
    missing = kept.runs - len(kept.shares)
    return f"; {missing} never" if missing else ""


def _same(share: object, kept: Kept) -> bool:
    wanted = (kept.method, kept.learning_rate, kept.at)
    return tuple(getattr(share, name) for name in ("method", "learning_rate", "at")) == wanted


if __name__ == "__main__":
    main()
