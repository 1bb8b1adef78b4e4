"""The gradient of a training step: of its examples, weighted or reconciled by task, and of replayed text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from cotune.models import Encoded, LanguageModel
from cotune.models.batching import Batch
from cotune.models.memory import in_parts
from cotune.models.moving import Awaited, sent
from cotune.training._log import StepLosses
from cotune.training.batches import TaskBatch
from cotune.training.config import TrainingConfig
from cotune.training.methods import Terms

Losses = Callable[[Batch], tuple[torch.Tensor, torch.Tensor | None]]
"""Gives the losses of a batch's target tokens, and factors of them in what is minimised."""


@dataclass
class _Passes:
    """Losses that passes over some examples give: of each its share of the whole, and every example's sum.

    Parameters
    ----------
    examples : int
        How many examples there are.
    indices : list of list of int
        By pass, which of them it held.
    values : list of Tensor
        By pass, the share and the sums.
    """

    examples: int
    indices: list[list[int]]
    values: list[torch.Tensor]

    def read(self, numbers: Iterator[float]) -> tuple[float, list[float]]:
        """Return the whole and every example's sum, given the numbers of all passes in a row."""
        total, sums = 0.0, [0.0] * self.examples
        for indices in self.indices:
            total += next(numbers)
            for index in indices:
                sums[index] = next(numbers)
        return total, sums


class LossesOnTheWay:
    """The losses of a step that a device is at.

    Parameters
    ----------
    batch : TaskBatch
        What the step saw.
    parts : sequence of (list of int, passes)
        Of parts of its examples, their places and their losses.
    replay : passes or None
        Those of the text.
    """

    def __init__(
        self,
        batch: TaskBatch,
        parts: Sequence[tuple[Sequence[int], _Passes]],
        replay: _Passes | None,
    ) -> None:
        self.batch, self._parts, self._replay = batch, parts, replay
        every = [*(passes for _, passes in parts), *([] if replay is None else [replay])]
        self._numbers = Awaited(torch.cat([values for passes in every for values in passes.values]))
        for passes in every:
            passes.values.clear()

    def read(self) -> StepLosses:
        """Return them, waiting for the step if need be."""
        numbers = iter(self._numbers.read())
        loss, sums = 0.0, [0.0] * len(self.batch)
        for places, passes in self._parts:
            share, of_part = passes.read(numbers)
            loss += share
            for at, total in zip(places, of_part, strict=True):
                sums[at] = total
        by_task = dict.fromkeys(self.batch.counts, 0.0)
        targets = dict.fromkeys(by_task, 0)
        for task, example, total in zip(self.batch.tasks, self.batch, sums, strict=True):
            by_task[task] += total
            targets[task] += len(example.target)
        by_task = {task: total / targets[task] for task, total in by_task.items()}
        return StepLosses(loss, by_task, None if self._replay is None else self._replay.read(numbers)[0])


