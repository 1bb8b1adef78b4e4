from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path

from cotune.exceptions import InputError
from cotune.models import Encoded, Encoder, load_encoder
from cotune.tasks import SPLITS, Example, Task, format_prompt, format_target, get_metric
from cotune.training.language_model._config import LanguageModelConfig


class EncodedTasks:
    """The tasks' examples as a model reads them, encoded when they are first asked for.

    Parameters
    ----------
    tasks : mapping of str to Task
        By name.
    config : LanguageModelConfig
        The limits of prompts and targets.
    location : Path or str
        The model whose tokenizer is used.
    """

    def __init__(self, tasks: Mapping[str, Task], config: LanguageModelConfig, location: Path | str) -> None:
        self._tasks = tasks
        self._config = config
        self._location = location
        self._encoded: dict[tuple[str, str], list[tuple[Example, Encoded]]] = {}

    @cached_property
    def encoder(self) -> Encoder:
        """The model's tokenizer with the study's limits; needs no weights."""
        return load_encoder(
            self._location,
            revision=self._config.revision,
            max_prompt_tokens=self._config.max_prompt_tokens,
            max_target_tokens=self._config.max_target_tokens,
        )

    def check(self) -> dict[str, tuple[str, ...]]:
        """Encode all that runs ask for; return by task what was cut or dropped.

        Raises
        ------
        InputError
            If a task has nothing left in a split, or a choice is too long.
        """
        for name, task in self._tasks.items():
            if get_metric(task.metric).needs == "text":
                for split in ("validation", "test"):
                    self.options(name, split)
        return {
            name: tuple(note for split in SPLITS for note in self._notes(name, split)) for name in self._tasks
        }

    def options(self, task: str, split: str) -> list[Encoded]:
        """Encode every choice of every example of a split, one example after the other."""
        options = [
            self.encode(task, example, choice)
            for example, _ in self.kept(task, split)
            for choice in example.choices
        ]
        fitting = [option for option in options if option is not None]
        if len(fitting) < len(options):
            raise InputError(
                f"A choice of task {task} is longer than max_target_tokens {self._config.max_target_tokens}."
            )
        return fitting

    def encoded(self, task: str, split: str) -> list[Encoded]:
        """Return the encoded examples of a split that fit."""
        return [encoded for _, encoded in self.kept(task, split)]

    def kept(self, task: str, split: str) -> list[tuple[Example, Encoded]]:
        """Return the examples of a split that fit, each with its encoding; encoded once."""
        key = (task, split)
        if key not in self._encoded:
            examples = self._tasks[task][split]
            if not examples:
                raise InputError(f"Task {task} has no {split} examples; it needs some in every split.")
            pairs = [(e, self.encode(task, e, e.targets[0])) for e in examples]
            fitting = [(example, encoded) for example, encoded in pairs if encoded is not None]
            if not fitting:
                raise InputError(
                    f"Every {split} example of task {task} has a target of more than max_target_tokens "
                    f"{self._config.max_target_tokens} tokens; raise it or leave the task out."
                )
            self._encoded[key] = fitting
        return self._encoded[key]

    def encode(self, task: str, example: Example, target: str) -> Encoded | None:
        """Encode an example with one of its targets or choices; None when that is too long."""
        of_task = self._tasks[task]
        render = partial(format_prompt, of_task.instruction, choices=example.choices, format=of_task.format)
        try:
            return self.encoder.encode(render, example.input, format_target(target))
        except InputError as error:
            raise InputError(f"Task {task}: {error}") from error

    def _notes(self, task: str, split: str) -> Iterator[str]:
        """Say what was cut or dropped so that a split fits the model."""
        n_examples, kept = len(self._tasks[task][split]), self.encoded(task, split)
        if len(kept) < n_examples:
            yield (
                f"{n_examples - len(kept)} of {n_examples} {split} examples have targets of more than "
                f"{self._config.max_target_tokens} tokens and were dropped."
            )
        cut = [encoded.n_cut for encoded in kept if encoded.n_cut]
        if cut:
            yield (
                f"{len(cut)} of {len(kept)} {split} inputs were cut at the end, by {sum(cut)} tokens in all, "
                f"to fit {self._config.max_prompt_tokens} prompt tokens."
            )
