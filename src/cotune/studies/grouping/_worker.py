"""The process that uses the learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cotune._files import new_folder
from cotune.exceptions import InputError
from cotune.studies.engine import Job, Worker, seen, write_artefact_record
from cotune.studies.grouping._runs import (
    FeatureRun,
    FitRun,
    GroupingStudyRun,
    LinearRun,
    LookaheadRun,
    VariedRun,
)
from cotune.studies.grouping.arms import learner_of
from cotune.tasks import Task
from cotune.training.learner import (
    AnsweringLearner,
    FeatureLearner,
    Fit,
    Learner,
    LearnerConfig,
    LinearisedLearner,
    LookaheadLearner,
    SideBySideLearner,
)

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
    """

    options: LearnerConfig
    tasks: tuple[Task, ...]
    base: Path
    shared: Path
    _varied: dict[str, Learner] = field(default_factory=dict, init=False)

    def start(self) -> None:
        """Make the learner and prepare it."""
        self.learner = self.options.build(self.tasks, self.base)
        self.learner.prepare(self.shared)

    def outcomes(self, job: Job[GroupingStudyRun]) -> Sequence[Mapping[str, Any]]:
        """Train and score, or measure what takes the place of training."""
        first = job.runs[0]
        if not isinstance(first, FitRun):
            return [{"arrays": measure(self.learner, first)}]
        learner = self._learner_of(first)
        if len(job.runs) > 1 and isinstance(learner, SideBySideLearner):
            fits = [run for run in job.runs if isinstance(run, FitRun)]
            done = learner.fit_many(
                [run.subset for run in fits],
                [run.seed for run in fits],
                steps=[run.steps for run in fits],
                split=first.split,
            )
            return [_of_fit(fit) for fit in done]
        if job.save_to is None:
            return [_of_fit(self._fit(first))]
        with new_folder(job.save_to) as folder:
            fit = self._fit(first, folder)
            run = {"run": job.keys[0], "tasks": first.subset, "steps": first.steps, "seed": first.seed}
            reading = {"reading": learner.reading} if isinstance(learner, AnsweringLearner) else {}
            write_artefact_record(folder, {**run, **reading})
        return [_of_fit(fit)]

    def _fit(self, run: FitRun, folder: Path | None = None) -> Fit:
        learner = self._learner_of(run)
        return learner.fit(run.subset, run.seed, steps=run.steps, split=run.split, save_to=folder)

    def _learner_of(self, run: FitRun) -> Learner:
        """Return the learner as the run wants it."""
        if not isinstance(run, VariedRun):
            return self.learner
        if run.variation not in self._varied:
            self._varied[run.variation] = learner_of(self.learner, run.variation)
        return self._varied[run.variation]


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
    return {**outcome, "payload": found} if found else outcome
