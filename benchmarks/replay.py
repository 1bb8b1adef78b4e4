"""The smallest replay, foretold from short runs and looked at in others (make bench-replay).

Runs the study in replay.yaml, takes the ratio that it foretells, and runs that ratio, half and twice of it
under seeds that the first study has not seen. Finished runs are kept: the same command goes on.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from cotune.cli._progress import progress
from cotune.findings.retention import At, RetentionFindings
from cotune.findings.wording import percent
from cotune.studies import Study, run_study
from cotune.studies.engine._config import read_study_file
from cotune.studies.retention import RetentionResult

STUDY = Path(__file__).with_suffix(".yaml")
TIMES = (0.5, 1.0, 2.0)


def main(argv: Sequence[str] | None = None) -> None:
    """Foretell, look, print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--folder", type=Path, default=STUDY.parents[1] / ".cache" / "bench-replay")
    options = parser.parse_args(argv)
    first = run(options.study, options.folder / "short")
    (foretold,) = first.smallest
    print("\n".join([*rows(first, foretold.at), "", foretold.sentence]))
    found = foretold.found
    ratio = found.enough if math.isnan(found.ratio) else found.ratio
    if not ratio > 0:
        print("There is no ratio to look at.")
        return
    file = options.folder / "looked_at.yaml"
    file.write_text(yaml.safe_dump(others(options.study, ratio, first), sort_keys=False))
    print("\n".join(["", *rows(run(file, options.folder / "looked_at"), foretold.at)]))


def run(study: Path, folder: Path) -> RetentionFindings:
    """Run a study and return what it found."""
    with progress(as_json=False) as events:
        result = run_study(Study.load(study, folder), events)
    assert isinstance(result, RetentionResult)
    assert result.findings is not None
    return result.findings


def others(study: Path, ratio: float, first: RetentionFindings) -> dict[str, Any]:
    """Return the study with runs at and around a ratio, under seeds of their own, at its target score."""
    content: dict[str, Any] = read_study_file(study)
    method = next(one for one in content["methods"] if "others" in one)
    methods = []
    for times in TIMES:
        rounded = float(f"{times * ratio:.2g}")
        with_ratio = {**method["others"], "ratio": rounded}
        methods.append({**method, "label": f"{method['name']} {rounded:g}", "others": with_ratio})
    seed = content.get("seed", 0) + content["seeds"]
    level = {} if first.data.threshold is None else {"equal_target": first.data.threshold}
    return {**content, **level, "name": "the foretold ratio, looked at", "methods": methods, "seed": seed}


def rows(findings: RetentionFindings, at: At) -> Iterator[str]:
    """Yield a table of what every ratio keeps, seed by seed."""
    yield "| method | target, validation | kept, by seed | mean |"
    yield "|---|---|---|---|"
    for one in findings.kept:
        if one.at == at and one.shares:
            runs = findings.scores.checkpoints(one.method, one.learning_rate, at).values()
            scores = [score.validation for checkpoint in runs for score in checkpoint.targets]
            shares = ", ".join(percent(share) for share in one.shares.values())
            if missing := one.runs - len(one.shares):
                shares += f"; {missing} never"
            yield f"| {one.method} | {percent(sum(scores) / len(scores))} | {shares} | {percent(one.mean)} |"


if __name__ == "__main__":
    main()
