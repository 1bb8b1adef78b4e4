"""What the runs of a grouping study take on this machine, told by a probe."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cotune._files import folder_bytes
from cotune.studies.grouping._runs import (
    BranchedRun,
    FeatureRun,
    FitRun,
    GroupingStudyRun,
    JointPartRun,
    LinearRun,
    LookaheadRun,
    patience_of,
    variation_of,
)
from cotune.studies.grouping._worker import measure
from cotune.studies.grouping.arms import learner_of
from cotune.tasks import Task
from cotune.training.learner import Learner, SideBySideLearner, Subset, TimedLearner, Timing
from cotune.training.timing import Law, clock

_FEW_EXAMPLES = 4
"""Examples of a task that is measured without training it, in a probe."""
_NO_TIME = 0.1
"""Seconds up to which what is done once a task weighs more than its examples, and more are measured."""


class FitTiming:
    """The timing of a learner that has none of its own, by whole fits of one step and of three.

    Parameters
    ----------
    learner : Learner
        What is trained.
    run : FitRun
        A run as small as any.
    """

    below = 0.0

    def __init__(self, learner: Learner, run: FitRun) -> None:
        timed_fit(learner, run, 1)
        short, _ = timed_fit(learner, run, 1)
        long, self.kept_bytes = timed_fit(learner, run, 3)
        # Where three steps came out no longer than one, the machine was busy: a third of them is the most
        # that a step can take, and a plan that says nothing is to pay would be wrong whatever happens.
        self._step = (long - short) / 2 if long > short else long / 3
        self._scored = max(short - self._step, 0.0) / len(run.subset)

    def training(self, subset: Subset, steps: int, *, earlier: bool = True) -> float:
        """Return the seconds of a run's training."""
        return self._step * steps

    def scoring(self, task: str, split: str) -> float:
        """Return the seconds of scoring a task."""
        return self._scored

    def sampling(self, task: str) -> float:
        """Return 0: such a learner keeps no answers."""
        return 0.0

    def looking(self, task: str) -> float:
        """Return the seconds of the loss on a task's validation examples."""
        return self._scored

    def reading(self, task: str) -> float:
        """Return the seconds of the loss on a batch of a task: a forward pass of a step's three."""
        return self._step / 3


