"""How a study puts its tasks to a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cotune._repr import Brief
from cotune.answering import InContextConfig
from cotune.models import Encoded, Encoder
from cotune.tasks import Task
from cotune.training.methods import Method


@dataclass(frozen=True, kw_only=True)
class Prompting(Brief):
    """All that decides which tokens a model sees of each task.

    Parameters
    ----------
    model : str
        The model, as it was named.
    encoder : Encoder
        Its tokenizer with the limits of prompts and targets.
    in_context : InContextConfig
        How answers are taken, and which examples are asked.
    methods : mapping of str to sequence of Method
        By task, what trains on it; nothing for a task that is only asked.
    shots : mapping of str to sequence of int
        By task, with how many demonstrations it is asked in context, beside how it is trained.
    seed : int
        Draws the demonstrations.
    further : callable
        Gives other prompts of a task that are learned, each with what it is read for.
    """

    model: str
    encoder: Encoder
    in_context: InContextConfig
    methods: Mapping[str, Sequence[Method]]
    shots: Mapping[str, Sequence[int]]
    seed: int = 0
    further: Callable[[Task], Iterable[tuple[str, Encoded]]] = field(default=lambda task: (), repr=False)