class Objective:
    """What a run minimises; it adds gradients up in the parameters and changes nothing else.

    Parameters
    ----------
    model : LanguageModel
        Encodes batches for the module.
    module : Module
        The base with what a method put on it.
    parameters : sequence of Parameter
        What is trained.
    config : TrainingConfig
        The recipe.
    terms : Terms
        What the method minimises in place of the likelihood of right answers.
    """

    def __init__(
        self,
        model: LanguageModel,
        module: nn.Module,
        parameters: Sequence[nn.Parameter],
        config: TrainingConfig,
        terms: Terms,
    ) -> None:
        self._model, self._module, self._parameters = model, module, parameters
        self._config, self._terms = config, terms
        self._held = pass_tokens(model.device.type, config)

    def answered(self, batch: TaskBatch) -> TaskBatch:
        """Return a batch whose replayed part has the targets that the method gives it."""
        if self._terms.answers is None or not batch.replay:
            return batch
        return TaskBatch(batch, batch.tasks, self._terms.answers(batch.replay))

    def backward(self, batch: TaskBatch, history: Sequence[Mapping[str, float]]) -> LossesOnTheWay:
        """Add up the gradients of a batch.

        Of the examples that is the gradient of their mean loss per target token, the losses of every task
        times its weight. To it comes ``replay.weight`` times the mean loss per token of the replayed text,
        times the number of its windows over that of the examples: a window counts as much as an example.
        Terms of the method go in their places; losses that are told stay those of the right tokens.

        Parameters
        ----------
        batch : TaskBatch
            Examples of tasks, and text.
        history : sequence of mapping of str to float
            By step done, the loss of each task that it saw; for a balancing that goes by losses.

        Returns
        -------
        LossesOnTheWay
            Read when they are needed: who reads waits for the device.
        """
        examples, tokens = [*batch, *batch.replay], pass_tokens(self._model.device.type, self._config)
        return in_parts(
            self._model,
            examples,
            tokens,
            lambda held: self._backward(batch, history, held),
            what="training",
            forget=self._forget,
        )

    def _forget(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def _backward(
        self, batch: TaskBatch, history: Sequence[Mapping[str, float]], held: int
    ) -> LossesOnTheWay:
        self._held = held
        weights = self._weights(batch, history)
        n_targets = sum(len(example.target) for example in batch)
        if self._config.balancing.by_gradient and len(batch.counts) > 1:
            parts = self._combined(batch, weights, n_targets)
        else:
            parts = [(range(len(batch)), self._accumulate(batch, n_targets, weights))]
        return LossesOnTheWay(batch, parts, self._replay(batch))

    def _weights(self, batch: TaskBatch, history: Sequence[Mapping[str, float]]) -> list[float] | None:
        """Return the weight of every example; None where all are 1."""
        config = self._config
        tasks = list(batch.counts)
        balanced = config.balancing.weights(history, tasks)
        by_task = {task: config.weight_of(task) * balanced[task] for task in tasks}
        if all(weight == 1 for weight in by_task.values()):
            return None
        return [by_task[task] for task in batch.tasks]

    def _combined(
        self, batch: TaskBatch, weights: list[float] | None, n_targets: int
    ) -> list[tuple[Sequence[int], _Passes]]:
        """Let the balancing make one gradient of those of the tasks; return their losses."""
        parts: list[tuple[Sequence[int], _Passes]] = []
        gradients = []
        for task in batch.counts:
            own = [at for at, name in enumerate(batch.tasks) if name == task]
            passes = self._accumulate(
                [batch[at] for at in own], n_targets, weights and [weights[at] for at in own]
            )
            parts.append((own, passes))
            gradients.append(self._take_gradient())
        combined = self._config.balancing.combine(torch.stack(gradients))
        sizes = [parameter.numel() for parameter in self._parameters]
        for parameter, part in zip(self._parameters, torch.split(combined, sizes), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.dtype)
        return parts

    def _take_gradient(self) -> torch.Tensor:
        parts = []
        for parameter in self._parameters:
            zeros = parameter.new_zeros(parameter.numel())
            parts.append(zeros if parameter.grad is None else parameter.grad.flatten())
            parameter.grad = None
        return torch.cat(parts)

    def _replay(self, batch: TaskBatch) -> _Passes | None:
        if not batch.replay:
            return None
        assert self._config.replay is not None
        n_targets = sum(len(window.target) for window in batch.replay)
        weight = self._config.replay.weight * len(batch.replay) / self._config.batch_size
        weights = [weight] * len(batch.replay)
        return self._accumulate(batch.replay, n_targets, weights, self.replay_losses)

    def replay_losses(self, batch: Batch) -> tuple[torch.Tensor, None]:
        """Return the losses of the target tokens of a pass over what stands beside the examples."""
        if self._terms.replay_losses is None:
            smoothing = self._config.label_smoothing
            return self._model.target_losses(self._module, batch, label_smoothing=smoothing), None
        return self._terms.replay_losses(self._module, batch), None

    def target_losses(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the losses of the target tokens of a pass over examples, and factors of them."""
        model, smoothing = self._model, self._config.label_smoothing
        if self._terms.token_factors is None:
            return model.target_losses(self._module, batch, label_smoothing=smoothing), None
        logits = model.target_logits(self._module, batch).float()
        losses = nn.functional.cross_entropy(logits, batch.label, reduction="none", label_smoothing=smoothing)
        return losses, self._terms.token_factors(logits.detach(), batch.label)

    def _accumulate(
        self,
        examples: Sequence[Encoded],
        n_targets: int,
        weights: Sequence[float] | None,
        of_tokens: Losses | None = None,
    ) -> _Passes:
        """Add gradients up, in as many passes as it takes; return their losses, which nobody waits for."""
        model, losses_of = self._model, of_tokens or self.target_losses
        found = _Passes(len(examples), [], [])
        for indices in model.chunks(examples, self._held):
            batch = model.batch([examples[i] for i in indices])
            half = model.dtype == torch.bfloat16
            with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=half):
                losses, of_method = losses_of(batch)
                loss = losses.sum() / n_targets
                objective = loss
                if weights is not None or of_method is not None:
                    learned = losses if of_method is None else losses * of_method
                    if weights is not None:
                        factors = sent(torch.tensor([weights[i] for i in indices]), losses.device)
                        learned = learned * factors[batch.example]
                    objective = learned.sum() / n_targets
            objective.backward()  # type: ignore[no-untyped-call]
            of_example = losses.new_zeros(batch.n_examples).index_add(0, batch.example, losses.detach())
            found.indices.append(indices)
            found.values.append(torch.cat([loss.detach()[None].to(of_example.dtype), of_example]))
        return found


def pass_tokens(device: str, config: TrainingConfig) -> int:
    """Return the tokens a backward pass may hold: on a CPU more would cost memory and save no time."""
    return config.pass_tokens or (384 if device == "cpu" else 16_384)
