"""What runs of a language model take on this machine, from a few batches of two of its tasks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cotune._files import folder_bytes
from cotune.answering import Asked, count_answers
from cotune.models import Encoded
from cotune.training.batches import TaskBatch
from cotune.training.language_model._samples import SAMPLES
from cotune.training.learner import Subset
from cotune.training.parts import Part
from cotune.training.stages import StagedRun
from cotune.training.timing import FEW, MORE, AnswerLaws, Law, clock, measure_answers, measure_steps

if TYPE_CHECKING:
    from cotune.models import LanguageModel
    from cotune.training.language_model._side_by_side import SideBySideRuns
    from cotune.training.methods import Attached, Stage

_GROUPS = 60
"""Groups of examples whose tokens are counted, of all tasks together; one of each at least."""
_SCORED = 32
"""Examples of a split whose tokens are counted."""


class LanguageModelTiming:
    """See :class:`cotune.training.learner.Timing`: measured when it is made, counted when it is asked.

    Parameters
    ----------
    runs : LanguageModelRuns
        Knows model, method, recipe and tasks; its runs start with fresh parameters.
    """

    kept_bytes: int
    below = 0.0

    def __init__(self, runs: SideBySideRuns) -> None:
        self._runs, self._config = runs, runs.config
        self._data, self._model = runs._data, runs.model
        self._virtual = (0,) * self._config.method.virtual_tokens
        self._held: dict[tuple[str, int], float] = {}
        self._laws: dict[str, Law] = {}
        self._measure()

    def training(self, subset: Subset, steps: int, *, earlier: bool = True) -> float:
        """Return the seconds of a run's training, with or without the stages before the last."""
        stages = self._config.method.stages(steps, self._config.training, subset)
        return sum(self._stage(stage, subset) for stage in (stages if earlier else stages[-1:]))

    def scoring(self, task: str, split: str) -> float:
        """Return the seconds of scoring a task."""
        kept = self._data.kept(task, split)
        asked = [(example, encoded.under(self._virtual)) for example, encoded in kept[:_SCORED]]
        with self._rows():
            found = count_answers(self._model, self._runs._tasks[task], asked, self._config)
        return self._answers(found.of(len(kept) / len(asked)))

    def sampling(self, task: str) -> float:
        """Return the seconds of the answers to a few examples of a task, before training and after."""
        kept = self._data.kept(task, "validation")[:SAMPLES]
        asked = [(example, encoded.under(self._virtual)) for example, encoded in kept]
        answered = replace(self._runs._tasks[task], metric="exact_match")
        with self._rows():
            found = count_answers(self._model, answered, asked, self._config)
        return 2 * self._answers(found.of(SAMPLES / len(asked)))

    def looking(self, task: str) -> float:
        """Return the seconds of the loss on a task's validation examples."""
        from cotune.models.counting import read_tokens

        kept = self._data.encoded(task, "validation")
        taken = self._under(kept[:_SCORED])
        with self._rows():
            tokens = read_tokens(self._model, taken) * len(kept) / len(taken)
        return self._answers(Asked(1, tokens, 0))

    def reading(self, task: str) -> float:
        """Return the seconds of the loss on a batch of a task alone."""
        size = self._config.training.batch_size
        return self._answers(Asked(1, size * self._tokens(task, size), 0))

    def _stage(self, stage: Stage, subset: Subset) -> float:
        tasks, training = stage.tasks or subset, stage.training
        alike = training.batch_size // min(training.tasks_per_batch, len(tasks))
        example = float(np.mean([self._tokens(task, alike) for task in tasks]))
        tokens = stage.steps * training.batch_size * example
        tokens += self._data.expected_replay_tokens(training, stage.steps)
        return self._laws[_kind(stage)](stage.steps, tokens)

    def _tokens(self, task: str, alike: int) -> float:
        """Return the tokens that passes hold of an example of a task, among so many of it in a step."""
        if (task, alike) not in self._held:
            groups = max(1, min(3, _GROUPS // len(self._runs.tasks)))
            with self._rows():
                counts = [self._count(batch) for batch in self._drawn(task, alike, groups)]
            self._held[task, alike] = float(np.mean(counts)) / alike
        return self._held[task, alike]

    def _drawn(self, task: str, alike: int, groups: int) -> Iterator[list[Encoded]]:
        """Yield groups of training examples of a task, as a step holds them."""
        if self._config.method.demonstrations:  # every example has others, so that none shares a prompt
            training = self._config.training.model_copy(
                update={"batch_size": alike, "tasks_per_batch": 1, "replay": None}
            )
            batches = self._data.batches((task,), training, 0, prompt_ids=self._ids, context=None)
            yield from map(list, islice(batches, groups))
            return
        pool = self._data.encoded(task, "train")
        rng = np.random.default_rng(0)
        for _ in range(groups):
            group = rng.choice(len(pool), alike, replace=len(pool) < alike)
            yield self._under(pool[i] for i in group)

    def _ids(self, task: str) -> tuple[int, ...]:
        return self._virtual

    def _count(self, examples: Sequence[Encoded]) -> int:
        from cotune.models.counting import held_tokens

        return held_tokens(self._model, examples, self._runs._pass_tokens) if examples else 0

    def _rows(self) -> AbstractContextManager[None]:
        """Lay examples into rows as under the method, some of which need each in one of its own."""
        return nullcontext() if self._packs == self._model.pack else self._model.one_example_a_row()

    def _under(self, examples: Iterator[Encoded] | Sequence[Encoded]) -> list[Encoded]:
        return [example.under(self._virtual) for example in examples]

    def _held_of(self, batch: TaskBatch) -> float:
        return self._count(batch) + self._count(batch.replay)

    def _measure(self) -> None:
        method, subset, width = self._runs.attached_method, self._runs.probed, self._runs.width
        self._measure_below()
        with self._runs._from_states(), method.attach(self._model, subset) as attached:
            for stage in method.stages(1, self._config.training, subset):
                if width == 1 and _kind(stage) not in self._laws:
                    batches = partial(self._batches, attached.prompt_ids, stage)
                    law = measure_steps(self._model, attached, stage, batches, self._held_of)
                    self._laws[_kind(stage)] = law
            attached.module.eval()
            self._packs = self._model.pack
            self._answers = self._measure_answers(attached)
            self.kept_bytes = _saved(attached, self._model)
        if width > 1:
            (stage,) = method.stages(1, self._config.training, subset)
            self._laws[_kind(stage)] = self._measure_beside(stage, width)

    def _measure_below(self) -> None:
        """Compute what lies below the adapter of all examples that are tried, so that it is there then."""
        if self._runs.lower is None:
            return
        prefix = self._runs.lower.of(self._model)
        (stage,) = self._config.method.stages(1, self._config.training, self._runs.probed)
        tried = [
            encoded for task in self._runs.probed for encoded in self._data.encoded(task, "validation")[:MORE]
        ]
        for size in (FEW, min(MORE, max(stage.training.batch_size, FEW))):
            for batch in islice(self._batches(lambda _: (), stage, size), 2):
                tried += batch
        prefix.keep(tried[:1])  # what is made once is not to count
        begin = clock()
        n_held = prefix.keep(tried)
        self.below = (clock() - begin) / n_held * prefix.n_held if n_held else 0.0

    def _measure_answers(self, attached: Attached) -> AnswerLaws:
        examples = [
            (example, encoded.under(attached.prompt_ids(task)))
            for task in self._runs.probed
            for example, encoded in self._data.kept(task, "validation")[: MORE // 2]
        ]
        # Whatever the metrics, a few examples are answered by every model that is kept.
        return measure_answers(self._model, attached.module, [e for _, e in examples], writes=True)

    def _batches(
        self, prompt_ids: Callable[[str], tuple[int, ...]], stage: Stage, examples: int
    ) -> Iterator[TaskBatch]:
        alike = min(stage.training.tasks_per_batch, examples)
        training = stage.training.model_copy(update={"batch_size": examples, "tasks_per_batch": alike})
        return self._data.batches(
            stage.tasks or self._runs.probed,
            training,
            0,
            prompt_ids=prompt_ids,
            context=self._model.context,
        )

    def _measure_beside(self, stage: Stage, width: int) -> Law:
        """Do the same steps for as many LoRAs as share a pass; a law of one of them."""
        begun: list[float] = []
        done: list[TaskBatch] = []

        def batches(attached: Attached, of_run: Stage, *, first: bool) -> Iterator[TaskBatch]:
            few = self._batches(attached.prompt_ids, of_run, FEW)
            more = self._batches(attached.prompt_ids, of_run, min(MORE, max(stage.training.batch_size, FEW)))
            for source in (few, few, more):
                if first:
                    begun.append(clock())
                batch = next(source)  # to draw and encode demonstrations is part of a step
                if first:
                    done.append(batch)
                yield batch
            begun.append(clock())
            raise _EnoughError

        method, subset = self._runs.attached_method, self._runs.probed
        attach = partial(method.attach, self._model, subset)
        runs = [StagedRun("A probe", subset, attach, partial(batches, first=at == 0)) for at in range(width)]
        with suppress(_EnoughError):
            self._runs._train(runs, Part(subset, 0, 4), then=lambda *_: None, most=width)
        _, few_seconds, more_seconds = np.diff(begun).tolist()
        few, more = map(self._held_of, done[1:])
        return Law.through((few, few_seconds / width), (more, more_seconds / width))


class _EnoughError(Exception):
    """A probe has seen what it wanted."""


def _kind(stage: Stage) -> str:
    """Tell stages apart whose steps take as long as one another: those of tasks in sequence do."""
    parts = sorted(part.split()[0] for part in stage.trains)
    return f"{parts} {stage.training.model_dump_json()}"


def _saved(attached: Attached, model: LanguageModel) -> int:
    """Return the bytes that a run's model takes on disk."""
    with tempfile.TemporaryDirectory() as folder:
        attached.save(Path(folder), model.tokenizer)
        return folder_bytes(Path(folder))
