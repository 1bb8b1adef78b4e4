"""Pretraining on k-shot prompts, until the model does in context what the examples before show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from cotune._config import Config
from cotune.lab.toy_language._reader import examples_of, inputs_by_split
from cotune.lab.toy_language._tasks import PRETRAINED, TOY_TASKS
from cotune.tasks import Example, format_target

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

IGNORED = -100
"""The label of a token that is read, not learned."""


class PretrainingConfig(Config):
    """The model of the toy language and how it is pretrained."""

    width: PositiveInt = 64
    """Width of the residual stream."""
    inner_width: PositiveInt = 176
    """Inner width of the gated MLP."""
    layers: PositiveInt = 3
    """Blocks."""
    heads: PositiveInt = 4
    """Attention heads of a block."""
    rope_theta: Annotated[float, Field(gt=1)] = 100.0
    """Base of the rotary positions; prompts are short."""
    initializer_range: Annotated[float, Field(gt=0)] = 0.1
    """Standard deviation of the first weights."""
    steps: PositiveInt = 2000
    """Optimiser steps."""
    examples_per_row: PositiveInt = 5
    """Examples of one task in a row, each shown the ones before it."""
    rows_per_task: PositiveInt = 4
    """Rows of each task in a step."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    """Peak learning rate of AdamW."""
    warmup_steps: PositiveInt = 100
    """Steps over which the learning rate rises, before it falls along a cosine."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled weight decay."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient."""
    seed: NonNegativeInt = 0
    """Decides the first weights and the prompts."""


def make_model(config: PretrainingConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Make the model with random weights, from the seed alone."""
    from transformers import LlamaConfig, LlamaForCausalLM

    architecture = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.width,
        intermediate_size=config.inner_width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        initializer_range=config.initializer_range,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return LlamaForCausalLM(architecture)


def pretrain(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerFast,
    config: PretrainingConfig,
) -> list[float]:
    """Train the model in place on rows of examples, on their answers only.

    A step holds equally many rows of every pretraining task. On one thread of one machine the result is
    determined by the configuration.

    Parameters
    ----------
    model : LlamaForCausalLM
        From :func:`make_model`.
    tokenizer : PreTrainedTokenizerFast
        From :func:`make_tokenizer`.
    config : PretrainingConfig
        The recipe.

    Returns
    -------
    list of float
        The mean loss an answer's token before each step, in nats.
    """
    lines = [_Lines.of(name, tokenizer) for name in PRETRAINED]
    generator = torch.Generator().manual_seed(config.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=config.weight_decay,
        fused=True,
    )
    schedule = _schedule(optimizer, config)
    losses = []
    model.train()
    for _ in range(config.steps):
        tokens, labels = _batch(lines, config, generator, int(tokenizer.pad_token_id))
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        loss = nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED
        )
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    model.eval()
    return losses


@dataclass(frozen=True)
class _Lines:
    """All training examples of one task as token ids.

    Parameters
    ----------
    tokens : Tensor of shape (n, length)
        One line an example, closed by the line's end; the lines of a task are equally long.
    n_prompt : int
        Tokens of a line before its answer.
    weights : Tensor of shape (n,)
        Shares to draw by: every label of a true/false task is equally likely.
    """

    tokens: Tensor
    n_prompt: int
    weights: Tensor

    @classmethod
    def of(cls, name: str, tokenizer: PreTrainedTokenizerFast) -> _Lines:
        examples = examples_of(TOY_TASKS[name], inputs_by_split()["train"])
        texts = [
            example.input + format_target(example.targets[0]) + tokenizer.eos_token for example in examples
        ]
        return cls(
            torch.tensor(tokenizer(texts)["input_ids"]),
            len(tokenizer(examples[0].input)["input_ids"]),
            _weights(examples),
        )

    def rows(self, n_rows: int, per_row: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw rows of ``per_row`` examples; return their tokens and the labels to learn."""
        drawn = torch.multinomial(self.weights, n_rows * per_row, replacement=True, generator=generator)
        tokens = self.tokens[drawn]
        labels = tokens.clone()
        labels[:, : self.n_prompt] = IGNORED
        return tokens.view(n_rows, -1), labels.view(n_rows, -1)


def _weights(examples: Sequence[Example]) -> Tensor:
    if not examples[0].choices:
        return torch.ones(len(examples))
    counts = Counter(example.targets for example in examples)
    return torch.tensor([1 / counts[example.targets] for example in examples])


def _batch(
    lines: Sequence[_Lines], config: PretrainingConfig, generator: torch.Generator, pad_token: int
) -> tuple[Tensor, Tensor]:
    """Put rows of every task below one another, padded on the right, where causal attention ignores it."""
    blocks = [task.rows(config.rows_per_task, config.examples_per_row, generator) for task in lines]
    width = max(tokens.shape[1] for tokens, _ in blocks)

    def stack(tensors: list[Tensor], fill: int) -> Tensor:
        return torch.cat([nn.functional.pad(t, (0, width - t.shape[1]), value=fill) for t in tensors])

    return stack([tokens for tokens, _ in blocks], pad_token), stack(
        [labels for _, labels in blocks], IGNORED
    )


def _schedule(
    optimizer: torch.optim.Optimizer, config: PretrainingConfig
) -> torch.optim.lr_scheduler.LRScheduler:
    from transformers import get_cosine_schedule_with_warmup

    schedule: torch.optim.lr_scheduler.LRScheduler = get_cosine_schedule_with_warmup(
        optimizer, config.warmup_steps, config.steps
    )
    return schedule
