"""What a training will take of a device's memory, counted before anything is loaded.

Weights, adapters and optimiser are counted from shapes. Of a pass, the model does a longest one forward and
backward on shapes without numbers, and the most that is alive at once is what it takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from cotune._repr import Brief
from cotune.models.quantized import is_quantized

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cotune.models import Encoded, LanguageModel
    from cotune.models.precision import Number
    from cotune.training._objective import Losses
    from cotune.training.config import TrainingConfig
    from cotune.training.methods import Attached, Method, Stage

_OF_WEIGHTS = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0, "nf4": 0.52}
"""Bytes of a weight of a linear map; those of 4 bits have a scale for every 64."""
_MOST_ROWS = 64
"""Examples of the pass on shapes; what more of them take is proportional."""


class Longest(NamedTuple):
    """Tokens of a long example."""

    prompt: int
    target: int

    @classmethod
    def of(cls, examples: Iterable[Encoded]) -> Longest:
        """Return those of the longest of some examples."""
        return cls.one(max(examples, key=len))

    @classmethod
    def one(cls, example: Encoded) -> Longest:
        """Return those of an example."""
        return cls(len(example.prompt), len(example.target))


@dataclass(frozen=True)
class MemoryPlan(Brief):
    """Bytes of a device that a training takes.

    Parameters
    ----------
    weights : int
        The base's.
    trained : int
        What is trained, in float32, and its gradient.
    optimiser : int
        What the optimiser keeps.
    activations : int
        What a longest pass takes at most, forward and backward; 0 where that is not counted, or cannot be
        told from shapes.
    pass_tokens : int
        Tokens of that pass.
    mapped : int
        Of the weights, those that processes of one machine read from one file, so that it holds them once.
    """

    weights: int
    trained: int
    optimiser: int
    activations: int = 0
    pass_tokens: int = 0
    mapped: int = 0

    @property
    def fixed(self) -> int:
        """Bytes that no smaller pass saves."""
        return self.weights + self.trained + self.optimiser

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.fixed + self.activations

    def of(self, runs: int) -> int:
        """Return the bytes of so many runs on one machine."""
        return runs * (self.total - self.mapped) + self.mapped


@runtime_checkable
class MemoryLearner(Protocol):
    """A learner that knows what a run takes of its device."""

    def memory(self, *, passes: bool = True) -> MemoryPlan:
        """Count what the largest run takes; loads no weights.

        Parameters
        ----------
        passes : bool
            Whether what passes take is counted as well.
        """
        ...


def plan_memory(
    model: LanguageModel,
    method: Method,
    training: TrainingConfig,
    tasks: Sequence[str],
    longest: Longest,
    *,
    precision: Number,
    device: str,
    copies: int = 1,
    passes: bool = True,
    beside: Longest | None = None,
) -> MemoryPlan:
    """Count what a training takes in the stage that takes most.

    Parameters
    ----------
    model : LanguageModel
        A skeleton: shapes without numbers.
    method : Method
        What is trained.
    training : TrainingConfig
        The recipe.
    tasks : sequence of str
        What it is trained on.
    longest : Longest
        Tokens of a long example, without demonstrations and soft prompt.
    precision : {"fp32", "bf16", "int8", "nf4"}
        Type of the weights.
    device : str
        Kind of device, which decides how many tokens a pass holds unless the recipe says so.
    copies : int
        Models that are trained side by side on the one base.
    passes : bool
        Whether to count what passes take, which runs the model on shapes.
    beside : Longest, optional
        Tokens of a long example of what stands beside the tasks' own; of text the recipe tells them.
    """
    weights = _weight_bytes(model.base, precision)
    mapped = weights if device == "cpu" and _is_mapped(model.base, precision) else 0
    half = precision == "bf16" or (is_quantized(precision) and device == "cuda")
    shown = longest.prompt * (1 + method.demonstrations)
    long = Longest(max(longest.prompt, min(shown, model.encoder.max_prompt_tokens)), longest.target)
    plans = []
    # A sequence of tasks has stages that take as much as one another.
    for stage in {stage.trains: stage for stage in method.stages(1, training, tasks)}.values():
        with _in_type(model.base, half=half), method.attach(model, tasks) as attached:
            attached.train_only(stage.trains)
            every = sum(parameter.numel() for parameter in attached.parameters)
            sizes = [parameter.shape for parameter in attached.trained]
            found, tokens = (0, 0)
            if passes:
                found, tokens = _pass_bytes(model, attached, stage, long, beside, device, copies)
        trained = 4 * copies * (every + sum(size.numel() for size in sizes))
        optimiser = 4 * copies * _kept(stage.training, sizes)
        plans.append(MemoryPlan(weights, trained, optimiser, found, tokens, mapped))
    return max(plans, key=lambda plan: plan.total)


def _kept(training: TrainingConfig, sizes: Sequence[torch.Size]) -> int:
    """Return the numbers that the optimiser keeps."""
    if training.optimizer == "adafactor":  # a row and a column for a matrix
        return sum(sum(size) if len(size) > 1 else size.numel() for size in sizes)
    return 2 * sum(size.numel() for size in sizes)


def _weight_bytes(base: nn.Module, precision: str) -> int:
    from torch import nn

    if not is_quantized(precision):
        return round(_OF_WEIGHTS[precision] * sum(p.numel() for p in base.parameters()))
    head: nn.Module | None = getattr(base, "get_output_embeddings", lambda: None)()
    linear = {
        id(module.weight): module.weight.numel()
        for module in base.modules()
        if isinstance(module, nn.Linear) and module is not head
    }
    # The rest (embeddings, norms, the head) is in float32, as adapters need it.
    rest = sum(p.numel() for p in base.parameters() if id(p) not in linear)
    return round(_OF_WEIGHTS[precision] * sum(linear.values()) + 4 * rest)


def _is_mapped(base: Any, precision: str) -> bool:
    """Whether weights are as they lie in their file, whose pages all processes then share."""
    stored = str(getattr(base.config, "dtype", None)).removeprefix("torch.")
    return {"fp32": "float32", "bf16": "bfloat16"}.get(precision) == stored


@contextmanager
def _in_type(base: nn.Module, *, half: bool) -> Iterator[None]:
    """Give the weights of a skeleton the type that they are computed in."""
    import torch

    before = {parameter: parameter.data for parameter in base.parameters()}
    try:
        for parameter, data in before.items():
            parameter.data = data.to(torch.bfloat16 if half else torch.float32)
        yield
    finally:
        for parameter, data in before.items():
            parameter.data = data


class _Pass(NamedTuple):
    """Examples of a step that passes hold, and what is computed of them."""

    example: Encoded
    number: int
    losses: Losses


def _pass_bytes(
    model: LanguageModel,
    attached: Attached,
    stage: Stage,
    longest: Longest,
    beside: Longest | None,
    device: str,
    copies: int,
) -> tuple[int, int]:
    """Return the bytes that a pass of long examples takes (0 if shapes do not tell), and its tokens."""
    from cotune.training._objective import pass_tokens

    most = pass_tokens(device, stage.training)
    found = []
    for one in _passes(model, attached, stage, longest, beside, copies):
        length = len(one.example)
        held = max(min(most, one.number * length), length)
        rows = min(held // length, _MOST_ROWS)
        try:
            alive = _alive(model, attached, one, rows)
        except (RuntimeError, NotImplementedError, TypeError, ValueError):  # a model that asks its numbers
            return 0, held
        found.append((round(alive * held / (rows * length)), held))
    return max(found)


def _passes(
    model: LanguageModel,
    attached: Attached,
    stage: Stage,
    longest: Longest,
    beside: Longest | None,
    copies: int,
) -> Iterator[_Pass]:
    """Yield those over the tasks' examples, and those over what stands beside them."""
    from cotune.models import Encoded
    from cotune.training._objective import Objective

    training, replay = stage.training, stage.training.replay
    objective = Objective(model, attached.module, attached.trained, training, attached.terms)
    example = Encoded((0,) * longest.prompt, (0,) * longest.target)
    if attached.prompts is not None:
        example = example.under(attached.prompt_ids(next(iter(attached.prompts.parameters))))
    yield _Pass(example, training.batch_size * copies, objective.target_losses)
    if replay is not None:
        prompt, target = beside or Longest(1, replay.seq_len - 1)
        number = max(1, math.ceil(training.batch_size * replay.ratio))
        yield _Pass(Encoded((0,) * prompt, (0,) * target), number * copies, objective.replay_losses)


