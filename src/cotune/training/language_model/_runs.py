"""Runs: a fresh adapter trained on a subset of tasks, and scored on each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from cotune.exceptions import RunError
from cotune.training._log import TrainingLog, total_counts
from cotune.training.batches import TaskBatch
from cotune.training.language_model._start import Start
from cotune.training.learner import Fit, Score, Subset
from cotune.training.parts import Part
from cotune.training.stages import StagedRun, train_runs

if TYPE_CHECKING:
    from cotune.training._branch_point import BranchPoint
    from cotune.training._lookout import Lookout
    from cotune.training.methods import Attached, Stage

_Result = TypeVar("_Result")


class LanguageModelRuns(Start):
    """The runs of :class:`LanguageModelLearner`, which adds what it can do beside them.

    Trains what a method puts on a shared base on a subset of tasks and scores it; the base is loaded once.

    Parameters
    ----------
    config : LanguageModelSettings
        Model and recipe.
    tasks : sequence of Task
        All tasks of the study.
    base : Path
        Folder that a relative model path starts from.

    Raises
    ------
    InputError
        If the model folder does not exist, or the warm start names a task that does not.
    """

    separate_streams: Literal[True] = True
    """See :func:`derive_seed`."""

    def fit_score(self, subset: Subset, seed: int) -> dict[str, Score]:
        """Train one pass over the subset's training examples and score on validation examples."""
        examples = sum(len(self._tasks[name]["train"]) for name in subset)
        steps = -(-examples // self.config.training.batch_size)
        return dict(self.fit(subset, seed, steps=steps, split="validation").scores)

    def fit(self, subset: Subset, seed: int, *, steps: int, split: str, save_to: Path | None = None) -> Fit:
        """Train a fresh adapter on a subset and score every task of it; see :class:`Learner`.

        ``steps`` are those of the method's last stage; earlier ones have steps of their own.

        Raises
        ------
        RunError
            If the loss is not finite or explodes, in training or in scoring; names the subset.
        """
        (fit,) = self._fit_all([Part(subset, seed, steps)], split=split, save_to=save_to)
        return fit

    def _fit_all(
        self, parts: Sequence[Part], *, split: str, save_to: Path | None = None, most: int = 1
    ) -> list[Fit]:
        """Train parts of equal steps and spans, up to ``most`` in a pass, and score each."""
        fits = self._fit_splits(parts, splits=(split,), save_to=save_to, most=most)
        return [of_split for (of_split,) in fits]

    def _fit_splits(
        self, parts: Sequence[Part], *, splits: Sequence[str], save_to: Path | None = None, most: int = 1
    ) -> list[list[Fit]]:
        """Do the same with a fit for every split."""
        before = {} if save_to is None else self._sample(self.model.base, parts[0].subset, splits[-1])

        def score(at: int, attached: Attached, logs: list[TrainingLog]) -> list[Fit]:
            subset, run = parts[at].subset, runs[at]
            fits = [fit_of(self._scores(attached, subset, split), logs, run) for split in splits]
            if save_to is not None:
                attached.save(save_to, self.model.tokenizer)
                fits[-1] = replace(fits[-1], answers=self._sampled(attached, subset, splits[-1], before))
            return fits

        points: dict[Path, BranchPoint] = {}
        runs = [self._staged(part, points) for part in parts]
        return self._train(runs, parts[0], then=score, most=most)

    def _train(
        self,
        runs: Sequence[StagedRun],
        like: Part,
        *,
        then: Callable[[int, Attached, list[TrainingLog]], _Result],
        most: int = 1,
    ) -> list[_Result]:
        method, training = self.attached_method, self.config.training
        with self._from_states():
            return train_runs(
                self.model, method, runs, like.steps, training, then=then, most=most, span=like.span
            )

    def _staged(self, part: Part, points: dict[Path, BranchPoint]) -> StagedRun:
        """Make a run of a part; ``points`` has the branch points that were read already."""
        name = f"Training {' + '.join(part.subset)} with seed {part.seed}"
        if part.origin is not None and part.origin not in points:
            from cotune.training._branch_point import BranchPoint

            try:
                points[part.origin] = BranchPoint.load(part.origin)
            except RunError as error:
                raise RunError(f"{name}: {error}") from error
        origin = None if part.origin is None else points[part.origin]
        seed = derive_seed(part.seed, part.subset)
        return StagedRun(
            name,
            part.subset,
            partial(self._attached, part.subset, seed, origin),
            partial(self._batches, part.subset, seed, start=part.span.since),
            origin,
            lookout=self._lookout(part),
        )

    def _lookout(self, part: Part) -> Lookout | None:
        """Return what ends a part by the mean loss per target token on validation examples, tasks alike."""
        if part.patience is None:
            return None
        from cotune.training._lookout import Lookout

        def loss(attached: Attached) -> float:
            return float(np.mean([self._loss_of(attached, task, "validation") for task in part.subset]))

        return Lookout(part.patience, loss)

    @property
    def _pass_tokens(self) -> int:
        from cotune.training._objective import pass_tokens

        return pass_tokens(self.model.device.type, self.config.training)

    def _batches(
        self, subset: Subset, seed: int, attached: Attached, stage: Stage, *, start: int = 0
    ) -> Iterator[TaskBatch]:
        return self._data.batches(
            stage.tasks or subset,
            stage.training,
            seed,
            prompt_ids=attached.prompt_ids,
            context=self.model.context,
            start=start,
        )


def fit_of(scores: Mapping[str, Score], logs: Sequence[TrainingLog], run: StagedRun | None = None) -> Fit:
    """Put together what the stages of a run gave, and what it saw on the way."""
    return Fit(
        scores,
        tuple(loss for log in logs for loss in log.losses),
        sum(log.tokens for log in logs),
        total_counts(counts for log in logs for counts in log.examples),
        tuple(loss for log in logs for loss in log.replay_losses),
        run.lookout.looks if run is not None and run.lookout is not None else None,
    )


def derive_seed(seed: int, subset: Subset) -> int:
    """Give every subset its own stream of random numbers under one seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{'|'.join(subset)}".encode()).digest()[:6], "big")
