"""Parts that arms train on all tasks before their groups go on: trained once, kept while they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cotune._files import remove_folder
from cotune.studies.engine import Runner, artefact_lack
from cotune.studies.grouping._runs import BranchedRun, FitRun, GroupingStudyRun, JointPartRun, run_key
from cotune.training.learner import Learner


def joint_part_folder(shared: Path, run: JointPartRun, learner: Learner) -> Path:
    """Return the folder that a joint part leaves where it stands in."""
    return shared / "joint-parts" / run_key(run, learner)


def joint_parts(runs: Iterable[FitRun]) -> list[JointPartRun]:
    """Return the joint parts that runs go on from, each once."""
    return list(dict.fromkeys(run.joint for run in runs if isinstance(run, BranchedRun)))


def wanted_parts(
    runner: Runner[GroupingStudyRun],
    runs: Iterable[FitRun],
    kept: Mapping[GroupingStudyRun, Path],
    key: Callable[[GroupingStudyRun], str],
) -> list[JointPartRun]:
    """Return the joint parts that runs which are still to be done go on from."""
    branched = [run for run in runs if isinstance(run, BranchedRun)]
    stored = runner.stored(branched)
    gone = {run for run in branched if run in kept and artefact_lack(kept[run], key(run))}
    return joint_parts(run for run in branched if run not in stored or run in gone)


def forget_parts(shared: Path) -> None:
    """Take away what joint parts left, when no run goes on from them any more."""
    remove_folder(shared / "joint-parts", shared.parent, ignore_errors=True)
