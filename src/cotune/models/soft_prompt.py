"""Soft prompts: trainable vectors that a model reads like tokens (Lester et al. 2021).

The vectors have token ids of their own, beyond the model's vocabulary. An example under a soft prompt is an
example with those ids before it (:meth:`Encoded.under`); batching, packing, caching and generation treat them
as they treat all tokens, prompts of several tasks mix in one batch, and an example without them meets exactly
the model without them. An encoder-decoder model reads them in its encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from cotune.exceptions import InputError

if TYPE_CHECKING:
    from cotune.models._language_model import LanguageModel

PromptInit = Literal["vocabulary", "uniform"]

_FREQUENT = 5000
"""Vocabularies are sorted by frequency, more or less: these ids are the most frequent tokens, from which the
public code of prompt tuning samples."""


class SoftPrompts:
    """Named soft prompts of a model.

    Parameters
    ----------
    model : LanguageModel
        The model they are for.
    vectors : mapping of str to Tensor of shape (length, width)
        The prompts by name, all of one length.
    """

    def __init__(self, model: LanguageModel, vectors: Mapping[str, torch.Tensor]) -> None:
        self._model = model
        self._first_id = model.vocabulary_size
        self.parameters = {
            name: nn.Parameter(value.detach().to(model.device, torch.float32, copy=True))
            for name, value in vectors.items()
        }
        """The vectors by name, in float32 whatever the model's type, so that small steps are not lost."""
        self.length = len(next(iter(self.parameters.values())))
        """Virtual tokens of each prompt."""

    @classmethod
    def draw(
        cls, model: LanguageModel, names: Sequence[str], length: int, init: PromptInit = "vocabulary"
    ) -> SoftPrompts:
        """Draw fresh prompts from torch's global generator, which the caller seeds.

        Parameters
        ----------
        model : LanguageModel
            The model they are for.
        names : sequence of str
            A prompt each.
        length : int
            Virtual tokens of each prompt.
        init : {"vocabulary", "uniform"}
            The embeddings of tokens sampled from the 5000 lowest ids, special tokens left out and none twice
            while there are enough, or uniform numbers in (-0.5, 0.5).

        Raises
        ------
        InputError
            If the model has no more positions than the prompt takes.
        """
        check_length(model, length, "prompt_length")
        draw = {"vocabulary": _from_vocabulary, "uniform": _uniform}[init]
        return cls(model, {name: draw(model, length) for name in names})

    def ids(self, name: str) -> tuple[int, ...]:
        """Return the token ids of a prompt."""
        first = self._first_id + list(self.parameters).index(name) * self.length
        return tuple(range(first, first + self.length))

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Let the model read the prompts' ids; outside, it knows none but its own."""
        embedding = embedding_of(self._model)
        unknown: list[torch.Tensor] = []

        def hide(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            ids, *rest = args
            unknown.append(ids - self._first_id)
            return (ids.masked_fill(ids >= self._first_id, 0), *rest)

        def insert(_: nn.Module, __: tuple[Any, ...], vectors: torch.Tensor) -> torch.Tensor:
            index = unknown.pop()
            virtual = index >= 0
            # Elsewhere asking would cost more than it saves: the host would wait for the device.
            if virtual.device.type == "cpu" and not virtual.any():
                return vectors
            table = torch.cat(list(self.parameters.values())).to(vectors.dtype)
            return torch.where(virtual[..., None], table[index.clamp(min=0)], vectors)

        hooks = [embedding.register_forward_pre_hook(hide), embedding.register_forward_hook(insert)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def save(self, name: str, folder: Path, *, base: str | None = None) -> None:
        """Write one prompt into an existing folder as a PEFT prompt-tuning adapter.

        Parameters
        ----------
        name : str
            The prompt.
        folder : Path
            Gets ``adapter_config.json`` and ``adapter_model.safetensors``.
        base : str, optional
            What the adapter calls the model it is for; by default what the model was loaded from.
        """
        from peft import PromptTuningConfig, TaskType
        from safetensors.torch import save_file

        PromptTuningConfig(
            task_type=TaskType.SEQ_2_SEQ_LM if self._model.seq2seq else TaskType.CAUSAL_LM,
            base_model_name_or_path=base or self._model.base.config.name_or_path,
            num_virtual_tokens=self.length,
            token_dim=self.parameters[name].shape[1],
            num_transformer_submodules=1,
            inference_mode=True,
        ).save_pretrained(str(folder))
        vectors = self.parameters[name].detach().cpu().contiguous()
        save_file({"prompt_embeddings": vectors}, str(folder / "adapter_model.safetensors"))


def check_length(model: LanguageModel, length: int, option: str) -> None:
    """Check that virtual tokens leave room for others.

    Raises
    ------
    InputError
        If the model has no more positions than they take; names the option that gave their number.
    """
    if model.context is not None and length >= model.context:
        raise InputError(
            f"A {option} of {length} tokens leaves no room for an input in the model's context of "
            f"{model.context} tokens; make it smaller."
        )


def embedding_of(model: LanguageModel) -> nn.Module:
    """Return the module that turns the ids of prompts into vectors."""
    reader = model.base.get_encoder() if model.seq2seq else model.base
    embedding: nn.Module = reader.get_input_embeddings()
    return embedding


def embedding_scale(model: LanguageModel) -> float:
    """Return the root mean square of the embeddings that fresh prompts are drawn from."""
    with torch.no_grad():
        table = embedding_of(model).weight
        assert isinstance(table, torch.Tensor)
        drawn = table[: min(_FREQUENT, len(model.tokenizer), model.vocabulary_size)]
        return float(drawn.float().pow(2).mean().sqrt())


def _from_vocabulary(model: LanguageModel, length: int) -> torch.Tensor:
    special = set(model.tokenizer.all_special_ids)
    n_frequent = min(_FREQUENT, len(model.tokenizer), model.vocabulary_size)
    pool = torch.tensor([token for token in range(n_frequent) if token not in special])
    orders = [torch.randperm(len(pool)) for _ in range(-(-length // len(pool)))]
    with torch.no_grad():
        vectors: torch.Tensor = embedding_of(model)(pool[torch.cat(orders)[:length]].to(model.device))
    return vectors


def _uniform(model: LanguageModel, length: int) -> torch.Tensor:
    return torch.rand(length, model.base.get_input_embeddings().weight.shape[1]) - 0.5
