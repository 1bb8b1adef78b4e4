"""What a training will take of a device's memory, counted before anything is loaded.

Weights, adapters and optimiser are counted from shapes. Activations are what autograd keeps of a pass: the
model runs once on shapes without numbers, and what it would keep is added up. Attention is laid out there in
full, which kernels of devices are spared: the sum is a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cotune._repr import Brief
from cotune.models.quantized import is_quantized

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel
    from cotune.training.config import TrainingConfig
    from cotune.training.methods import Attached, Method

_TARGETS = 5
"""Of so many tokens one is taken to be a target, whose logits are kept."""
_TRIED = 256
"""Tokens of the pass on shapes, where the examples are not shorter."""
_OF_WEIGHTS = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0, "nf4": 0.52}
"""Bytes of a weight of a linear map; those of 4 bits have a scale for every 64."""


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
        What a pass keeps until its gradient is known; 0 where that cannot be told from shapes.
    pass_tokens : int
        Tokens of that pass.
    """

    weights: int
    trained: int
    optimiser: int
    activations: int
    pass_tokens: int

    @property
    def fixed(self) -> int:
        """Bytes that no smaller pass saves."""
        return self.weights + self.trained + self.optimiser

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.fixed + self.activations


def plan_memory(
    model: LanguageModel,
    method: Method,
    training: TrainingConfig,
    tasks: Sequence[str],
    *,
    precision: str,
    pass_tokens: int,
    example_tokens: int,
) -> MemoryPlan:
    """Count what a training takes.

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
    precision : {"fp32", "bf16", "int8", "nf4"}
        Type of the weights; what computes in bfloat16 keeps half the bytes.
    pass_tokens : int
        Tokens of a pass.
    example_tokens : int
        Those of a long example.
    """
    weights = _weight_bytes(model.base, precision)
    with method.attach(model, tasks) as attached:
        sizes = [parameter.shape for parameter in attached.parameters]
        each = _activation_bytes(model, attached, min(example_tokens, _TRIED))
    numbers = sum(size.numel() for size in sizes)
    if training.optimizer == "adafactor":  # a row and a column for a matrix
        kept = sum(sum(size) if len(size) > 1 else size.numel() for size in sizes)
    else:
        kept = 2 * numbers
    narrow = 1.0 if precision == "fp32" else 0.5
    activations = round(each * narrow * (1 + training_virtual(method, example_tokens)) * pass_tokens)
    return MemoryPlan(weights, 8 * numbers, 4 * kept, activations, pass_tokens)


def training_virtual(method: Method, example_tokens: int) -> float:
    """Return the tokens of a soft prompt for each of an example's."""
    return method.virtual_tokens / max(example_tokens, 1)


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


def _activation_bytes(model: LanguageModel, attached: Attached, length: int) -> float:
    """Return the bytes that autograd keeps for a token of a pass, in float32; 0 where shapes do not tell."""
    import torch
    from torch.autograd.graph import saved_tensors_hooks

    from cotune.models import Encoded

    targets = max(length // _TARGETS, 1)
    example = Encoded((0,) * max(length - targets, 1), (0,) * targets)
    if attached.prompts is not None:
        example = example.under(attached.prompt_ids(next(iter(attached.prompts.parameters))))
    batch = model.batch([example, example])
    inputs = {key: value for key, value in batch.inputs.items() if key.endswith("input_ids")}
    if not model.seq2seq:
        # Any other mask is looked into for its values, which shapes have not.
        rows, columns = inputs["input_ids"].shape
        inputs["attention_mask"] = torch.zeros(rows, 1, columns, columns, device=model.device)
    batch = replace(batch, inputs=inputs)
    own = {id(parameter) for parameter in (*model.base.parameters(), *attached.parameters)}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if id(tensor) not in own and storage._cdata not in weights:
            kept[storage._cdata] = tensor
        return tensor

    weights = {p.untyped_storage()._cdata for p in (*model.base.parameters(), *attached.parameters)}
    attached.module.train()
    try:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model.target_losses(attached.module, batch).sum()
    except (RuntimeError, NotImplementedError, TypeError):  # an architecture that asks its numbers
        return 0.0
    finally:
        attached.module.eval()
    found = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del loss
    return found / (2 * length)
