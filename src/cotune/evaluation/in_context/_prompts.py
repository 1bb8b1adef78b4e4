from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, cached_property, partial

from cotune.evaluation.in_context._config import InContextConfig
from cotune.exceptions import InputError
from cotune.models import Encoded, Encoder
from cotune.tasks import Example, Task, draw_demonstrations, format_prompt, format_target


class TaskPrompts:
    """The k-shot prompts of one task, as a model reads them.

    Parameters
    ----------
    task : Task
        The task.
    config : InContextConfig
        Which examples, which demonstrations, how long.
    encoder : Encoder
        The model's tokenizer; its ``max_prompt_tokens`` is the limit unless the configuration names one.
    seed : int
        Under which demonstrations are drawn.
    soft_prompt : tuple of int
        Ids of a soft prompt, which stand before everything else.
    context : int, optional
        The most tokens that the model can hold, of prompt and answer.

    Raises
    ------
    InputError
        If the task has no examples to evaluate, or the model's context leaves no room for a prompt; names
        the task.
    """

    def __init__(
        self,
        task: Task,
        config: InContextConfig,
        encoder: Encoder,
        *,
        seed: int,
        soft_prompt: tuple[int, ...] = (),
        context: int | None = None,
    ) -> None:
        self.task = task
        self.examples = task[config.split][: config.max_examples]
        if not self.examples:
            raise InputError(f"Task {task.name} has no {config.split} examples to evaluate; it needs some.")
        self._config = config
        self._seed = seed
        self._soft_prompt = soft_prompt
        self._inputs = frozenset(example.input for example in self.examples)
        self._encoder = copy.copy(encoder)
        self._encoder.max_prompt_tokens = self._room(context)
        # Of each instance, not of the class: what is encoded lives as long as the evaluation.
        self.prompts = cache(self._prompts)
        self.scored = cache(self._scored)
        self.options = cache(self._options)

    @property
    def draws(self) -> list[tuple[int, int]]:
        """Every (shots, draw); prompts without demonstrations are drawn once."""
        config = self._config
        return [(shots, draw) for shots in config.shots for draw in range(config.draws if shots else 1)]

    @cached_property
    def max_new_tokens(self) -> int:
        """The most tokens an answer may take: a quarter more than the longest choice or training target."""
        if self._config.max_new_tokens is not None:
            return self._config.max_new_tokens
        choices = {choice for example in self.examples for choice in example.choices}
        known = choices or {example.targets[0] for example in self.task["train"]}
        most = self._encoder.max_target_tokens
        coded = (self._encoder.encode(str, "", format_target(text)) for text in known)
        longest = max((most if one is None else len(one.target) for one in coded), default=most)
        return min(longest + longest // 4 + 2, most)

    def _prompts(self, shots: int, draw: int) -> list[Encoded]:
        """Encode the prompt of every example, to generate from."""
        return [self._encode(example, shown) for example, shown in self._shown(shots, draw)]

    def _scored(self, shots: int, draw: int) -> list[Encoded]:
        """Encode the prompt of every example with its first target."""
        return [
            self._encode(example, shown, example.targets[0]) for example, shown in self._shown(shots, draw)
        ]

    def _options(self, shots: int, draw: int) -> list[list[Encoded]]:
        """Encode the prompt of every example with each of its choices, without the end of the sequence."""
        return [
            [_open_ended(self._encode(example, shown, choice)) for choice in example.choices]
            for example, shown in self._shown(shots, draw)
        ]

    def check(self) -> None:
        """Draw all demonstrations and see that they fit; see :func:`check_in_context`."""
        for shots, draw in self.draws:
            seen: set[tuple[tuple[Example, ...], tuple[str, ...]]] = set()
            for example, shown in self._shown(shots, draw):
                if (shown, example.choices) not in seen:
                    self._encode(replace(example, input=""), shown)
                seen.add((shown, example.choices))

    def _room(self, context: int | None) -> int:
        """Return the most tokens of text that a prompt may hold."""
        room = self._config.max_prompt_tokens or self._encoder.max_prompt_tokens
        if context is None:
            return room
        left = context - len(self._soft_prompt) - self.max_new_tokens
        if left < 1:
            raise InputError(
                f"Task {self.task.name}: a soft prompt of {len(self._soft_prompt)} tokens and an answer of "
                f"up to {self.max_new_tokens} leave no room for a prompt in the model's context of {context} "
                "tokens."
            )
        return min(room, left)

    def _shown(self, shots: int, draw: int) -> Iterator[tuple[Example, tuple[Example, ...]]]:
        """Pair every example with the demonstrations its prompt shows."""
        drawn = partial(draw_demonstrations, self.task, shots, seed=self._seed)
        if self._config.demonstrations == "shared":
            shown = drawn(draw=(draw,), exclude=self._inputs)
            yield from ((example, shown) for example in self.examples)
        else:
            for index, example in enumerate(self.examples):
                yield example, drawn(draw=(draw, index), exclude={example.input})

    def _encode(self, example: Example, shown: tuple[Example, ...], target: str | None = None) -> Encoded:
        render = partial(
            format_prompt,
            self.task.instruction,
            choices=example.choices,
            demonstrations=shown,
            format=self.task.format,
        )
        answer = None if target is None else format_target(target)
        try:
            encoded = self._encoder.encode(render, example.input, answer)
        except InputError as error:
            raise InputError(f"Task {self.task.name} with {len(shown)} demonstrations: {error}") from error
        if encoded is None:
            raise InputError(
                f"Task {self.task.name}: the answer {target!r:.60} is longer than max_target_tokens "
                f"{self._encoder.max_target_tokens}; raise it or leave the task out."
            )
        return encoded.under(self._soft_prompt)


def _open_ended(encoded: Encoded) -> Encoded:
    """Leave out the end of the sequence: in context an answer is followed by whatever follows it there."""
    return replace(encoded, target=encoded.target[:-1])
