"""The full and the format gradient of a model, and the angle between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cotune.evaluation.format_specialisation._groups import module_groups
from cotune.evaluation.format_specialisation._types import LabelledPrompt, ModuleAlignment
from cotune.exceptions import InputError
from cotune.models import Encoded, LanguageModel


def gradient_alignment(
    model: LanguageModel,
    module: nn.Module,
    examples: Sequence[LabelledPrompt],
    *,
    seed: int,
    draws: int = 8,
    randomise: Literal["shuffle", "uniform"] = "shuffle",
    layers: Literal["last", "all"] = "last",
    parameters: Literal["weights", "trained"] = "weights",
    batch_tokens: int = 1024,
) -> tuple[ModuleAlignment, ...]:
    """Compare the gradient of a classification task with that of its format alone, by groups of modules.

    The full gradient g is that of the mean loss on the true labels. The format gradient g_format is that on
    randomised labels of the same inputs, which keep the format and lose the content (section 3.3 of the
    ProMoT paper; its Fig. 3 and 8 show the cosine for the last decoder layer). While a model learns the
    format both point the same way; once it has, what is left of g is the content and the cosine falls.

    The loss is linear in the labels, so all draws cost one forward pass of each prompt under each label, and
    their mean has less noise than the paper's single one. Dropout is off, and the model is left as it was.

    Parameters
    ----------
    model : LanguageModel
        Encodes batches for the module.
    module : Module
        The model at a checkpoint: the base, or the base under whatever a method attached. Soft prompts are
        part of the examples' prompts.
    examples : sequence of LabelledPrompt
        At least two, of one task.
    seed : int
        Of the random labels.
    draws : int
        How often labels are randomised.
    randomise : {"shuffle", "uniform"}
        Permute the true labels among the examples, as the paper does, which keeps how frequent each is; or
        draw every label from the example's label set, all equally likely, as label sets of unequal size need
        it.
    layers, parameters
        See :func:`module_groups`.
    batch_tokens : int
        About how many tokens one forward pass may hold; bounds the memory.

    Returns
    -------
    tuple of ModuleAlignment
        One for each module group that the architecture has.

    Raises
    ------
    InputError
        If there are fewer than two examples, an answer is not among its options, label sets differ in size
        under "shuffle", or the model has none of the modules.
    """
    weights = _label_weights(examples, np.random.default_rng(seed), draws, randomise)
    groups = module_groups(module, layers=layers, parameters=parameters)
    flat = [parameter for group in groups.values() for parameter in group]
    prompts = [option for example in examples for option in example.options]
    used = [at for at in range(len(prompts)) if weights[:, at].any()]
    with _only_these(module, flat), torch.enable_grad():
        full, format = _gradients(
            model, module, [prompts[at] for at in used], weights[:, used], flat, batch_tokens
        )
    result, start = [], 0
    for group, members in groups.items():
        here = slice(start, start + len(members))
        result.append(_alignment(group, full[here], format[here]))
        start = here.stop
    return tuple(result)


def _label_weights(
    examples: Sequence[LabelledPrompt], rng: np.random.Generator, draws: int, randomise: str
) -> NDArray[np.float64]:
    """Weigh every option of every example in the full loss (row 0) and in the format loss (row 1)."""
    sizes = np.array([len(example.options) for example in examples])
    answers = np.array([example.answer for example in examples])
    if len(examples) < 2 or draws < 1:
        raise InputError(
            "Gradient alignment needs at least two examples and one draw of random labels, got "
            f"{len(examples)} and {draws}."
        )
    if ((answers < 0) | (answers >= sizes)).any():
        odd = int(np.flatnonzero((answers < 0) | (answers >= sizes))[0])
        raise InputError(
            f"Example {odd} of a gradient alignment has {sizes[odd]} options and answer {answers[odd]}, "
            "which is none of them."
        )
    if randomise == "shuffle" and len(set(sizes.tolist())) > 1:
        raise InputError(
            f"Labels can be shuffled among examples with equally many options only, got {sizes.min()} to "
            f"{sizes.max()}; use randomise='uniform'."
        )
    starts = np.cumsum(sizes) - sizes
    weights = np.zeros((2, int(sizes.sum())))
    weights[0, starts + answers] = 1 / len(examples)
    for _ in range(draws):
        drawn = rng.permutation(answers) if randomise == "shuffle" else rng.integers(sizes)
        weights[1, starts + drawn] += 1 / (len(examples) * draws)
    return weights


def _gradients(
    model: LanguageModel,
    module: nn.Module,
    prompts: Sequence[Encoded],
    weights: NDArray[np.float64],
    parameters: Sequence[nn.Parameter],
    batch_tokens: int,
) -> tuple[list[torch.Tensor], ...]:
    """Gradient of the weighted mean loss per target token, for each row of weights, in float32."""
    sums = tuple([torch.zeros_like(p, dtype=torch.float32) for p in parameters] for _ in weights)
    for indices in model.chunks(prompts, batch_tokens):
        batch = model.batch([prompts[at] for at in indices])
        losses = model.target_losses(module, batch)
        length = torch.bincount(batch.example, minlength=batch.n_examples)
        for row, total in enumerate(sums):
            weight = torch.tensor(weights[row, indices], dtype=losses.dtype, device=losses.device) / length
            gradients = torch.autograd.grad(
                (losses * weight[batch.example]).sum(),
                parameters,
                retain_graph=row < len(sums) - 1,
                allow_unused=True,
            )
            for to, gradient in zip(total, gradients, strict=True):
                if gradient is not None:
                    to += gradient
    return sums


@contextmanager
def _only_these(module: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Let only these require a gradient, in evaluation mode; afterwards all is as before."""
    required = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    training = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        # No graph is built below the lowest of them, which is most of the model.
        module.requires_grad_(False)
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter, was in required:
            parameter.requires_grad_(was)
        for part, mode in training:
            part.training = mode


def _alignment(group: str, full: Sequence[torch.Tensor], format: Sequence[torch.Tensor]) -> ModuleAlignment:
    dot = sum(float((one.double() * other.double()).sum()) for one, other in zip(full, format, strict=True))
    full_norm, format_norm = _norm(full), _norm(format)
    scale = full_norm * format_norm
    return ModuleAlignment(
        group=group,
        cosine=max(-1.0, min(1.0, dot / scale)) if scale else math.nan,
        full_norm=full_norm,
        format_norm=format_norm,
    )


def _norm(gradient: Sequence[torch.Tensor]) -> float:
    return math.sqrt(sum(float(part.double().square().sum()) for part in gradient))
