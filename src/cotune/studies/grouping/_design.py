"""What a grouping study runs: its learner, and which runs of it are done together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

from cotune.answering import ChoiceConfig, InContextConfig
from cotune.exceptions import InputError
from cotune.models.config import ModelConfig
from cotune.studies.engine import Prompting, RunRecord, StageUsage, Study
from cotune.studies.grouping._comparison import ArmRuns
from cotune.studies.grouping._runs import (
    BranchedRun,
    FitRun,
    GroupingStudyRun,
    measures_affinity,
    patience_of,
    run_key,
    variation_of,
)
from cotune.studies.grouping.arms import BASELINES
from cotune.studies.grouping.config import ComparisonConfig, GroupingStudyConfig
from cotune.training.language_model import LanguageModelConfig
from cotune.training.learner import Learner, LearnerConfig, SideBySideLearner, SplitsLearner
from cotune.training.proxy import ProxiedLearner, Proxy


@dataclass(frozen=True)
class GroupingDesign(Study[GroupingStudyConfig, GroupingStudyRun]):
    """The learner of a grouping study, its runs and their keys."""

    @cached_property
    def learner(self) -> Learner:
        """The learner; it loads no model before it is used."""
        return self.options.build(self.tasks, self.base)

    @cached_property
    def affinity_learner(self) -> Learner:
        """What affinity is estimated by: the learner, or what stands in for it.

        Raises
        ------
        InputError
            If nothing can stand in for the learner.
        """
        return proxy_of(self.learner, self.config.affinity.proxy)

    @property
    def learners(self) -> list[Learner]:
        """The learner, and what stands in for it."""
        own, other = self.learner, self.affinity_learner
        return [own] if other is own else [other, own]

    def learner_of(self, run: GroupingStudyRun) -> Learner:
        """Return what does a run, but for its variation."""
        return self.affinity_learner if measures_affinity(run) else self.learner

    @property
    def model(self) -> LearnerConfig:
        """The learner's options."""
        return self.config.learner

    @cached_property
    def options(self) -> LearnerConfig:
        """The learner's options, with what is a share of the runs' training counted out."""
        counted = self.model.for_study(self.config.affinity.task_steps, self.tasks)
        if counted is not self.model and isinstance(counted, ModelConfig):
            counted.recall_precision(self.precision)  # what a copy measured by itself could differ
        return counted

    @property
    def prompting(self) -> Prompting:
        """How the learner trains on the tasks and asks them, where it is a language model."""
        model = self.options
        if not isinstance(model, LanguageModelConfig):
            return super().prompting
        arms = self.config.comparison.arms if self.config.comparison is not None else ()
        methods = [model.method, *(arm.method for arm in arms if arm.method is not None)]
        return Prompting(
            model=model.model,
            encoder=model.encoder(self.base),
            in_context=InContextConfig(**{key: getattr(model, key) for key in ChoiceConfig.model_fields}),
            methods={task.name: methods for task in self.tasks},
            shots={},
        )

    def key(self, run: GroupingStudyRun) -> str:
        """Hash learner, data of the run's tasks, and the run's fields."""
        return run_key(run, self.learner_of(run))

    def batches(self, runs: Sequence[GroupingStudyRun]) -> list[Sequence[GroupingStudyRun]]:
        """Put fits that train side by side into passes as wide as the learner can.

        Runs of one training that are scored on both splits, see :meth:`also_compared`, come together: those
        of a pass on one split, then those on the other.
        """
        twins = self._twins(runs)
        scored_beside = set(twins.values())
        alike: dict[tuple[object, ...], list[FitRun]] = {}
        batches: list[Sequence[GroupingStudyRun]] = []
        for run in runs:
            if run in scored_beside:
                continue
            if isinstance(run, FitRun) and patience_of(run) is None:
                # What groups go on from may be another run, but not another number of steps.
                after = (run.since, run.joint.steps) if isinstance(run, BranchedRun) else ()
                kind = (variation_of(run), run.steps, run.split, after, run in twins)
                alike.setdefault(kind, []).append(run)
            else:
                batches.append((run,))
        for (variation, *_), fits in alike.items():
            # Other methods than LoRA train one at a time, and those who wait can be shared out.
            learner = self.learner_of(fits[0])
            own = learner.side_by_side if isinstance(learner, SideBySideLearner) else 1
            width = own if not variation else 1
            passes = [fits[start : start + width] for start in range(0, len(fits), width)]
            batches += [(*fits, *(twins[run] for run in fits if run in twins)) for fits in passes]
        return batches

    def also_compared(self, runs: Iterable[GroupingStudyRun]) -> list[FitRun]:
        """Return the runs of the comparison that are trained as some of the affinity stage are.

        All together and each alone are compared whatever the groups are. Where their budget and seed are
        those of the affinity stage, one training is scored on validation examples for the affinity and on
        test examples for the comparison, whose scores nothing before it sees.
        """
        config = self.config.comparison
        if config is None or not self._trains_for_both:
            return []
        labels = [0] * len(self.learner.tasks)
        arms = self.compared(config, labels, dict.fromkeys(BASELINES, labels))
        always = {arm.title for arm in config.every_arm if arm.name in ("joint", "single")}
        compared = {run for (arm, *_), of_arm in arms.cells.items() if arm in always for run in of_arm}
        return [twin for run in runs if (twin := _on_test(run)) is not None and twin in compared]

    @property
    def _trains_for_both(self) -> bool:
        """Whether one training can be scored for the affinity and for the comparison."""
        return isinstance(self.learner, SplitsLearner) and self.affinity_learner is self.learner

    def _twins(self, runs: Sequence[GroupingStudyRun]) -> dict[GroupingStudyRun, FitRun]:
        """Return the runs that are among others on validation examples with those on test examples."""
        if not self._trains_for_both:
            return {}
        asked = set(runs)
        return {run: twin for run in runs if (twin := _on_test(run)) is not None and twin in asked}

    def unpaid(self, stages: Sequence[StageUsage]) -> frozenset[str]:
        """Return the keys of runs on test examples whose training one on validation examples has paid."""
        if not self._trains_for_both:
            return frozenset()
        records = [record for stage in stages for record in stage.records]
        paid = {_training(record) for record in records if record.identity.get("split") == "validation"}
        return frozenset(
            record.key
            for record in records
            if record.identity.get("split") == "test" and _training(record) in paid
        )

    def compared(
        self,
        config: ComparisonConfig,
        labels: Sequence[int],
        others: Mapping[str, Sequence[int]],
        seeds: Mapping[str, int] | None = None,
    ) -> ArmRuns:
        """Lay out the comparison for the groups that were found.

        Parameters
        ----------
        config : ComparisonConfig
            What they are compared with.
        labels : sequence of int
            The group of every task.
        others : mapping of str to sequence of int
            The groups that other groupers found, by their names.
        seeds : mapping of str to int, optional
            Training seeds of the arms that have other than the file's number.
        """
        seed = self.config.seed
        return ArmRuns.plan(self.learner, labels, config, seed, baselines=others, seeds=seeds)


