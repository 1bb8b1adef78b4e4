"""The process that uses the learner."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cotune._files import new_folder
from cotune.exceptions import InputError
from cotune.studies.engine import Job, Worker, seen, write_artefact_record
from cotune.studies.grouping._design import naming_proxy, proxy_of
from cotune.studies.grouping._joint_parts import joint_part_folder
from cotune.studies.grouping._runs import (
    BranchedRun,
    ConvergedRun,
    FeatureRun,
    FitRun,
    GroupingStudyRun,
    JointPartRun,
    LinearRun,
    LookaheadRun,
    measures_affinity,
    patience_of,
    variation_of,
)
from cotune.studies.grouping.arms import learner_of
from cotune.studies.model_card import PLACE
from cotune.tasks import Task
from cotune.training.learner import (
    AnsweringLearner,
    FeatureLearner,
    Fit,
    Learner,
    LearnerConfig,
    LinearisedLearner,
    LoadingLearner,
    LookaheadLearner,
    SideBySideLearner,
    SplitsLearner,
)
from cotune.training.parts import Part, PartLearner, Span
from cotune.training.proxy import Proxy

Floats = NDArray[np.floating]


@dataclass(kw_only=True)
class LearnerWorker(Worker[GroupingStudyRun]):
    """Does jobs with one learner, made and prepared once.

    Parameters
    ----------
    options : LearnerConfig
        The learner's options.
    tasks : tuple of Task
        The study's tasks.
    base : Path
        Folder that relative paths in the options start from.
    shared : Path
        Folder for what all runs share.
    proxy : Proxy, optional
        What stands in for the learner while affinity is estimated.
    """

    options: LearnerConfig
    tasks: tuple[Task, ...]
    base: Path
    shared: Path
    proxy: Proxy | None = None
    _varied: dict[str, Learner] = field(default_factory=dict, init=False)

    def start(self) -> None:
        """Make the learner, load what it needs and prepare it, so that no run is told to have taken that."""
        self.learner = self.options.build(self.tasks, self.base)
        self.affinity_learner = proxy_of(self.learner, self.proxy)
        if isinstance(self.learner, LoadingLearner) and self.affinity_learner is self.learner:
            self.learner.load()
        self.learner.prepare(self.shared)
        if self.affinity_learner is not self.learner:
            with naming_proxy(True):
                self.affinity_learner.prepare(self.shared)

    def folders(self, job: Job[GroupingStudyRun] | None) -> Sequence[Path]:
        """Return the folder of the warm start and of joint parts."""
        return (self.shared,)

    def outcomes(self, job: Job[GroupingStudyRun]) -> Sequence[Mapping[str, Any]]:
        """Train and score, or measure what takes the place of training."""
        first = job.runs[0]
        if isinstance(first, JointPartRun):
            return [self._begin(first, job)]
        if not isinstance(first, FitRun):
            return [{"arrays": measure(self.affinity_learner, first)}]
        fits = [run for run in job.runs if isinstance(run, FitRun)]
        if len({run.split for run in fits}) > 1:
            return self._on_both_splits(fits)
        if job.save_to is None:
            return [_of_fit(fit) for fit in self._fit(fits)]
        with new_folder(job.save_to) as folder:
            done = self._fit(fits, folder)
            record = {**_identity(job), **_answering(self._learner_of(first), first)}
            write_artefact_record(folder, record)
        return [_of_fit(fit) for fit in done]

    def _fit(self, runs: Sequence[FitRun], folder: Path | None = None) -> list[Fit]:
        """Train and score runs, several of them at once where a pass holds them."""
        first = runs[0]
        learner = self._learner_of(first)
        if isinstance(first, BranchedRun | ConvergedRun):
            parts = [self._part(run) for run in runs]
            return _parted(learner).fit_parts(parts, split=first.split, save_to=folder)
        if len(runs) > 1 and isinstance(learner, SideBySideLearner):
            subsets, seeds = [run.subset for run in runs], [run.seed for run in runs]
            return learner.fit_many(subsets, seeds, steps=[run.steps for run in runs], split=first.split)
        return [learner.fit(first.subset, first.seed, steps=first.steps, split=first.split, save_to=folder)]

    def _on_both_splits(self, runs: Sequence[FitRun]) -> list[dict[str, Any]]:
        """Train once what comes twice, first all on one split and then all on the other.

        Each run is told to have taken the whole training, as it would have by itself.
        """
        learner = self._learner_of(runs[0])
        assert isinstance(learner, SplitsLearner)  # others are not asked, see GroupingDesign.also_compared
        own = runs[: len(runs) // 2]
        splits = (own[0].split, runs[-1].split)
        subsets, seeds = [run.subset for run in own], [run.seed for run in own]
        wall, cpu = time.perf_counter(), time.process_time()
        fits = learner.fit_splits(subsets, seeds, steps=[run.steps for run in own], splits=splits)
        took = {
            "seconds": (time.perf_counter() - wall) / len(own),
            "cpu_seconds": (time.process_time() - cpu) / len(own),
        }
        return [_of_fit(of_run[at]) | took for at in range(2) for of_run in fits]

    def _begin(self, run: JointPartRun, job: Job[GroupingStudyRun]) -> dict[str, Any]:
        """Train a joint part and leave it in the folder of its key."""
        part = Part(run.subset, run.seed, run.steps, Span(rest=run.rest), patience=run.patience)
        with new_folder(joint_part_folder(self.shared, run, self.learner)) as folder:
            fit = _parted(self._learner_of(run)).begin(part, folder)
            write_artefact_record(folder, _identity(job))
        return _of_fit(fit)

    def _part(self, run: FitRun) -> Part:
        part = Part(run.subset, run.seed, run.steps, patience=patience_of(run))
        if not isinstance(run, BranchedRun):
            return part
        origin = joint_part_folder(self.shared, run.joint, self.learner)
        return replace(part, span=Span(since=run.since), origin=origin)

    def _learner_of(self, run: GroupingStudyRun) -> Learner:
        """Return the learner as the run wants it."""
        if measures_affinity(run):
            return self.affinity_learner
        variation = variation_of(run)
        if variation not in self._varied:
            self._varied[variation] = learner_of(self.learner, variation)
        return self._varied[variation]


def _answering(learner: Learner, run: FitRun) -> dict[str, Any]:
    """Say how a learner's adapters are asked; nothing of one whose adapters nobody else can ask."""
    if not isinstance(learner, AnsweringLearner):
        return {}
    prompts = {task: learner.prompt_of(task, PLACE) for task in run.subset}
    return {"reading": learner.reading, "prompts": prompts}


