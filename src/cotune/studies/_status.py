"""What of a study is done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cotune.exceptions import RunError
from cotune.studies._comparison import ArmRuns
from cotune.studies._grouping import group_tasks
from cotune.studies._runner import StoredRunner
from cotune.studies._store import open_store
from cotune.studies._study import Study


@dataclass(frozen=True)
class StageStatus:
    """Runs of a stage: wanted (None while not known), done, and of those failed."""

    title: str
    wanted: int | None
    done: int
    failed: int


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Parameters
    ----------
    name : str
        The study.
    folder : str
        Its folder.
    stages : tuple of StageStatus
        Affinity, and the comparison if there is one.
    errors : tuple of str
        One sentence for each failed run.
    groups : list of lists of str, or None
        The groups, when affinity is complete.
    """

    name: str
    folder: str
    stages: tuple[StageStatus, ...]
    errors: tuple[str, ...]
    groups: list[tuple[str, ...]] | None

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return all(stage.done == stage.wanted for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "complete": self.complete}


def study_status(study: Study) -> Status:
    """Look up which of a study's runs are in its store; runs and writes nothing.

    Raises
    ------
    InputError
        If the study was never run.
    """
    study.require_folder()
    config = study.config
    stages: list[StageStatus] = []
    groups = None
    with open_store(study.folder / "runs.sqlite") as store:
        runner = StoredRunner(study, store)
        wanted = config.affinity.runs(study.learner, config.seed)
        records = runner.get("affinity", wanted)
        if len(records) == len(set(wanted)):
            try:
                estimate = config.affinity.estimate(study.learner, records)
                names = tuple(study.learner.tasks)
                groups = group_tasks(
                    names, estimate.affinity, config.grouping, scale=config.affinity.scale, seed=config.seed
                )
            except RunError:
                groups = None
        totals: list[int | None] = [len(set(wanted))]
        if config.comparison is not None and groups is not None:
            plan = ArmRuns.plan(groups.tasks, groups.labels, config.comparison, config.seed)
            runner.get("comparison", plan.runs)
            totals.append(len(plan.runs))
        for stage, total in zip(runner.stages, totals, strict=True):
            failed = sum(record.error is not None for record in stage.records)
            stages.append(StageStatus(stage.title, total, len(stage.records), failed))
        if config.comparison is not None and groups is None:
            stages.append(StageStatus("comparison", None, 0, 0))
        errors = tuple(r.error for stage in runner.stages for r in stage.records if r.error)
    members = groups.members if groups is not None else None
    return Status(config.name, str(study.folder), tuple(stages), errors, members)
