"""A grouping study: estimate affinity, group, train the groups and what they are compared with, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

from cotune.answering import merge_notes
from cotune.exceptions import InputError, RunError
from cotune.findings.comparison import Comparison
from cotune.findings.wording import count
from cotune.studies.engine import (
    MANY,
    Costs,
    Counted,
    Runner,
    RunRecord,
    Standing,
    StoredRunner,
    open_store,
)
from cotune.studies.grouping._asked import KeptAsked
from cotune.studies.grouping._cards import write_cards
from cotune.studies.grouping._comparison import check_arms, shared_examples
from cotune.studies.grouping._describe import describe_groups
from cotune.studies.grouping._design import GroupingDesign, naming_proxy
from cotune.studies.grouping._estimated import group_estimate, objective_of, trained_by
from cotune.studies.grouping._gain import groups_of
from cotune.studies.grouping._groups import Groups
from cotune.studies.grouping._kept import Kept
from cotune.studies.grouping._known import NOTHING, Known
from cotune.studies.grouping._objective import weights_of
from cotune.studies.grouping._plan import grouping_costs
from cotune.studies.grouping._report import write_report_of
from cotune.studies.grouping._result import (
    GroupingResult,
    write_affinity,
    write_groups,
)
from cotune.studies.grouping._rounds import STAGE, Gathered, arrivals, note_arrivals
from cotune.studies.grouping._runs import GroupingStudyRun
from cotune.studies.grouping._settings import settings_of
from cotune.studies.grouping._sweep import STAGE as SWEEP
from cotune.studies.grouping._sweep import Swept, swept, variant, write_sweep
from cotune.studies.grouping._until import Compared, compared, left_out
from cotune.studies.grouping._worker import LearnerWorker
from cotune.studies.grouping.config import GroupingStudyConfig
from cotune.studies.grouping.estimators import Estimate, run_scores
from cotune.training.memory_plan import MemoryLearner, MemoryPlan

_NOT_FOUND = "The groups of the {} for the affinity are not found yet: 'cotune run' finds them, or 'report'."


@dataclass(frozen=True)
class GroupingStudy(GroupingDesign):
    """Which tasks should be trained together: affinity, groups, and what grouping is worth."""

    config_class: ClassVar[type[GroupingStudyConfig]] = GroupingStudyConfig
    outputs: ClassVar[tuple[str, ...]] = (
        "adapters",
        "affinity*.csv",
        "answers.csv",
        "arms.csv",
        "*gains.csv",
        "groups.json",
        "negative_transfer.csv",
        "prediction_agreement.csv",
        "results.csv",
        "scores.csv",
        "sweep.csv",
        "table.json",
    )

    def memory(self, *, passes: bool = True) -> MemoryPlan | None:
        """Count what the largest run of a language model takes of its device."""
        arms = () if self.config.comparison is None else self.config.comparison.every_arm
        learners = [*self.learners, *(arm.of(self.learner) for arm in arms if not arm.is_none)]
        plans = [one.memory(passes=passes) for one in learners if isinstance(one, MemoryLearner)]
        return max(plans, key=lambda plan: plan.total, default=None)

    def check(self) -> dict[str, tuple[str, ...]]:
        """Check tasks, model and the number of groups; return what was cut or dropped by task."""
        n = len(self.learner.tasks)
        if n < 2:
            raise InputError(f"{self.path}: a study groups at least two tasks, got {n}.")
        self._check_setting(str(self.path))
        for setting in settings_of(self.config, str(self.path)):
            where = f"{self.path}: sweep.{setting.name}"
            try:
                cast(GroupingStudy, variant(self, setting, where))._check_setting(where)
            except InputError as error:
                told = str(error)
                raise InputError(told if told.startswith(where) else f"{where}: {told}") from error
        if self.config.comparison is not None:
            check_arms(self.config.comparison, self.learner, str(self.path))
        notes: list[Mapping[str, tuple[str, ...]]] = [{task.name: task.notes for task in self.tasks}]
        for learner in self.learners:
            with naming_proxy(learner is not self.learner):
                notes.append(learner.check())
        return merge_notes(*notes)

    def _check_setting(self, where: str) -> None:
        """Check what a setting of a sweep may have otherwise than the file."""
        n, names = len(self.learner.tasks), tuple(self.learner.tasks)
        grouping = self.config.grouping
        for key, value in (("n_clusters", grouping.n_clusters), ("k_max", grouping.k_max)):
            if isinstance(value, int) and value > n:
                raise InputError(
                    f"{where}: grouping.{key}: must be at most the number of tasks {n}, got {value}."
                )
        planned = self.config.estimator.planned(self.affinity_learner, self.config.seed)
        objective_of(self.config, names, trained_by(names, planned), where)
        weights_of(grouping.weights, names, f"{where}: grouping.")

    def worker(self) -> LearnerWorker:
        """Return what uses the learner."""
        return LearnerWorker(
            options=self.options,
            tasks=self.tasks,
            base=self.base,
            shared=self.shared,
            proxy=self.config.affinity.proxy,
        )

    def prepare(self) -> None:
        """Let the learner make what its runs share, and note which tasks have come."""
        for learner in self.learners:
            with naming_proxy(learner is not self.learner):
                learner.prepare(self.shared)
        note_arrivals(self.shared, arrivals(self.shared, self.learner.tasks))

    def costs(self, *, measure: bool) -> Costs:
        """Count runs, steps and tokens of what is not stored yet."""
        return grouping_costs(self, measure=measure, known=self._known())

    def _known(self) -> Known:
        """Return what the store says of runs, groups and arms."""
        if not self.home.store.exists():
            return NOTHING
        with open_store(self.home.store, writable=False) as store:
            runner, gathered = StoredRunner(self, store), Gathered()
            with suppress(RunError):  # too many runs failed; the run will tell
                gathered.gather(self, runner)
            known = Known(frozenset(store.keys()), list(gathered.records))
            if gathered.estimate is None:
                return known
            found = None
            if self.config.comparison is not None:
                found = self._compared(*self._partitions(gathered.estimate, gathered.records), runner)
            sweep = self._swept(runner, gathered, found)
        arms, comparison = (None, None) if found is None else (found.arms, found.comparison)
        affinity = list(gathered.wanted)
        return replace(known, affinity=affinity, arms=arms, comparison=comparison, sweep=list(sweep.wanted))

    def standing(self, runner: Runner[GroupingStudyRun]) -> Standing[GroupingStudyRun]:
        """Say which runs are wanted up to now, and name the groups when affinity is complete."""
        asked = None if self.config.sweep else self._kept_asked.read(runner.rows)
        stages: dict[str, list[GroupingStudyRun] | Counted | None] = {}
        partitions: tuple[tuple[int, ...], Mapping[str, tuple[int, ...]]] | None = None
        gathered = Gathered()
        if asked is None:
            with suppress(RunError):  # too many runs failed; their errors are told
                gathered.gather(self, runner)
            stages[STAGE] = list(gathered.wanted)
            if gathered.estimate is not None:
                partitions = self._partitions(gathered.estimate, gathered.records)
        else:
            stages[STAGE] = Counted(len(asked.keys), [row.error for row in asked.rows])
            partitions = None if asked.labels is None else (asked.labels, asked.others)
        members = found = None
        if self.config.comparison is not None:
            stages["comparison"] = None
        if partitions is not None:
            labels, others = partitions
            members = groups_of(tuple(self.learner.tasks), labels)
            found = self._compared(labels, others, runner)
            if found is not None:
                stages["comparison"] = found.wanted
        if self.config.sweep:
            ready = gathered.estimate is not None
            stages[SWEEP] = list(self._swept(runner, gathered, found).wanted) if ready else None
        sentences, known = describe_groups(members or []), dict[str, Any](groups=members)
        lasts = asked is None or not asked.is_complete or members is not None
        if asked is not None and not lasts:
            sentences = [_NOT_FOUND.format(count(len(asked.keys), "run"))]
        if found is not None and found.comparison is not None:
            told, verdicts = _verdicts(found, found.comparison)
            sentences, known = [*sentences, *told], {**known, **verdicts}
        return Standing(stages, known, sentences, lasts)

    @property
    def _kept_asked(self) -> KeptAsked:
        """What the affinity stage asked for last, and the groups that followed, of many runs."""
        came = arrivals(self.shared, self.learner.tasks)
        return KeptAsked(self.shared, {**self.decides_status(), "arrivals": came})

    def decides_status(self) -> dict[str, Any]:
        """Return what the keys of all runs depend on, and what the comparison asks of the data."""
        learners = [
            {"learner": learner.fingerprint, "tasks": {t: learner.task_fingerprint(t) for t in learner.tasks}}
            for learner in self.learners
        ]
        shared = shared_examples(self.tasks)
        return {"file": self.config.plain(), "learners": learners, "data": [left_out(self.tasks), shared]}

    def _compared(
        self, labels: Sequence[int], others: Mapping[str, Sequence[int]], runner: Runner[GroupingStudyRun]
    ) -> Compared | None:
        """Get the runs of the comparison for the groups found; None where nothing is compared."""
        config = self.config.comparison
        if config is None:
            return None
        return compared(self, lambda seeds: self.compared(config, labels, others, seeds), config, runner)

    def _swept(
        self,
        runner: Runner[GroupingStudyRun],
        gathered: Gathered,
        found: Compared | None,
        groups: Groups | None = None,
        kept: Kept | None = None,
    ) -> Swept:
        """Go through the settings of the sweep, where there is one."""
        if not self.config.sweep or gathered.estimate is None:
            return Swept()
        if groups is None:
            bare = replace(gathered.estimate, scores=None)  # how stable they are does not matter here
            groups = self._groups(bare, gathered.records, baselines=False)
        scores, records = ([], {}) if found is None else (found.scores, found.records)
        kept = kept or Kept(self.shared, writable=False)
        return swept(self, runner, gathered, groups, scores, records, kept)

    def _partitions(
        self, estimate: Estimate, records: Mapping[GroupingStudyRun, RunRecord]
    ) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
        """Return the study's groups, and those of other groupers where they are trained as well."""
        config = self.config
        baselines = config.comparison is not None and config.comparison.needs_baselines
        if estimate.found is not None and not baselines and config.grouping.objective != "gain":
            return tuple(int(label) for label in estimate.found.labels), {}  # what their bound is may wait
        groups = self._groups(estimate, records, baselines=baselines)
        return groups.labels, {other.name: other.labels for other in groups.others}

    def _groups(
        self,
        estimate: Estimate,
        records: Mapping[GroupingStudyRun, RunRecord],
        *,
        baselines: bool = True,
        kept: Kept | None = None,
    ) -> Groups:
        names = tuple(self.learner.tasks)
        runs, kept = run_scores(names, records), kept or Kept(self.shared, writable=False)
        return group_estimate(names, estimate, self.config, runs=runs, baselines=baselines, kept=kept)

    def follow(
        self, runner: Runner[GroupingStudyRun], notes: Mapping[str, tuple[str, ...]]
    ) -> GroupingResult:
        """Go from stage to stage as far as the runs allow, writing each stage's results when it is done."""
        result = GroupingResult(study=self, notes=notes, stages=runner.stages)
        asked = self._kept_asked
        gathered = Gathered(asked=asked if runner.executes else None)
        gathered.gather(self, runner)
        result.affinity_records, result.estimate = gathered.records, gathered.estimate
        if result.estimate is not None:
            names = tuple(self.learner.tasks)
            write_affinity(self.folder, names, result.estimate, result.affinity_records)
            kept = Kept(self.shared, writable=True)
            result.groups = self._groups(result.estimate, result.affinity_records, kept=kept)
            write_groups(self.folder, result.groups)
            others = {other.name: other.labels for other in result.groups.others}
            if len(gathered.wanted) >= MANY:
                asked.follow(gathered.keys(runner), runner.rows(), result.groups.labels, others)
            found = self._compared(result.groups.labels, others, runner)
            if found is not None:
                result.take(found)
                write_cards(self, found)
            result.sweep = self._swept(runner, gathered, found, result.groups, kept).rows
            kept.tidy()
            write_sweep(self.folder, result.sweep)
        result.report = write_report_of(result)
        return result


def _verdicts(found: Compared, comparison: Comparison) -> tuple[list[str], dict[str, Any]]:
    """Return what a comparison says so far, in words and as plain JSON types."""
    course = comparison.course
    told = [verdict.sentence for verdict in comparison.readings]
    if not found.is_complete:
        told.insert(0, f"So far, by {len(found.records)} of {len(found.arms.runs)} runs of the comparison:")
    known: dict[str, Any] = {
        "verdicts": [verdict.to_dict() for verdict in comparison.verdicts],
        "overall": comparison.overall.to_dict(),
    }
    if course is not None:
        told.append(course.sentence)
        known["course"] = course.to_dict()
    return told, known
