"""``cotune demo``: the whole main job in a minute, on a world small enough for a laptop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Option(help="Where runs and results go.")] = Path("demo"),
) -> None:
    """Group the paper's nine function classes: no download, no GPU, about a minute on two cores.

    Small transformers learn linear functions, decision trees and ReLU networks in context. Every
    three of the nine classes are trained together; what each class gains or loses by its company becomes an
    affinity matrix (Eq. 6), and the matrix becomes groups.
    """
    from importlib.resources import as_file, files

    from cotune.cli._progress import progress
    from cotune.studies import Study, run_study
    from cotune.studies.grouping import GroupingResult, describe_groups

    print("Nine function classes, every three of them trained together, then grouped.")
    with as_file(files("cotune.lab") / "assets" / "demo.yaml") as file, progress(as_json=False) as events:
        result = run_study(Study.load(file, folder), events)
    assert isinstance(result, GroupingResult)
    if result.groups is None:
        return
    groups, families = result.groups, result.study.learner.families
    truth = [families[task] for task in groups.tasks]
    for line in describe_groups(groups.members):
        print(line)
    print(f"sdp: {_agreement(truth, groups.labels)}")
    for other in groups.others:
        print(f"{other.name} on the same matrix: {_agreement(truth, other.labels)}")
    print(f"report: {result.report}")


def _agreement(truth: list[str], labels: tuple[int, ...]) -> str:
    """Say how well labels agree with the types of the functions."""
    from sklearn.metrics import adjusted_rand_score

    index = float(adjusted_rand_score(truth, labels))
    return (
        "the three types, exactly" if index == 1 else f"not the three types (adjusted Rand index {index:.2f})"
    )