class RunTimes:
    """Processor seconds of runs; a probe is done for each kind of training and of measuring among them.

    Parameters
    ----------
    learner : Learner
        What is trained, from fresh parameters.
    runs : sequence of runs
        Those that will be asked for.
    tasks : sequence of Task
        The study's; empty for a learner that brings its own.
    """

    def __init__(self, learner: Learner, runs: Sequence[GroupingStudyRun], tasks: Sequence[Task]) -> None:
        self._learner = learner
        self._examples = {task.name: {split: len(task[split]) for split in task.splits} for task in tasks}
        fits = [run for run in runs if isinstance(run, FitRun | JointPartRun | LookaheadRun)]
        # At another learning rate a step takes as long: the first run of a method stands for all.
        first = {_method(text): text for text in reversed(list(dict.fromkeys(map(variation_of, fits))))}
        self._timings = {way: _timing(learner_of(learner, text), fits) for way, text in first.items()}
        others = {run.kind: run for run in reversed(runs) if isinstance(run, FeatureRun | LinearRun)}
        self._others = {kind: (run, self._probe(run)) for kind, run in others.items()}

    @property
    def kept_bytes(self) -> int:
        """Disk that a model of the learner's own method takes, or else of the first that is trained."""
        first = next(iter(self._timings.values()), None)
        own = self._timings.get("", first)
        return 0 if own is None else own.kept_bytes

    @property
    def below(self) -> float:
        """Seconds of what is computed once in the layers below what the learner trains."""
        own = self._timings.get("")
        return 0.0 if own is None else own.below

    def training(self, subset: Subset, steps: int) -> float:
        """Return the seconds of training by the learner's own method."""
        own = self._timings.get("")
        return 0.0 if own is None else own.training(subset, steps)

    def keeping(self, run: FitRun) -> float:
        """Return the seconds of the answers that are kept with a run's model."""
        timing = self._timings[_method(variation_of(run))]
        return sum(timing.sampling(task) for task in run.subset)

    def of(self, run: GroupingStudyRun, *, only_scored: bool = False) -> float:
        """Return the seconds of a run, without its training where that is another's."""
        if isinstance(run, FeatureRun | LinearRun):
            return self._measuring(run)
        timing = self._timings[_method(variation_of(run))]
        if isinstance(run, LookaheadRun):
            return timing.training(run.subset, run.steps) + self._looking_ahead(run, timing)
        seconds = 0.0
        if isinstance(run, FitRun):
            seconds += sum(timing.scoring(task, run.split) for task in run.subset)
        if only_scored:
            return seconds
        patience = patience_of(run)
        if patience is not None:
            looks = 1 + math.ceil(run.size / patience.every)
            seconds += looks * sum(timing.looking(task) for task in run.subset)
        return seconds + timing.training(run.subset, run.steps, earlier=not isinstance(run, BranchedRun))

    def _looking_ahead(self, run: LookaheadRun, timing: Timing) -> float:
        """Return the seconds of a step on each task, and of the losses of all before and after each."""
        steps = sum(timing.training((task,), 1) for task in run.subset)
        losses = (1 + len(run.subset)) * sum(timing.reading(task) for task in run.subset)
        return math.ceil(run.steps / run.every) * (steps + losses)

    def _probe(self, run: FeatureRun | LinearRun) -> Law:
        """Measure a task by a few of its examples, and by more as long as that takes next to no time."""
        measure(self._learner, replace(run, examples=1))  # what is loaded and compiled first is not to count
        points: list[tuple[float, float]] = []
        examples = min(run.examples, _FEW_EXAMPLES)
        while True:
            some = replace(run, examples=examples)
            begin = clock()
            measure(self._learner, some)
            points.append((self._tokens(some), clock() - begin))
            if points[-1][1] > _NO_TIME or examples == run.examples:
                return Law.through(points[-2 if len(points) > 1 else -1], points[-1])
            examples = min(run.examples, 4 * examples)

    def _measuring(self, run: FeatureRun | LinearRun) -> float:
        _, law = self._others[run.kind]
        return law(1, self._tokens(run))

    def _tokens(self, run: FeatureRun | LinearRun) -> float:
        return self._number(run) * self._length(run.subset)

    def _number(self, run: FeatureRun | LinearRun) -> int:
        """Count the examples that a run measures: of two halves, or of two splits."""
        sizes = self._examples.get(run.subset[0])
        if sizes is None:
            return 2 * run.examples
        if isinstance(run, FeatureRun):
            return 2 * max(min(run.examples, sizes["train"] // 2), 1)
        return min(run.examples, sizes["train"]) + min(run.examples, sizes["validation"])

    def _length(self, subset: Subset) -> float:
        return self._learner.expected_tokens(subset, 1) or 1


def _method(variation: str) -> str:
    """Return the method that a variation trains by; empty for the learner's own."""
    method = json.loads(variation)["method"] if variation else None
    return json.dumps(method, sort_keys=True) if method is not None else ""


def _timing(learner: Learner, runs: Sequence[FitRun | JointPartRun | LookaheadRun]) -> Timing:
    if isinstance(learner, TimedLearner):
        return learner.timing()
    fits = [run for run in runs if isinstance(run, FitRun)]
    if fits:
        return FitTiming(learner, min(fits, key=lambda run: len(run.subset)))
    first = min(runs, key=lambda run: len(run.subset))
    return FitTiming(learner, FitRun(first.subset[:1], first.seed, 1, "validation"))


def timed_fit(learner: Learner, run: FitRun, steps: int) -> tuple[float, int]:
    """Return the seconds of one fit (its share, where many are trained at once) and the bytes it saves."""
    begin = clock()
    if isinstance(learner, SideBySideLearner) and learner.side_by_side > 1:
        copies = learner.side_by_side
        seeds = [run.seed + copy for copy in range(copies)]
        learner.fit_many([run.subset] * copies, seeds, steps=[steps] * copies, split=run.split)
        seconds = (clock() - begin) / copies
        return seconds, _saved(learner, run, 1) if steps > 1 else 0
    size = _saved(learner, run, steps)
    return clock() - begin, size


def _saved(learner: Learner, run: FitRun, steps: int) -> int:
    """Do a fit, and return the bytes of what it saves."""
    with tempfile.TemporaryDirectory() as folder:
        learner.fit(run.subset, run.seed, steps=steps, split=run.split, save_to=Path(folder))
        return folder_bytes(Path(folder))
