"""What a grouping study found, and the files it leaves: affinity, groups, test scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cotune._files import remove_folder, write_text
from cotune.findings.comparison import ArmScore, Comparison, MeasuredGain
from cotune.findings.grouping import ArmCost, SettingRow, sweep_sentences
from cotune.studies.engine import RunRecord, StudyResult, artefact_record, cell, csv_text
from cotune.studies.grouping._answers import Answers, kept_answers, write_answers
from cotune.studies.grouping._comparison import KEPT, ArmRuns, TrainedArm
from cotune.studies.grouping._costs import about_updates, arm_costs, steps_done, steps_kept, unequal_costs
from cotune.studies.grouping._design import GroupingDesign
from cotune.studies.grouping._groups import Groups
from cotune.studies.grouping._measured import describe_measured, measure_gains, write_measured
from cotune.studies.grouping._runs import FitRun, GroupingStudyRun
from cotune.studies.grouping._until import Compared
from cotune.studies.grouping.estimators import Estimate


@dataclass(kw_only=True)
class GroupingResult(StudyResult):
    """What a grouping study found so far; what was not done yet is None.

    Parameters
    ----------
    study : GroupingDesign
        The study.
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
    costs : tuple of ArmCost
        What every arm took at every budget.
    comparison : Comparison or None
        What the scores say.
    measured : tuple of MeasuredGain
        Predicted gains of the groups beside those that the scores show.
    answers : mapping of str to mapping of str to sequence of SampleAnswer
        By adapter that is kept and task a few test examples, answered before and after training.
    sweep : tuple of SettingRow
        What other settings come to, the file's own first; empty without a sweep.
    """

    study: GroupingDesign
    estimate: Estimate | None = None
    affinity_records: Mapping[GroupingStudyRun, RunRecord] = field(default_factory=dict)
    groups: Groups | None = None
    scores: list[ArmScore] = field(default_factory=list)
    arms: tuple[TrainedArm, ...] = ()
    costs: tuple[ArmCost, ...] = ()
    comparison: Comparison | None = None
    measured: tuple[MeasuredGain, ...] = ()
    answers: Answers = field(default_factory=dict)
    sweep: tuple[SettingRow, ...] = ()

    def take(self, found: Compared) -> None:
        """Take over what the arms scored, and write it down where it was compared."""
        self.arms, self.scores, self.comparison = found.arms.arms, found.scores, found.comparison
        self.costs = arm_costs(found.arms, {**found.parts, **found.records})
        if self.comparison is not None:
            gain = None if self.groups is None else self.groups.gain
            if gain is not None:
                names = tuple(self.study.learner.tasks)
                self.measured = measure_gains(names, gain, self.scores, self.arms, self.comparison)
            unit = "" if gain is None else gain.gains.unit
            hints = about_updates(self.comparison, self.arms, self.study.learner)
            self.comparison = replace(self.comparison, notes=(*self.comparison.notes, *hints))
            write_measured(self.study.folder, self.measured, unit)
            write_results(self.study.folder, found.arms, found.records)
            write_arms(self.study.folder, self.arms, self.comparison, self.costs)
            self.answers = kept_answers(found, self.study.folder / "adapters")
            if self.answers:
                write_answers(self.study.folder, self.answers)

    def sentences(self) -> Sequence[str]:
        """Name the groups, one a line, with what they are to gain, and say what the comparison decided."""
        lines = self.groups.answer() if self.groups is not None else []
        if self.comparison is not None:
            lines += [verdict.sentence for verdict in self.comparison.readings]
            if self.comparison.course is not None:
                lines.append(self.comparison.course.sentence)
            lines += unequal_costs(self.costs, self.comparison.reference)
            lines += about_updates(self.comparison, self.arms, self.study.learner)
        if self.groups is not None and self.groups.gain is not None:
            lines += describe_measured(self.measured, self.groups.gain.gains.unit)
        return lines + sweep_sentences(self.sweep)

    def to_dict(self) -> dict[str, Any]:
        """Return groups and comparison as plain JSON types."""
        return {
            "groups": self.groups.to_dict() if self.groups else None,
            "comparison": self.comparison.to_dict() if self.comparison else None,
            "costs": [asdict(cost) for cost in self.costs],
            "predicted_and_measured": [row.to_dict() for row in self.measured],
            "sweep": [row.to_dict() for row in self.sweep],
        }


def write_affinity(
    folder: Path, tasks: Sequence[str], estimate: Estimate, records: Mapping[GroupingStudyRun, RunRecord]
) -> None:
    """Write ``affinity.csv`` with its counts and standard errors, and the runs' scores if there are any.

    All are square with task names on both sides; row i is the task that is helped. A blank is a pair that was
    never measured. ``scores.csv`` is the table that ``cotune group`` reads. Where they are known:
    ``gains.csv``, scores in company less those alone; ``negative_transfer.csv``, the F1 of predicting it by
    subset size; ``prediction_agreement.csv``, how far predicted scores of a task agree with trained ones.
    """
    affinity = estimate.affinity
    for name, matrix in (
        ("affinity", affinity.matrix.tolist()),
        ("affinity_stderr", affinity.stderr.tolist()),
        ("affinity_counts", affinity.counts.tolist()),
    ):
        rows = ([task, *map(cell, row)] for task, row in zip(tasks, matrix, strict=True))
        write_text(folder / f"{name}.csv", csv_text(["task", *tasks], rows))
    gains = estimate.gains
    if gains is not None:
        rows = ([task, *map(cell, row)] for task, row in zip(tasks, gains.matrix.tolist(), strict=True))
        write_text(folder / "gains.csv", csv_text(["task", *tasks], rows))
    if estimate.negative_transfer is not None:
        header = ["subset_size", "f1", "tasks", "scores", "prevalence"]
        found = [
            [s.size, cell(s.f1), s.n_tasks, s.n_scores, cell(s.prevalence)]
            for s in estimate.negative_transfer.by_size
        ]
        write_text(folder / "negative_transfer.csv", csv_text(header, found))
    if estimate.trust is not None:
        agreement = [[task, cell(value)] for task, value in estimate.trust.by_task.items()]
        write_text(folder / "prediction_agreement.csv", csv_text(["task", "rank_correlation"], agreement))
    scored = [record for record in records.values() if record.scores]
    if scored:
        rows = (
            [cell(record.scores[task].value) if task in record.scores else "" for task in tasks]
            for record in scored
        )
        write_text(folder / "scores.csv", csv_text(tasks, rows))


def write_groups(folder: Path, groups: Groups) -> None:
    """Write ``groups.json`` and take away adapters that were trained on other groups."""
    write_text(folder / "groups.json", json.dumps(groups.to_dict(), indent=2, ensure_ascii=False) + "\n")
    members = {
        f"{stem}-{number}": sorted(group)
        for stem in KEPT.values()
        for number, group in enumerate(groups.members)
    }
    for adapter in (folder / "adapters").glob("*group-*"):
        if artefact_record(adapter).get("tasks") != members.get(adapter.name, ()):
            remove_folder(adapter, folder)


def write_results(folder: Path, plan: ArmRuns, records: Mapping[GroupingStudyRun, RunRecord]) -> None:
    """Write ``results.csv``: the test score of every arm, budget, seed and task, failed runs with a blank.

    Beside it what the run took that trained the model; a joint part that it went on from is in ``arms.csv``.
    """
    header = ["arm", "steps_per_task", "seed", "trained_with", "task", "metric", "value", "higher_is_better"]
    header += ["run_steps", "kept_step", "run_tokens", "run_cpu_seconds"]
    rows = [
        [arm, budget, seed, " + ".join(run.subset), task, *_row(run, records.get(run), task)]
        for (arm, budget, seed), runs in plan.cells.items()
        for run in runs
        for task in run.subset
    ]
    write_text(folder / "results.csv", csv_text(header, rows))


def write_arms(
    folder: Path, arms: Sequence[TrainedArm], comparison: Comparison, costs: Sequence[ArmCost]
) -> None:
    """Write ``arms.csv``: what every arm trained, what it came to over the tasks of each metric, its cost.

    Steps, tokens and processor seconds are those of a seed: of all models, and of what they go on from.
    """
    trained = {arm.title: arm for arm in arms}
    took = {(cost.arm, cost.budget): cost for cost in costs}
    header = ["arm", "adapters", "trained_parameters", "steps_per_task", "metric", "tasks", "mean", "stderr"]
    header += ["spread_over_tasks", "worst_task", "worst", "steps", "kept_steps", "tokens", "cpu_seconds"]
    rows: list[list[object]] = []
    for average in comparison.averages:
        arm = trained[average.arm]
        parameters = "" if arm.parameters is None else arm.parameters
        rows.append([average.arm, arm.adapters, parameters, average.budget, average.metric])
        rows[-1] += [len(average.tasks), cell(average.score.mean), cell(average.score.stderr)]
        rows[-1] += [cell(average.spread), average.worst.task, cell(average.worst.value)]
        cost = took.get((average.arm, average.budget))
        rows[-1] += [""] * 4 if cost is None else _of_cost(cost)
    write_text(folder / "arms.csv", csv_text(header, rows))


def _of_cost(cost: ArmCost) -> list[object]:
    tokens = "" if cost.tokens is None else cell(cost.tokens)
    return [cell(cost.steps), cell(cost.kept_steps), tokens, cell(cost.cpu_seconds)]


def _row(run: FitRun, record: RunRecord | None, task: str) -> list[object]:
    return [*_score(record, task), *_taken(run, record)]


def _taken(run: FitRun, record: RunRecord | None) -> list[object]:
    if record is None or record.error is not None:
        return [""] * 4
    tokens = "" if record.tokens is None else record.tokens
    return [steps_done(run, record), steps_kept(run, record), tokens, cell(record.cpu_seconds)]


def _score(record: RunRecord | None, task: str) -> list[object]:
    if record is None or task not in record.scores:
        return ["", "", ""]
    score = record.scores[task]
    return [score.metric, cell(score.value), score.higher_is_better]
