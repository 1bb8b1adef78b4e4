"""The one way through the stages of a method: one run after another, or many side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from cotune.exceptions import RunError
from cotune.training.batches import TaskBatch
from cotune.training.config import TrainingConfig
from cotune.training.methods import Attached, Method, Stage
from cotune.training.parts import WHOLE, Span

if TYPE_CHECKING:
    from cotune.models import LanguageModel
    from cotune.training._branch_point import BranchPoint
    from cotune.training._log import TrainingLog
    from cotune.training._lookout import Lookout
    from cotune.training._loop import TrainingRun
    from cotune.training._mixing import MixingRun

StageBatches: TypeAlias = Callable[[Attached, Stage], Iterator[TaskBatch]]
"""Gives the batches of a stage, at least as many as it has steps; drawn when they are asked for."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class StagedRun:
    """A run of all stages of a method.

    Parameters
    ----------
    name : str
        What it is called in an error message.
    tasks : tuple of str
        What it is trained on.
    attach : callable
        Puts on the base what the run starts with, the same at every call.
    batches : callable
        Gives the batches of a stage.
    origin : BranchPoint, optional
        Where another run stood that it goes on from; ``attach`` has set its parameters.
    leave : callable, optional
        Is given where the run stands at its end; it is trained alone.
    lookout : Lookout, optional
        Ends it where its validation loss stops falling; it is trained alone.
    """

    name: str
    tasks: tuple[str, ...]
    attach: Callable[[], AbstractContextManager[Attached]]
    batches: StageBatches
    origin: BranchPoint | None = None
    leave: Callable[[BranchPoint], None] | None = None
    lookout: Lookout | None = None


def begin_stage(model: LanguageModel, attached: Attached, stage: Stage, span: Span = WHOLE) -> TrainingRun:
    """Freeze all but what a stage trains, and return its run, not begun.

    Raises
    ------
    InputError
        If the recipe asks for what the model has not.
    """
    from cotune.training._loop import TrainingRun

    attached.train_only(stage.trains)
    return TrainingRun(model, attached, stage.steps, stage.training, span)


def stage_run(model: LanguageModel, attached: Attached, stage: Stage) -> TrainingRun | MixingRun:
    """Do as :func:`begin_stage` for any stage; one that mixes weights begins with those of the base.

    Raises
    ------
    InputError
        If the recipe asks for what the model has not, or the weights cannot be mixed.
    """
    if not stage.mixes:
        return begin_stage(model, attached, stage)
    from cotune.training._mixing import MixingRun

    attached.train_only(stage.trains)
    return MixingRun(attached, stage)


def train_stages(
    model: LanguageModel, attached: Attached, stages: Sequence[Stage], batches: StageBatches
) -> list[TrainingLog]:
    """Train stages one after the other; return what each did.

    Raises
    ------
    RunError
        If the loss is not finite or explodes, or the last step of a stage leaves weights that are not finite.
    """
    logs = []
    for stage in stages:
        run = stage_run(model, attached, stage)
        run.run(batches(attached, stage))
        logs.append(run.log)
    return logs


def trains_side_by_side(method: Method, training: TrainingConfig, model: LanguageModel | None = None) -> bool:
    """Tell whether runs can share passes over the base and come out as each does alone, up to rounding.

    They can where all that is trained is one LoRA on the untouched activations of the base (no dropout), the
    optimiser goes element by element, and a step's gradient is that of its examples' loss and nothing else.

    Parameters
    ----------
    method : Method
        What is trained.
    training : TrainingConfig
        The recipe.
    model : LanguageModel, optional
        The base; without it a checkpoint's own dropout is not looked at.
    """
    if not (method.is_plain_lora and training.optimizer == "adamw" and training.is_plain):
        return False
    if training.dropout or model is None:
        return not training.dropout
    from cotune.training._loop import drops_out

    return not drops_out(model.base, training.dropout)