def _parted(learner: Learner) -> PartLearner:
    if not isinstance(learner, PartLearner):
        raise InputError("This learner cannot go on from what another run has trained.")
    return learner


def _identity(job: Job[GroupingStudyRun]) -> dict[str, Any]:
    """Say which run left something; of one that went on from a joint part, what that was too."""
    (run,) = job.runs
    after = {}
    if isinstance(run, BranchedRun):
        after = {"after": {"tasks": run.joint.subset, "steps": run.joint.steps}}
    return {"run": job.keys[0], "tasks": run.subset, "steps": run.size, "seed": run.seed, **after}


def measure(learner: Learner, run: FeatureRun | LinearRun | LookaheadRun) -> Mapping[str, Floats]:
    """Do a run that trains on no subset.

    Raises
    ------
    InputError
        If the learner lacks the ability.
    """
    if isinstance(run, FeatureRun) and isinstance(learner, FeatureLearner):
        options = {"examples": run.examples, "seed": run.seed, "dimension": run.dimension}
        return {"features": learner.gradient_features(run.subset[0], **options)}
    if isinstance(run, LinearRun) and isinstance(learner, LinearisedLearner):
        options = {"examples": run.examples, "seed": run.seed, "dimension": run.dimension}
        return learner.linearise(run.subset[0], **options)
    if isinstance(run, LookaheadRun) and isinstance(learner, LookaheadLearner):
        before, after = learner.lookahead(run.seed, steps=run.steps, every=run.every)
        return {"before": before, "after": after}
    raise InputError(f"This learner cannot do runs of the kind '{run.kind}'.")


def _of_fit(fit: Fit) -> dict[str, Any]:
    outcome: dict[str, Any] = {"scores": fit.scores, "losses": fit.losses, "tokens": fit.tokens}
    found = seen(fit.examples, fit.replay_losses)
    if fit.looks is not None:
        found["looks"] = asdict(fit.looks)
    if fit.answers:
        found["answers"] = {task: [a.to_dict() for a in answers] for task, answers in fit.answers.items()}
    return {**outcome, "payload": found} if found else outcome
