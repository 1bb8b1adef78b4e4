"""What training and answering take on this machine: laws in tokens, drawn through a few small batches.

A step costs something of its own and something for every token that its passes hold, and so does reading. Two
batches of other sizes tell both; how many tokens runs go through is counted, not tried.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cotune._repr import Brief
from cotune.answering import Asked
from cotune.models import Encoded
from cotune.training.batches import TaskBatch

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel
    from cotune.training.methods import Attached, Stage

FEW, MORE = 2, 8
"""Examples in the two batches of a probe."""
_LONG = 4.0
"""Seconds of the smaller batch from which on the larger is left out, which would take several times that."""
_WRITTEN = 4
"""Tokens that answers are written to, to tell what one takes."""

Measured = tuple[float, float]
"""Tokens of a batch, and the seconds that it took; see :func:`clock`."""


def clock(device: str | None = None) -> float:
    """Return the processor seconds of this process; where an accelerator computes, a time by the clock.

    An accelerator is waited for first: what it was given takes its time, not the processor's.

    Parameters
    ----------
    device : str, optional
        Kind of device; by default the accelerator that this process has begun to use, else the processor.
    """
    device = device or _in_use()
    if device == "cpu":
        return time.process_time()
    import torch

    (torch.mps if device == "mps" else torch.cuda).synchronize()
    return time.perf_counter()


def _in_use() -> str:
    torch = sys.modules.get("torch")  # what has not loaded it uses none
    if torch is None or not hasattr(torch, "cuda"):
        return "cpu"
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@dataclass(frozen=True, slots=True)
class Law(Brief):
    """Processor seconds of work.

    Parameters
    ----------
    each : float
        Of every time that it is done.
    token : float
        Of every token.
    """

    each: float
    token: float

    def __call__(self, times: float, tokens: float) -> float:
        """Return the seconds of doing it so many times on so many tokens in all."""
        return self.each * times + self.token * tokens

    @classmethod
    def through(cls, few: Measured, more: Measured) -> Law:
        """Draw a law through two measurements, neither of its parts negative.

        It meets the larger, to which the work is nearer. Where more tokens took no longer, others used the
        machine: a token's share of all is then the most that one can take, and a plan that said that nothing
        is to pay would be wrong whatever happens.
        """
        share = more[1] / more[0]
        slope = (more[1] - few[1]) / (more[0] - few[0]) if more[0] > few[0] else share
        token = slope if 0 < slope <= share else share
        return cls(max(more[1] - token * more[0], 0.0), token)


def measure_steps(
    model: LanguageModel,
    attached: Attached,
    stage: Stage,
    batches: Callable[[int], Iterator[TaskBatch]],
    held: Callable[[TaskBatch], float],
) -> Law:
    """Do a step on few examples twice and one on more; the first pays for what is made once.

    Parameters
    ----------
    model : LanguageModel
        The base.
    attached : Attached
        What the method put on it; three steps of the stage are done on it.
    stage : Stage
        What is trained, and by which recipe.
    batches : callable
        Gives batches of so many examples.
    held : callable
        Counts the tokens of a batch.
    """
    from cotune.training.stages import stage_run

    run = stage_run(model, attached, replace(stage, steps=3))
    seconds: list[float] = []
    done: list[TaskBatch] = []
    few, more = batches(FEW), batches(min(MORE, max(stage.training.batch_size, FEW)))
    for source in (few, few, more):
        if seconds and seconds[-1] > _LONG:
            break
        begin = clock()
        batch = next(source)  # to draw and encode demonstrations is part of a step
        run.run([batch])
        seconds.append(clock() - begin)
        done.append(batch)
    measured = [(held(batch), took) for batch, took in zip(done, seconds, strict=True)]
    return Law.through(measured[-2] if len(measured) == 3 else measured[-1], measured[-1])


@dataclass(frozen=True, slots=True)
class AnswerLaws(Brief):
    """What it takes to ask a model.

    Parameters
    ----------
    reading : Law
        Of prompts and targets that are read at once.
    writing : float
        Seconds of a token of several answers.
    """

    reading: Law
    writing: float

    def __call__(self, asked: Asked) -> float:
        """Return the seconds of questions."""
        return self.reading(asked.times, asked.read) + self.writing * asked.written


def measure_answers(
    model: LanguageModel, module: nn.Module, examples: Sequence[Encoded], *, writes: bool
) -> AnswerLaws:
    """Read a few examples, and more; where answers are written, write a few tokens too.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and base.
    module : Module
        The base, or the base under an adapter.
    examples : sequence of Encoded
        With targets, neighbours as they are asked.
    writes : bool
        Whether answers are written.
    """
    from cotune.models.counting import read_tokens

    few, more = list(examples[:FEW]), list(examples[:MORE])
    model.nll(module, few[:1])  # what is tried and made once is not to count
    points = []
    for batch in (few, more):
        begin = clock()
        model.nll(module, batch)
        points.append((float(read_tokens(model, batch)), clock() - begin))
        if points[-1][1] > _LONG:
            break
    reading = Law.through(points[0], points[-1])
    if not writes:
        return AnswerLaws(reading, 0.0)
    begin = clock()
    model.generate(module, more, max_new_tokens=_WRITTEN)
    seconds = clock() - begin - reading(1, read_tokens(model, more, by_length=True))
    # The first token comes with the prompt.
    return AnswerLaws(reading, max(seconds, 0.0) / (_WRITTEN - 1))
