from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial

from cotune.answering._choices import encode_choices
from cotune.answering._config import InContextConfig
from cotune.answering._encode import answer_tokens, encode_example, encode_fitting, left_out
from cotune.exceptions import InputError
from cotune.models import Encoded, Encoder
from cotune.tasks import SPLITS, Example, Task, draw_demonstrations


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
    lengths : dict of str to int or None, optional
        Tokens of answers that are known, None of those that are too long; those counted now are added. For
        tasks over the same examples, as several instructions for one data set are.

    Raises
    ------
    InputError
        If the task has no examples to evaluate, none whose target fits, or the model's context leaves no room
        for a prompt; names the task.
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
        lengths: dict[str, int | None] | None = None,
    ) -> None:
        self.task = task
        asked = task[config.split][: config.max_examples]
        if not asked:
            raise InputError(f"Task {task.name} has no {config.split} examples to evaluate; it needs some.")
        self._config = config
        self._seed = seed
        self._soft_prompt = soft_prompt
        self._encoder = copy.copy(encoder)
        self._lengths: dict[str, int | None] = {} if lengths is None else lengths
        # As in training: a model that may write no more cannot give a longer answer.
        self.examples = tuple(e for e in asked if self._length(e.targets[0]) is not None)
        """The examples that are evaluated: those whose target fits."""
        self.notes = left_out(encoder, task.name, config.split, len(asked), len(self.examples))
        """A sentence for the examples left out, since their target is too long."""
        self._inputs = frozenset(example.input for example in asked)
        self.max_new_tokens = self._most_new_tokens()
        """The most tokens an answer may take: a quarter more than the longest right one or choice."""
        self._encoder.max_prompt_tokens = self._room(context)
        # Of each instance, not of the class: what is encoded lives as long as the evaluation.
        self.scored = cache(self._scored)
        self.options = cache(self._options)

    @property
    def draws(self) -> list[tuple[int, int]]:
        """Every (shots, draw); prompts without demonstrations are drawn once."""
        config = self._config
        return [(shots, draw) for shots in config.shots for draw in range(config.draws if shots else 1)]

    def prompts(self, shots: int, draw: int) -> list[Encoded]:
        """Return the prompt of every example, to generate from."""
        return [replace(encoded, target=()) for encoded in self.scored(shots, draw)]

    def _scored(self, shots: int, draw: int) -> list[Encoded]:
        """Encode the prompt of every example with its first target."""
        return [
            self._encode(example, shown, example.targets[0]) for example, shown in self._shown(shots, draw)
        ]

    def _options(self, shots: int, draw: int) -> list[list[Encoded]]:
        """Encode the prompt of every example with each of its choices; see :func:`encode_choices`."""
        return [
            encode_choices(partial(self._encode, example, shown), example.choices)
            for example, shown in self._shown(shots, draw)
        ]

    def check(self) -> None:
        """Draw all demonstrations and see that they fit; see :func:`check_in_context`."""
        for shots, draw in self.draws:
            seen: set[tuple[tuple[Example, ...], tuple[str, ...]]] = set()
            for example, shown in self._shown(shots, draw):
                if (shown, example.choices) not in seen:
                    encode_example(
                        self._encoder, self.task, replace(example, input="", turns=()), None, shown
                    )
                seen.add((shown, example.choices))

    def _length(self, text: str) -> int | None:
        """Return the number of tokens of an answer; None where it is too long."""
        if text not in self._lengths:
            try:
                tokens = answer_tokens(self._encoder, text)
            except InputError as error:
                raise InputError(f"Task {self.task.name}: {error}") from error
            self._lengths[text] = None if tokens is None else len(tokens)
        return self._lengths[text]

    def _most_new_tokens(self) -> int:
        most = self._encoder.max_target_tokens
        known = {choice for example in self.examples for choice in example.choices}
        if not all(example.choices for example in self.examples):
            known |= {example.targets[0] for split in SPLITS for example in self.task.splits.get(split, ())}
        lengths = {text: self._length(text) for text in known}
        if any(lengths[choice] is None for example in self.examples for choice in example.choices):
            raise InputError(
                f"A choice of task {self.task.name} is longer than max_target_tokens {most}; raise it or "
                "leave the task out."
            )
        longest = max(length or most for length in lengths.values())
        return self._config.max_new_tokens or min(longest + longest // 4 + 2, most)

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
        if self._config.demonstrations == "shared" or not shots:
            shown = drawn(draw=(draw,), exclude=self._inputs)
            yield from ((example, shown) for example in self.examples)
        else:
            for index, example in enumerate(self.examples):
                yield example, drawn(draw=(draw, index), exclude={example.input})

    def _encode(self, example: Example, shown: tuple[Example, ...], target: str) -> Encoded:
        return encode_fitting(self._encoder, self.task, example, target, shown).under(self._soft_prompt)
