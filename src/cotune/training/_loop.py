from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn

from cotune.exceptions import InputError, RunError
from cotune.models import Encoded, LanguageModel
from cotune.training._log import StepRecord, TrainingLog
from cotune.training._objective import LossesOnTheWay, Objective
from cotune.training._optimizers import OPTIMIZERS, make_schedule
from cotune.training.batches import TaskBatch, as_task_batch
from cotune.training.config import TrainingConfig
from cotune.training.parts import WHOLE, Span
from cotune.training.steps import tell_step

if TYPE_CHECKING:
    from cotune.training.methods import Attached


OnStep: TypeAlias = Callable[[int, float], None]
"""What is called after every step, with the number of steps done and the newest loss that is known.

That is the loss before the last step but one: nobody waits for the step that a device is at.
"""


class TrainingRun:
    """A run of the one loop of all methods, which can be stopped after any step and continued.

    It trains whatever a method has attached and not frozen, on target tokens only. Randomness (dropout) comes
    from torch's global generator, which the caller seeds; on one thread of one machine a run repeats exactly.

    Parameters
    ----------
    model : LanguageModel
        Encodes batches for the module.
    attached : Attached
        The base with what a method put on it.
    n_steps : int
        Optimiser steps of the whole run.
    config : TrainingConfig
        The recipe.
    span : Span
        Where in a longer run these steps lie, whose warmup and schedule are followed.

    Raises
    ------
    InputError
        If the recipe asks for dropout that the base has nowhere.
    """

    def __init__(
        self,
        model: LanguageModel,
        attached: Attached,
        n_steps: int,
        config: TrainingConfig,
        span: Span = WHOLE,
    ) -> None:
        check_dropout(model.base, config.dropout)
        self._model, self._module = model, attached.module
        self.n_steps, self.config = n_steps, config
        self._parameters = attached.trained
        # Not accelerate's: its precision and accumulation belong to the process, so that whoever trained
        # here before would decide how this run steps, or that it cannot begin.
        self._optimizer = OPTIMIZERS[config.optimizer](self._parameters, config)
        self._schedule = make_schedule(self._optimizer, config, span.whole(n_steps), span.since)
        self._objective = Objective(model, self._module, self._parameters, config, attached.terms)
        self._record = StepRecord()
        self._last: LossesOnTheWay | None = None
        self._before: list[Mapping[str, float]] = []

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self._record.losses) + (self._last is not None)

    def catch_up(self) -> None:
        """Wait for the last step, check its loss and note it, which is else done while the next is under way.

        Raises
        ------
        RunError
            If the loss is not finite or explodes.
        """
        begin = time.perf_counter()
        self._note_last()
        self._record.seconds += time.perf_counter() - begin

    @property
    def log(self) -> TrainingLog:
        """What the run did so far."""
        self.catch_up()
        return self._record.log

    @property
    def task_losses(self) -> list[Mapping[str, float]]:
        """By step, the loss of each task's examples, those of the run that this one goes on from first."""
        self.catch_up()
        return [*self._before, *self._record.task_losses] if self._before else self._record.task_losses

    def moments(self, parameter: nn.Parameter) -> Mapping[str, Any]:
        """Return what the optimiser keeps of a parameter; empty before the first step on it."""
        kept: Mapping[str, Any] = self._optimizer.state.get(parameter, {})
        return kept

    def go_on(
        self, moments: Mapping[nn.Parameter, Mapping[str, Any]], task_losses: list[Mapping[str, float]]
    ) -> None:
        """Take over what the optimiser and the balancing of another run kept, before the first step."""
        for parameter in self._parameters:
            for key, value in moments.get(parameter, {}).items():
                # A copy: the optimiser moves it in place, and other runs go on from the same.
                own = value.to(parameter.device, copy=True) if isinstance(value, torch.Tensor) else value
                self._optimizer.state[parameter][key] = own
        self._before = list(task_losses)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the rest of the run depends on but the parameters and torch's generator."""
        self.catch_up()
        return {
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            **asdict(self._record),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where the run stood that gave this state."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._record = StepRecord.from_dict(state)

    def run(self, batches: Iterable[Sequence[Encoded]], on_step: OnStep | None = None) -> None:
        """Do the steps that are left.

        Parameters
        ----------
        batches : iterable of sequences of Encoded
            Those of the steps that are left, at least as many.
        on_step : callable, optional
            Called after every step; may evaluate the model.

        Raises
        ------
        RunError
            If the loss is not finite or explodes, or the last step leaves weights that are not finite; the
            sentence names the step.
        """
        left = range(self.n_steps - self.step)
        try:
            with dropout_of(self._model.base, self.config.dropout):
                for _, examples in zip(left, batches, strict=False):
                    start = time.perf_counter()
                    self._module.train()
                    self._step(self._objective.answered(as_task_batch(examples)))
                    self._record.seconds += time.perf_counter() - start
                    tell_step(self.step, self.n_steps)
                    if on_step is not None:
                        if not self._record.losses:
                            self.catch_up()
                        on_step(self.step, self._record.losses[-1])
                self.catch_up()
        finally:
            self._module.eval()

    @contextmanager
    def step_ahead(self, examples: Sequence[Encoded]) -> Iterator[None]:
        """Do a step on a batch for the duration of the context, then take it back.

        It is a step of this run, with its learning rate and its optimiser's state, but without dropout. It is
        neither counted nor checked.
        """
        values = [parameter.detach().clone() for parameter in self._parameters]
        state = copy.deepcopy(self._optimizer.state_dict())
        self._module.eval()
        try:
            batch = self._objective.answered(as_task_batch(examples))
            self._objective.backward(batch, self.task_losses)
            self._update()
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(self._parameters, values, strict=True):
                    parameter.copy_(value)
            self._optimizer.load_state_dict(state)

    def _step(self, batch: TaskBatch) -> None:
        history = self.task_losses if self.config.balancing.by_losses else ()
        last = self._objective.backward(batch, history)
        self._note_last()  # of the step before, which is done while the device is at this one
        self._last = last
        self._update()
        self._schedule.step()
        if self.step == self.n_steps:
            self._note_last()
            if not all(parameter.isfinite().all() for parameter in self._parameters):
                raise overflow(self.n_steps)

    def _note_last(self) -> None:
        """Check and note the step that is not looked at yet, if there is one."""
        if self._last is None:
            return
        last, self._last = self._last, None
        losses = last.read()
        limit = self.config.max_loss or 4 * math.log(self._model.vocabulary_size)
        for loss in (losses.loss, losses.replay):
            if loss is not None:
                check_loss(loss, limit, len(self._record.losses), self.n_steps)
        self._record.add(losses, last.batch)

    def _update(self) -> None:
        """Do the optimiser's step along the gradients, and forget them."""
        if self.config.clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.config.clip)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)


