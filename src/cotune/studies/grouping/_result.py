from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotune.findings.comparison import ArmScore, Comparison
from cotune.studies.engine._runner import StageUsage
from cotune.studies.engine._runs import RunRecord
from cotune.studies.grouping._comparison import TrainedArm
from cotune.studies.grouping._design import AnyRun
from cotune.studies.grouping._grouping import Groups, describe_groups
from cotune.studies.grouping.estimators import Estimate

if TYPE_CHECKING:
    from cotune.studies.grouping._study import GroupingStudy


@dataclass
class GroupingResult:
    """What a grouping study found so far; what was not done yet is None.

    Parameters
    ----------
    study : GroupingStudy
        The study.
    notes : mapping of str to tuple of str
        By task, what was cut or dropped.
    estimate : Estimate or None
        The affinity.
    affinity_records : mapping of run to RunRecord
        Records of the estimator's runs.
    groups : Groups or None
        The groups.
    scores : list of ArmScore
        Test scores of the comparison.
    arms : tuple of TrainedArm
        What every arm of the comparison trains.
    comparison : Comparison or None
        What the scores say.
    stages : list of StageUsage
        What was run.
    report : Path or None
        The report.
    """

    study: GroupingStudy
    notes: Mapping[str, tuple[str, ...]]
    estimate: Estimate | None = None
    affinity_records: Mapping[AnyRun, RunRecord] = field(default_factory=dict)
    groups: Groups | None = None
    scores: list[ArmScore] = field(default_factory=list)
    arms: tuple[TrainedArm, ...] = ()
    comparison: Comparison | None = None
    stages: list[StageUsage] = field(default_factory=list)
    report: Path | None = None

    def sentences(self) -> Sequence[str]:
        """Name the groups, one a line, and say what the comparison decided."""
        lines = describe_groups(self.groups.members) if self.groups is not None else []
        if self.comparison is not None:
            verdicts = (*self.comparison.verdicts, self.comparison.overall)
            lines += [verdict.sentence for verdict in verdicts]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return groups and comparison as plain JSON types."""
        return {
            "groups": self.groups.to_dict() if self.groups else None,
            "comparison": self.comparison.to_dict() if self.comparison else None,
        }
