"""The settings of a sweep on the runs of one study: what two of them train alike is trained once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cotune._files import write_text
from cotune.exceptions import InputError
from cotune.findings.comparison import ArmScore
from cotune.findings.grouping import SettingRow, with_scores
from cotune.grouping import objective
from cotune.studies.engine import Runner, RunRecord, cell, csv_text
from cotune.studies.grouping._design import GroupingDesign
from cotune.studies.grouping._estimated import group_estimate
from cotune.studies.grouping._groups import Groups
from cotune.studies.grouping._kept import Kept
from cotune.studies.grouping._rounds import Gathered
from cotune.studies.grouping._runs import GroupingStudyRun
from cotune.studies.grouping._settings import Setting, settings_of
from cotune.studies.grouping._until import left_out
from cotune.studies.grouping.estimators import Estimate, run_scores

STAGE = "sweep"
"""The stage's title."""

Records = Mapping[GroupingStudyRun, RunRecord]


@dataclass
class Swept:
    """What a sweep asked for and came to, as far as its runs are done.

    Parameters
    ----------
    wanted : dict of run to None
        Runs that neither the file's own setting nor its comparison has, each once.
    rows : tuple of SettingRow
        The settings whose groups are known, the file's own first.
    """

    wanted: dict[GroupingStudyRun, None] = field(default_factory=dict)
    rows: tuple[SettingRow, ...] = ()


def variant(study: GroupingDesign, setting: Setting, where: str = "") -> GroupingDesign:
    """Return a study at a setting, with the same tasks and learner.

    Raises
    ------
    InputError
        If the learner is another there.
    """
    learner = setting.config.learner.for_study(setting.config.affinity.task_steps, study.tasks)
    if learner != study.config.learner.for_study(study.config.affinity.task_steps, study.tasks):
        raise InputError(
            f"{where}: the warm start is a share of the steps of affinity and would be another here; "
            "give its steps, or sweep another option."
        )
    if setting.config.affinity.proxy != study.config.affinity.proxy:
        raise InputError(f"{where}: what affinity is estimated by is the same at all settings of a sweep.")
    found = replace(study, config=setting.config)
    found.__dict__.update(  # made once
        tasks=study.tasks,
        learner=study.learner,
        affinity_learner=study.affinity_learner,
        options=study.options,
    )
    return found


def swept(
    study: GroupingDesign,
    runner: Runner[GroupingStudyRun],
    own: Gathered,
    groups: Groups,
    scores: Sequence[ArmScore],
    compared: Records,
    kept: Kept,
) -> Swept:
    """Go through the settings of a study's sweep.

    Parameters
    ----------
    study : GroupingDesign
        The study.
    runner : Runner
        Gives records, of those runs that are done or can be.
    own : Gathered
        What the file's own setting measured.
    groups : Groups
        What it grouped.
    scores : sequence of ArmScore
        Test scores of its comparison.
    compared : mapping of run to RunRecord
        Runs of its comparison.
    kept : Kept
        Has what was worked out of the same runs before.
    """
    sweep = _Sweep(study, runner, {**own.records, **compared})
    assert own.estimate is not None
    rows = [_row(None, groups, len(own.records), 0)]
    tested = [[score for score in scores if score.arm == "grouped"]]
    for setting in settings_of(study.config, str(study.path)):
        there = variant(study, setting)
        before = len(sweep.wanted)
        gathered = sweep.gather(there) if setting.measures_otherwise else own
        if gathered.estimate is None:
            continue
        found = _groups(there, gathered.estimate, gathered.records, kept)
        rows_scores = sweep.compare(there, found)
        rows.append(_row(setting, found, len(gathered.records), len(sweep.wanted) - before))
        tested.append(rows_scores)
    return Swept(sweep.wanted, with_scores(rows, tested, left_out(study.tasks)))


@dataclass
class _Sweep:
    study: GroupingDesign
    runner: Runner[GroupingStudyRun]
    known: dict[GroupingStudyRun, RunRecord]
    wanted: dict[GroupingStudyRun, None] = field(default_factory=dict)

    def gather(self, there: GroupingDesign) -> Gathered:
        """Measure affinity at a setting."""
        gathered = Gathered(known=self.known, stage=STAGE)
        gathered.gather(there, self.runner)
        self._note(gathered.wanted, gathered.records)
        return gathered

    def compare(self, there: GroupingDesign, groups: Groups) -> list[ArmScore]:
        """Train the groups of a setting, and keep no adapter of it."""
        config = there.config.comparison
        if config is None:
            return []
        arms = there.compared(config, groups.labels, {})
        new = [run for run in arms.runs if run not in self.known]
        records = self.runner.get(STAGE, new) if new else {}
        self._note(arms.runs, records)
        return arms.scores({run: self.known[run] for run in arms.runs if run in self.known}, there.tasks)

    def _note(
        self, wanted: Sequence[GroupingStudyRun] | Records | dict[GroupingStudyRun, None], got: Records
    ) -> None:
        self.wanted |= {run: None for run in wanted if run not in self.known}
        self.known |= got


def _groups(there: GroupingDesign, estimate: Estimate, records: Records, kept: Kept) -> Groups:
    names = tuple(there.learner.tasks)
    estimate = replace(estimate, scores=None)  # how stable the groups are is judged of the file's own alone
    runs = run_scores(names, records)
    return group_estimate(names, estimate, there.config, runs=runs, baselines=False, kept=kept)


def _row(setting: Setting | None, groups: Groups, affinity_runs: int, further_runs: int) -> SettingRow:
    return SettingRow(
        option="" if setting is None else setting.option,
        value="" if setting is None else _text(setting.value),
        labels=groups.labels,
        k=len(groups.members),
        summed_density=float(objective(groups.prepared.matrix, groups.labels)),
        predicted_gain=None if groups.gain is None else groups.gain.value_of(groups.labels),
        affinity_runs=affinity_runs,
        further_runs=further_runs,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def write_sweep(folder: Path, rows: Sequence[SettingRow]) -> None:
    """Write ``sweep.csv``, a line for every setting, budget and metric; without a sweep take it away."""
    file = folder / "sweep.csv"
    if len(rows) < 2:
        file.unlink(missing_ok=True)
        return
    header = ["option", "value", "groups", "summed_density", "average_density", "predicted_gain"]
    header += ["affinity_runs", "further_runs", "steps_per_task", "metric", "score", "margin"]
    header += ["gain_over_own", "gain_margin"]
    lines: list[list[object]] = []
    for row in rows:
        about = [row.option, row.value, row.k, *map(cell, (row.summed_density, row.average_density))]
        about += [cell(row.predicted_gain), row.affinity_runs, row.further_runs]
        lines += [
            [*about, s.budget, s.metric, cell(s.score.mean), cell(s.score.margin), *_gain(s)]
            for s in row.scores
        ] or [[*about, *[""] * 6]]
    write_text(file, csv_text(header, lines))


def _gain(score: Any) -> list[object]:
    return ["", ""] if score.gain is None else [cell(score.gain.mean), cell(score.gain.margin)]