def _training(record: RunRecord) -> tuple[str, tuple[str, ...], int, int | None]:
    """Return what a run trained, whatever it was scored on."""
    identity = record.identity
    return (record.kind, tuple(identity["subset"]), identity["seed"], identity.get("steps"))


def _on_test(run: GroupingStudyRun) -> FitRun | None:
    """Return the run that is trained as one on validation examples is, and scored on test examples."""
    if type(run) is not FitRun or run.split != "validation":
        return None
    return replace(run, split="test")


@contextmanager
def naming_proxy(proxied: bool) -> Iterator[None]:
    """Say of what is wrong with a learner that it is the proxy's, where it is."""
    try:
        yield
    except InputError as error:
        if not proxied:
            raise
        told = str(error)
        where = "affinity.proxy." if told.startswith("learner.") else "affinity.proxy: "
        raise InputError(where + told.removeprefix("learner.")) from error


def proxy_of(learner: Learner, proxy: Proxy | None) -> Learner:
    """Return what stands in for a learner while affinity is estimated; the learner itself without a proxy.

    Raises
    ------
    InputError
        If nothing can.
    """
    if proxy is None:
        return learner
    if not isinstance(learner, ProxiedLearner):
        raise InputError("affinity.proxy: only a language model has layers to leave out; take proxy away.")
    return learner.proxied(proxy)