def train_runs(
    model: LanguageModel,
    method: Method,
    runs: Sequence[StagedRun],
    steps: int,
    training: TrainingConfig,
    *,
    then: Callable[[int, Attached, list[TrainingLog]], _Result],
    most: int = 1,
    span: Span = WHOLE,
) -> list[_Result]:
    """Train runs of equal length, each from its own start, up to ``most`` in a pass where that is possible.

    Parameters
    ----------
    model : LanguageModel
        The base; as before when this returns.
    method : Method
        What is trained.
    runs : sequence of StagedRun
        The runs.
    steps : int
        Optimiser steps of the method's last stage.
    training : TrainingConfig
        The recipe.
    then : callable
        Called once for each run, in order, while the model is the trained one: with the run's place, what was
        trained, and what its stages did. Its results are returned.
    most : int
        Most runs in a pass.
    span : Span
        Where in the last stages of whole runs these steps lie; runs that go on from others skip what comes
        before it, the earlier stages too.

    Raises
    ------
    RunError
        If a run diverges or ``then`` raises one; names the run.
    """
    results: list[_Result] = []
    for first in range(0, len(runs), most):
        part = runs[first : first + most]
        trained = _together(model, method, part, steps, training, span) or _alone(
            model, method, part, steps, training, span
        )
        for at, (run, context) in enumerate(zip(part, trained, strict=True), first):
            with _naming(run), context as (attached, logs):
                results.append(then(at, attached, logs))
    return results


_Trained: TypeAlias = "AbstractContextManager[tuple[Attached, list[TrainingLog]]]"


def _alone(
    model: LanguageModel,
    method: Method,
    runs: Sequence[StagedRun],
    steps: int,
    training: TrainingConfig,
    span: Span,
) -> Iterator[_Trained]:
    """Give contexts in which a run is trained and the model is what came out."""

    @contextmanager
    def trained(run: StagedRun) -> Iterator[tuple[Attached, list[TrainingLog]]]:
        with run.attach() as attached:
            *earlier, last = method.stages(span.whole(steps), training, run.tasks)
            logs = train_stages(model, attached, [] if span.since else earlier, run.batches)
            if span != WHOLE:
                last = replace(last, steps=steps)
            final = begin_stage(model, attached, last, span)
            if run.origin is not None:
                run.origin.resume(attached, final, model.device)
            _finish(model, attached, final, run, run.batches(attached, last))
            yield attached, [*logs, final.log]

    return map(trained, runs)


def _finish(
    model: LanguageModel,
    attached: Attached,
    final: TrainingRun,
    run: StagedRun,
    batches: Iterator[TaskBatch],
) -> None:
    """Do the steps of the last stage, all or as many as help, and leave where it stands to the next."""
    from cotune.training._branch_point import BranchPoint

    if run.lookout is None:
        final.run(batches)
    else:
        moments = run.leave is not None
        run.lookout.train(attached, final, batches, model.device, moments=moments)
    if run.leave is not None:
        run.leave(run.lookout.best if run.lookout else BranchPoint.of(attached, final, model.device))


def _together(
    model: LanguageModel,
    method: Method,
    runs: Sequence[StagedRun],
    steps: int,
    training: TrainingConfig,
    span: Span,
) -> Iterator[_Trained] | None:
    """Train runs at once and give contexts in which the model is one of them; None where they cannot be."""
    apart = len(runs) < 2 or any(run.lookout is not None for run in runs)
    if apart or not trains_side_by_side(method, training, model):
        return None
    from cotune.training._lora_stack import LoraStack, adapter_of, train_side_by_side

    fresh, streams, moments = [], [], []
    for run in runs:
        (stage,) = method.stages(span.whole(steps), training, run.tasks)
        with run.attach() as attached:
            adapter = adapter_of(model.base)
            streams.append(run.batches(attached, stage))
            moments.append({} if run.origin is None else run.origin.moments_of(attached))
        if adapter is None:  # on other than linear maps
            return None
        # Taken off, the adapter's matrices are nobody else's.
        fresh.append(adapter)
    stack = LoraStack(fresh)
    names = [run.name for run in runs]
    logs = train_side_by_side(
        model, stack, streams, steps, training, names, span=span, moments=stack.moments(fresh, moments)
    )

    @contextmanager
    def trained(index: int) -> Iterator[tuple[Attached, list[TrainingLog]]]:
        with runs[index].attach() as attached:
            stack.write(index, adapter_of(model.base) or {})
            yield attached, [logs[index]]

    return map(trained, range(len(runs)))


@contextmanager
def _naming(run: StagedRun) -> Iterator[None]:
    try:
        yield
    except RunError as error:
        raise RunError(f"{run.name}: {error}") from error
