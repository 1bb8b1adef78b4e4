"""The tasks of the toy language: functions of three symbols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

N_SYMBOLS = 16
"""The symbols are the numbers from 0 to 15, one token each."""
INPUT_LENGTH = 3
"""Symbols of an input; there are ``N_SYMBOLS ** INPUT_LENGTH`` = 4096 inputs."""
LABELS = ("T", "F")
"""The answers of a true/false task: true, false."""

Symbols: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ToyTask:
    """A function of three symbols.

    Parameters
    ----------
    answer : callable
        From the three symbols of an input to the symbols of the answer, or to true or false.
    category : str
        The family of the task, only to compare groups with.
    pretrained : bool
        Whether the pretraining of the shipped checkpoint shows prompts of this task.
    """

    answer: Callable[[Symbols], Symbols | bool]
    category: str
    pretrained: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        """The closed set of answers of a true/false task, else nothing."""
        return LABELS if self.category == "true/false" else ()

    def target(self, symbols: Symbols) -> str:
        """Return the answer as text: symbols with blanks between them, or a label."""
        answer = self.answer(symbols)
        if isinstance(answer, bool):
            return LABELS[0] if answer else LABELS[1]
        return text_of(answer)


def text_of(symbols: Symbols) -> str:
    """Return symbols as text, with blanks between them."""
    return " ".join(map(str, symbols))


TOY_TASKS: Mapping[str, ToyTask] = MappingProxyType(
    {
        "copy": ToyTask(lambda x: x, "moving", pretrained=True),
        "reverse": ToyTask(lambda x: x[::-1], "moving", pretrained=True),
        "rotate": ToyTask(lambda x: (x[1], x[2], x[0]), "moving", pretrained=True),
        "sort": ToyTask(lambda x: tuple(sorted(x)), "ordering", pretrained=True),
        "repeat_first": ToyTask(lambda x: (x[0],) * 3, "repeating", pretrained=True),
        "repeat_last": ToyTask(lambda x: (x[2],) * 3, "repeating", pretrained=True),
        "max": ToyTask(lambda x: (max(x),), "ordering", pretrained=True),
        "min": ToyTask(lambda x: (min(x),), "ordering", pretrained=True),
        "member": ToyTask(lambda x: x[2] in x[:2], "true/false", pretrained=True),
        "less": ToyTask(lambda x: x[0] < x[2], "true/false", pretrained=True),
        "even_first": ToyTask(lambda x: x[0] % 2 == 0, "true/false", pretrained=True),
        "weighted": ToyTask(lambda x: x[0] + x[2] > 2 * x[1], "true/false"),
        "rotate_right": ToyTask(lambda x: (x[2], x[0], x[1]), "moving"),
        "swap_first_two": ToyTask(lambda x: (x[1], x[0], x[2]), "moving"),
        "swap_last_two": ToyTask(lambda x: (x[0], x[2], x[1]), "moving"),
        "sort_descending": ToyTask(lambda x: tuple(sorted(x, reverse=True)), "ordering"),
        "median": ToyTask(lambda x: (sorted(x)[1],), "ordering"),
        "extremes": ToyTask(lambda x: (min(x), max(x)), "ordering"),
        "repeat_middle": ToyTask(lambda x: (x[1],) * 3, "repeating"),
        "repeat_max": ToyTask(lambda x: (max(x),) * 3, "repeating"),
        "double_first": ToyTask(lambda x: (x[0], x[0]), "repeating"),
        "first": ToyTask(lambda x: (x[0],), "selecting"),
        "middle": ToyTask(lambda x: (x[1],), "selecting"),
        "last": ToyTask(lambda x: (x[2],), "selecting"),
        "drop_first": ToyTask(lambda x: x[1:], "selecting"),
        "drop_middle": ToyTask(lambda x: (x[0], x[2]), "selecting"),
        "drop_last": ToyTask(lambda x: x[:2], "selecting"),
        "greater": ToyTask(lambda x: x[0] > x[2], "true/false"),
        "odd_first": ToyTask(lambda x: x[0] % 2 == 1, "true/false"),
        "even_last": ToyTask(lambda x: x[2] % 2 == 0, "true/false"),
        "ascending": ToyTask(lambda x: x[0] < x[1] < x[2], "true/false"),
        "duplicates": ToyTask(lambda x: len(set(x)) < len(x), "true/false"),
    }
)
"""Every task by its name."""

PRETRAINED = tuple(name for name, task in TOY_TASKS.items() if task.pretrained)
"""The tasks that the shipped checkpoint has learned to do in context."""