def _alive(model: LanguageModel, attached: Attached, one: _Pass, rows: int) -> int:
    import torch

    from cotune.training._live import LiveBytes

    with model.one_example_a_row():
        batch = model.batch([one.example] * rows)
    inputs = {key: value for key, value in batch.inputs.items() if key.endswith("input_ids")}
    columns = inputs["input_ids"].shape[1]
    # Any other mask is looked into for its values, which shapes have not.
    seen = (rows, 1, 1, columns) if model.seq2seq else (rows, 1, columns, columns)
    inputs["attention_mask"] = torch.zeros(seen, device=model.device)
    there = [*model.base.parameters(), *model.base.buffers(), *attached.parameters]
    if attached.as_base is not None:
        with attached.as_base():
            there += [parameter.data for parameter in model.base.parameters()]
    attached.module.train()
    try:
        with _fused_attention(), LiveBytes(there) as live:
            before = live.now
            losses, factors = one.losses(replace(batch, inputs=inputs))
            learned = losses if factors is None else losses * factors
            learned.sum().backward()  # type: ignore[no-untyped-call]
    finally:
        attached.module.eval()
        for parameter in attached.parameters:
            parameter.grad = None
    return int(live.most - before)


@contextmanager
def _fused_attention() -> Iterator[None]:
    """Let attention keep what kernels of devices keep, which lay no matrix out; shapes alone would have one.

    A bias that is trained has no such kernel.
    """
    import torch

    plain = torch.nn.functional.scaled_dot_product_attention

    def attention(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        *args: Any,
        **options: Any,
    ) -> torch.Tensor:
        if attn_mask is not None and attn_mask.requires_grad:
            return plain(query, key, value, attn_mask, *args, **options)
        out: torch.Tensor = _Attention.apply(query, key, value)  # type: ignore[no-untyped-call]
        return out

    class _Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            out = query.new_empty((*query.shape[:-1], value.shape[-1]))
            sums = query.new_empty(query.shape[:-1], dtype=torch.float32)
            ctx.save_for_backward(query, key, value, out, sums)
            return out

        @staticmethod
        def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, ...]:
            query, key, value, *_ = ctx.saved_tensors
            return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)

    functional: Any = torch.nn.functional
    functional.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = plain