@contextmanager
def dropout_of(base: nn.Module, rate: float | None) -> Iterator[int]:
    """Set the dropout of a base model, that of adapters on it excepted; None leaves the model's own.

    Gives the number of places set: 0 for an architecture without dropout.
    """
    places = [] if rate is None else list(_dropouts(base))
    before = [getattr(module, name) for module, name in places]
    try:
        for module, name in places:
            setattr(module, name, rate)
        yield len(places)
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)


def check_dropout(base: nn.Module, rate: float | None) -> None:
    """Refuse a dropout that an architecture has no place for.

    Raises
    ------
    InputError
        One sentence.
    """
    if rate and not any(True for _ in _dropouts(base)):
        raise InputError(
            f"The model's architecture has no dropout, so training.dropout must be null or 0, got {rate:g}."
        )


def drops_out(base: nn.Module, rate: float | None) -> bool:
    """Whether a base model whose dropout is set as :func:`dropout_of` does drops anything."""
    with dropout_of(base, rate):
        return any(getattr(module, name) > 0 for module, name in _dropouts(base))


def _dropouts(base: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Find the modules and, where attention drops by a function, the attributes that hold a rate."""
    for path, module in base.named_modules():
        if "lora_dropout" in path:
            continue
        if isinstance(module, nn.Dropout):
            yield module, "p"
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                yield module, name


def check_loss(loss: float, limit: float, step: int, n_steps: int) -> None:
    """Refuse the loss of a step that is not finite or above the limit.

    Raises
    ------
    RunError
        The sentence names the step.
    """
    if not math.isfinite(loss):
        raise RunError(f"The loss became {loss} at step {step + 1} of {n_steps}; try a lower learning rate.")
    if loss > limit:
        raise RunError(
            f"The loss exploded to {loss:.1f} nats a token (limit {limit:.1f}) at step {step + 1} of "
            f"{n_steps}; try a lower learning rate."
        )


def overflow(n_steps: int, where: str = "") -> RunError:
    """Return the error of a run whose last step left weights that are not finite."""
    return RunError(
        f"{where}The weights are not finite after step {n_steps} of {n_steps}; try a lower learning rate."
    )
