from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import count, islice, repeat
from pathlib import Path

from cotune._config import did_you_mean
from cotune.answering import encode_example, format_notes, left_out
from cotune.exceptions import InputError
from cotune.models import Encoded, Encoder
from cotune.tasks import SPLITS, Example, Task, draw_demonstrations
from cotune.training.batches import TaskBatch
from cotune.training.config import TrainingConfig
from cotune.training.replay import OtherExamples, ReplayConfig, TextWindows


class EncodedTasks:
    """The tasks' examples as a model reads them, encoded when they are first asked for.

    Parameters
    ----------
    tasks : sequence of Task
        Their names differ.
    load : callable
        Gives the model's tokenizer with the limits of prompts and targets; called once, when it is needed.
    demonstrations : int
        Solved examples before every input: for training fresh ones every time, else the same every time.
    base : Path
        Folder that relative paths of text to replay start from.
    others : sequence of Task
        Tasks that nothing is tuned on and whose training splits may stand beside; a task tuned on is none.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        load: Callable[[], Encoder],
        *,
        demonstrations: int = 0,
        base: Path = Path(),
        others: Sequence[Task] = (),
    ) -> None:
        self.tasks = {task.name: task for task in tasks}
        self._others = {task.name: task for task in others if task.name not in self.tasks}
        self._load = load
        self._demonstrations = demonstrations
        self._base = base
        self._windows: dict[str, TextWindows | OtherExamples] = {}
        self._encoded: dict[tuple[str, str], list[tuple[Example, Encoded]]] = {}
        self._lengths: dict[tuple[str, str], float] = {}

    @cached_property
    def encoder(self) -> Encoder:
        """The model's tokenizer with the limits of prompts and targets; needs no weights."""
        return self._load()

    def check(self) -> dict[str, tuple[str, ...]]:
        """Encode all that runs are trained on; return by task its format, and what was cut or dropped.

        Raises
        ------
        InputError
            If a task has nothing left in a split.
        """
        return {
            name: (
                *format_notes(task, self.encoder),
                *(note for split in SPLITS for note in self.notes(name, split)),
            )
            for name, task in self.tasks.items()
        }

    def encoded(self, task: str, split: str) -> list[Encoded]:
        """Return the encoded examples of a split that fit."""
        return [encoded for _, encoded in self.kept(task, split)]

    def kept(self, task: str, split: str) -> list[tuple[Example, Encoded]]:
        """Return the examples of a split that fit, each with its encoding; encoded once."""
        key = (task, split)
        if key not in self._encoded:
            examples = self.tasks[task][split]
            if not examples:
                raise InputError(f"Task {task} has no {split} examples; it needs some in every split.")
            # Training draws other demonstrations every time; whether a target fits does not depend on them.
            shots = 0 if split == "train" else self._demonstrations
            pairs = [(e, self._encode(task, e, e.targets[0], shots)) for e in examples]
            fitting = [(example, encoded) for example, encoded in pairs if encoded is not None]
            left_out(self.encoder, task, split, len(examples), len(fitting))
            self._encoded[key] = fitting
        return self._encoded[key]

    def mean_length(self, task: str, split: str) -> float:
        """Return the mean tokens of a split's examples, counted one by one."""
        key = (task, split)
        if key not in self._lengths:
            pool = self.encoded(task, split)
            self._lengths[key] = sum(map(len, pool)) / len(pool)
        return self._lengths[key]

    def encode(self, task: str, example: Example, target: str) -> Encoded | None:
        """Encode an example with one of its targets or choices; None when that is too long."""
        return self._encode(task, example, target, self._demonstrations)

    def _encode(
        self,
        task: str,
        example: Example,
        target: str,
        shots: int,
        *,
        seed: int = 0,
        draw: tuple[int, ...] = (),
    ) -> Encoded | None:
        of_task = self.tasks[task]
        shown: tuple[Example, ...] = ()
        if shots:
            shown = draw_demonstrations(of_task, shots, seed=seed, draw=draw, exclude=(example.input,))
        return encode_example(self.encoder, of_task, example, target, shown)

    def batches(
        self,
        names: Sequence[str],
        training: TrainingConfig,
        seed: int,
        *,
        prompt_ids: Callable[[str], tuple[int, ...]],
        context: int | None,
        start: int = 0,
    ) -> Iterator[TaskBatch]:
        """Mix training examples of tasks into batches, without end, determined by the seed.

        Parameters
        ----------
        names : sequence of str
            The tasks.
        training : TrainingConfig
            Size of the batches, how their tasks are chosen, and what text comes with them.
        seed : int
            Decides the order of the examples and their demonstrations.
        prompt_ids : callable
            Token ids before the inputs of a task, from :meth:`Attached.prompt_ids`.
        context : int or None
            Most tokens the model has positions for.
        start : int
            Steps to leave out at the beginning.

        Raises
        ------
        InputError
            If an example under its soft prompt is longer than the context; names the task. If a task weight
            is for no task there is, or the text to replay cannot be used.
        """
        self._check_weights(training)
        ids = {name: prompt_ids(name) for name in names}
        pools = [self.kept(name, "train") for name in names]
        for name, pool in zip(names, pools, strict=True):
            _check_context(name, max(len(encoded) for _, encoded in pool), len(ids[name]), context)
        sizes = [len(pool) for pool in pools]
        mixture = training.scheme.batches(
            sizes, batch_size=training.batch_size, tasks_per_batch=training.tasks_per_batch, seed=seed
        )
        replayed = self._replayed(training, seed, context, start)
        for step, rows in enumerate(mixture.since(start), start):
            drawn = [(names[row.task], *pools[row.task][i]) for row in rows for i in row.examples]
            batch = []
            for at, (name, example, encoded) in enumerate(drawn):
                if self._demonstrations:
                    encoded = self._with_demonstrations(name, example, seed, (step, at))
                    _check_context(name, len(encoded), len(ids[name]), context)
                batch.append(encoded.under(ids[name]))
            yield TaskBatch(batch, [name for name, *_ in drawn], next(replayed))

    def _replayed(
        self, training: TrainingConfig, seed: int, context: int | None, start: int
    ) -> Iterator[list[Encoded]]:
        """Yield the windows of text that come with each step."""
        replay = training.replay
        if replay is None:
            yield from repeat([])
            return
        if replay.text is not None and context is not None and replay.seq_len > context:
            raise InputError(
                f"The seq_len of the replayed text must be at most the model's context of {context}, got "
                f"{replay.seq_len}."
            )
        shown = replay.windows_until(start, training.batch_size)
        source = self.windows(replay)
        if isinstance(source, OtherExamples) and context is not None and len(source.longest) > context:
            raise InputError(
                f"An example of another task behind {replay.shots} demonstrations takes "
                f"{len(source.longest)} tokens, more than the model's context of {context}; lower shots."
            )
        windows = source.since(shown, seed)
        for step in count(start + 1):
            due = replay.windows_until(step, training.batch_size) - shown
            shown += due
            yield list(islice(windows, due))

    def windows(self, replay: ReplayConfig) -> TextWindows | OtherExamples:
        """Return text or examples to replay as the model reads them, read and encoded once.

        Raises
        ------
        InputError
            If there is no such text, or no such other task.
        """
        key = replay.model_dump_json(exclude={"ratio", "weight"})
        if key not in self._windows:
            self._windows[key] = self._read(replay)
        return self._windows[key]

    def _read(self, replay: ReplayConfig) -> TextWindows | OtherExamples:
        if replay.text is not None:
            return TextWindows(replay.text.documents(self._base), self.encoder, replay)
        chosen: dict[str, Task] = {}
        for pattern in replay.tasks or ():
            fitting = {name: task for name, task in self._others.items() if fnmatchcase(name, pattern)}
            if not fitting:
                there = f"; there are: {', '.join(self._others)}" if self._others else "; there is none"
                raise InputError(
                    f"No task beside those tuned on is named {pattern!r}"
                    f"{did_you_mean(pattern, self._others)}, whose training examples were to stand beside "
                    f"the others{there}."
                )
            chosen |= fitting
        return OtherExamples(list(chosen.values()), self.encoder, replay.shots)

    def expected_replay_tokens(self, training: TrainingConfig, steps: int) -> float:
        """Tokens of the text that a run replays, by the mean length of its windows."""
        if training.replay is None:
            return 0.0
        n_windows = training.replay.windows_until(steps, training.batch_size)
        return n_windows * self.windows(training.replay).mean_tokens

    def _check_weights(self, training: TrainingConfig) -> None:
        for pattern in training.task_weights:
            if not any(fnmatchcase(name, pattern) for name in self.tasks):
                raise InputError(
                    f"The task weight of {pattern!r} is for none of the tasks there are: "
                    f"{', '.join(self.tasks)}."
                )

    def _with_demonstrations(self, task: str, example: Example, seed: int, draw: tuple[int, ...]) -> Encoded:
        target = example.targets[0]
        encoded = self._encode(task, example, target, self._demonstrations, seed=seed, draw=draw)
        assert encoded is not None, "a target that fits does so under every prompt"
        return encoded

    def notes(self, task: str, split: str) -> Iterator[str]:
        """Say what was cut or dropped so that a split fits the model."""
        kept = self.encoded(task, split)
        yield from left_out(self.encoder, task, split, len(self.tasks[task][split]), len(kept))
        cut = [encoded.n_cut for encoded in kept if encoded.n_cut]
        if cut:
            turned = self.encoder.chat is not None and any(e.turns for e in self.tasks[task][split])
            where = "at the end, conversations by their oldest turns" if turned else "at the end"
            yield (
                f"{len(cut)} of {len(kept)} {split} inputs were cut {where}, by {sum(cut)} tokens in all, "
                f"to fit {self.encoder.max_prompt_tokens} prompt tokens."
            )


def _check_context(task: str, longest: int, n_virtual: int, context: int | None) -> None:
    if context is not None and longest + n_virtual > context:
        raise InputError(
            f"An example of task {task} takes {longest} tokens and its soft prompt {n_virtual}, "
            f"together more than the model's context of {context}; lower prompt_length or max_prompt_tokens."
        )
