from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cotune.evaluation.comparison import ArmScore, Comparison
from cotune.studies._grouping import Groups
from cotune.studies._runner import StageUsage
from cotune.studies._runs import AnyRun, RunRecord
from cotune.studies._study import Study
from cotune.studies.estimators import Estimate


@dataclass
class StudyResult:
    """What a study found so far; what was not done yet is None.

    Parameters
    ----------
    study : Study
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
    comparison : Comparison or None
        What the scores say.
    stages : list of StageUsage
        What was run.
    report : Path or None
        The report.
    """

    study: Study
    notes: Mapping[str, tuple[str, ...]]
    estimate: Estimate | None = None
    affinity_records: Mapping[AnyRun, RunRecord] = field(default_factory=dict)
    groups: Groups | None = None
    scores: list[ArmScore] = field(default_factory=list)
    comparison: Comparison | None = None
    stages: list[StageUsage] = field(default_factory=list)
    report: Path | None = None
