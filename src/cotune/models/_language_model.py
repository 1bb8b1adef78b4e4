from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cotune._places import original
from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.models._frozen import FrozenModel
from cotune.models.encoding import Encoded, Encoder, load_encoder
from cotune.models.exactness import (
    Generating,
    packing_is_exact,
    right_padding_is_exact,
    rows_are_exact,
    trimming_is_exact,
    try_generating,
)
from cotune.models.generation import RowDecoder, generate_batches, greedy_config
from cotune.models.likelihood import batch_losses, row_losses
from cotune.models.loading import hub_options, loading
from cotune.models.memory import in_parts
from cotune.models.precision import Precision, default_device, layer_shape, resolve_precision, spreads
from cotune.models.quantized import (
    check_quantized,
    computing_in,
    is_quantized,
    loading_options,
    prepared,
)
from cotune.models.sampling import Sampler, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LanguageModel(Brief, FrozenModel):
    """A pretrained causal or encoder-decoder model with its tokenizer, frozen; adapters come and go on it.

    Parameters
    ----------
    base : PreTrainedModel
        The model; its parameters are frozen and it is put into evaluation mode.
    encoder : Encoder
        Its tokenizer with the limits of prompts and targets.
    pack : bool, optional
        Whether examples with a common prefix share a row. By default it is tried once on a small batch, and
        done if the model then gives every example the losses it gives it alone.
    computes_in : dtype, optional
        The type of its activations; by default that of its weights.

    Raises
    ------
    InputError
        If the model has no embedding of the token that ends answers, or its decoder begins with nothing.

    Notes
    -----
    Models differ in what else of a batch reaches an example. Whether padding does (recurrent models that pass
    the mask by) is tried too; examples are then batched with others of their length, without padding.
    """

    def __init__(
        self,
        base: PreTrainedModel,
        encoder: Encoder,
        *,
        pack: bool | None = None,
        computes_in: torch.dtype | None = None,
    ) -> None:
        super().__init__(base, encoder, computes_in)
        self._shipped = (self.base.config.use_cache, self.base.generation_config)
        self.base.config.use_cache = False
        self.base.generation_config = greedy_config(self)
        self.trims = self.device.type != "meta" and trimming_is_exact(self)
        self.pack = not self.seq2seq and (packing_is_exact(self) if pack is None else pack)
        # A skeleton has nothing to try. Tried now, since later adapters and dropout may be on the base.
        self._pads_right = self.pack or self.device.type == "meta" or right_padding_is_exact(self)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield "", self.base.config.name_or_path
        yield "", self.base.config.model_type
        yield "", f"{self.base.num_parameters():,} parameters"
        yield from ((name, getattr(self, name)) for name in ("dtype", "device", "pack"))

    @classmethod
    def load(
        cls,
        model: Path | str,
        encoder: Encoder | None = None,
        *,
        revision: str | None = None,
        trusted: bool = False,
        precision: Precision = "auto",
        device: str | None = None,
        pack: bool | None = None,
    ) -> LanguageModel:
        """Load a checkpoint from a folder (then no hub is asked) or from the hub.

        Parameters
        ----------
        model : Path or str
            A folder, or a hub name.
        encoder : Encoder, optional
            By default from :func:`load_encoder`.
        revision : str, optional
            Branch, tag or commit on the hub.
        trusted : bool
            Whether code that comes with it runs; see :func:`cotune.models.loading.check_code`.
        precision : {"auto", "fp32", "bf16", "int8", "nf4"}
            Type of the frozen weights; see :func:`resolve_precision`.
        device : str, optional
            By default the accelerator if there is one.
        pack : bool, optional
            See the class.

        Raises
        ------
        InputError
            If the checkpoint cannot be loaded; the sentence gives the library's reason.
        """
        import transformers

        encoder = encoder or load_encoder(model, revision=revision, trusted=trusted)
        # A model that no single GPU holds: accelerate lays its layers on them, and moves what goes between.
        spread: dict[str, Any] = {"device_map": "auto"} if device is None and spreads() else {}
        device = device or default_device()
        shape = layer_shape(model, revision) if precision == "auto" else None
        chosen = resolve_precision(precision, device, shape=shape)
        dtype, computes_in = torch.bfloat16 if chosen == "bf16" else torch.float32, None
        if is_quantized(chosen):
            check_quantized(chosen, device)
            computes_in = computing_in(device)
            spread = {**loading_options(chosen, device), **spread}
        auto = transformers.AutoModelForSeq2SeqLM if encoder.seq2seq else transformers.AutoModelForCausalLM
        with loading(model):
            base, report = auto.from_pretrained(
                str(model),
                dtype=dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **spread,
                **hub_options(model, revision, trusted=trusted),
            )
            _check_complete(report)
        # Adapters write down what they are for.
        base.name_or_path = base.config.name_or_path = original(model)
        if computes_in is not None:
            return cls(prepared(base), encoder, pack=pack, computes_in=computes_in)
        return cls(base if spread else base.to(device), encoder, pack=pack)

    @classmethod
    def skeleton(
        cls,
        model: Path | str,
        encoder: Encoder,
        *,
        revision: str | None = None,
        trusted: bool = False,
    ) -> LanguageModel:
        """Make a checkpoint's model with shapes and no numbers: parameters can be counted, nothing computed.

        Parameters
        ----------
        model : Path or str
            A folder, or a hub name.
        encoder : Encoder
            From :func:`load_encoder`.
        revision : str, optional
            Branch, tag or commit on the hub.
        trusted : bool
            Whether code that comes with it runs; see :func:`cotune.models.loading.check_code`.

        Raises
        ------
        InputError
            If the checkpoint's configuration cannot be read.
        """
        import transformers

        auto = transformers.AutoModelForSeq2SeqLM if encoder.seq2seq else transformers.AutoModelForCausalLM
        with loading(model), torch.device("meta"):
            options = hub_options(model, revision, trusted=trusted)
            config = transformers.AutoConfig.from_pretrained(str(model), **options)
            base = auto.from_config(config, **{k: v for k, v in options.items() if "code" in k})
            with suppress(OSError):
                # Not every checkpoint has one; what a decoder begins with may stand there.
                found = transformers.GenerationConfig.from_pretrained(
                    str(model), **hub_options(model, revision)
                )
                base.generation_config = found
        return cls(base, encoder, pack=False)

    @property
    def context(self) -> int | None:
        """Most tokens the model has positions for; None where there is no limit."""
        limit = getattr(self.base.config.get_text_config(), "max_position_embeddings", None)
        return None if limit is None else int(limit)

    @contextmanager
    def one_example_a_row(self) -> Iterator[None]:
        """Pack nothing, for adapters that need plain rows."""
        before, self.pack = self.pack, False
        try:
            yield
        finally:
            self.pack = before

    def save_pretrained(self, folder: Path, state: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write base and tokenizer as a checkpoint that transformers loads alone, its settings as shipped.

        Parameters
        ----------
        folder : Path
            Where to.
        state : mapping of str to Tensor, optional
            The base's tensors by name, where an adapter on it has given them others.
        """
        ours = (self.base.config.use_cache, self.base.generation_config)
        self.base.config.use_cache, self.base.generation_config = self._shipped
        try:
            self.base.save_pretrained(str(folder), state_dict=None if state is None else dict(state))
            self.tokenizer.save_pretrained(str(folder))
        finally:
            self.base.config.use_cache, self.base.generation_config = ours

    def nll(
        self, module: nn.Module, examples: Sequence[Encoded], *, batch_tokens: int | None = None
    ) -> NDArray[np.float64]:
        """Mean negative log-likelihood per target token of each example.

        Parameters
        ----------
        module : Module
            The base model, or the base model under an adapter.
        examples : sequence of Encoded
            All with a target.
        batch_tokens : int, optional
            About how many tokens one forward pass may hold; by default what suits the device.

        Returns
        -------
        ndarray of shape (len(examples),)
            Nats.
        """
        if not examples:
            return np.empty(0)
        losses, tokens = batch_losses, batch_tokens or self.batch_tokens
        if self.reads_rows:
            losses, tokens = row_losses, batch_tokens or self.row_tokens
        with torch.inference_mode(), self.autocast():
            return in_parts(
                self,
                examples,
                tokens,
                lambda held: losses(self, module, examples, batch_tokens=held),
                what="scoring",
            )

    def generate(
        self,
        module: nn.Module,
        prompts: Sequence[Encoded],
        *,
        max_new_tokens: int | None = None,
        batch_tokens: int | None = None,
        num_beams: int = 1,
        stops: Sequence[str] = (),
        sampling: Sampling | None = None,
    ) -> list[str]:
        """Complete prompts, greedily, by beam search or by draws.

        Parameters
        ----------
        module : Module
            The base model, or the base model under an adapter.
        prompts : sequence of Encoded
            Their targets are not looked at.
        max_new_tokens : int, optional
            By default the encoder's ``max_target_tokens``.
        batch_tokens : int, optional
            About how many prompt tokens one batch may hold; by default what suits the device.
        num_beams : int
            Width of the beam search; 1 is greedy.
        stops : sequence of str
            Strings after which nothing of the answer follows: what a greedy completion writes up to the first
            of them is certain to be there, what follows is not.
        sampling : Sampling, optional
            Draws tokens in place of taking the likeliest; without beams. A prompt's completion depends on the
            seed and its place among the prompts, not on the batches.

        Returns
        -------
        list of str
            What was generated up to the end-of-sequence token, special tokens and outer blanks removed.

        Raises
        ------
        InputError
            If sampling is asked for together with beams.
        """
        written = self._written(
            module, prompts, max_new_tokens, batch_tokens, num_beams=num_beams, stops=stops, sampling=sampling
        )
        return [self.encoder.decode(tokens) for tokens in written]

    def write(
        self, module: nn.Module, prompts: Sequence[Encoded], *, max_new_tokens: int | None = None
    ) -> list[list[int]]:
        """Complete prompts greedily; return the tokens of each, with the one that ends it if it was written.

        Parameters
        ----------
        module, prompts, max_new_tokens
            As in :meth:`generate`.
        """
        ends = set(self.base.generation_config.eos_token_id)
        found = self._written(module, prompts, max_new_tokens)
        last = (next((at for at, one in enumerate(tokens) if one in ends), len(tokens)) for tokens in found)
        return [tokens[: at + 1] for tokens, at in zip(found, last, strict=True)]

    def _written(
        self,
        module: nn.Module,
        prompts: Sequence[Encoded],
        max_new_tokens: int | None,
        batch_tokens: int | None = None,
        *,
        num_beams: int = 1,
        stops: Sequence[str] = (),
        sampling: Sampling | None = None,
    ) -> list[list[int]]:
        limit = max_new_tokens or self.encoder.max_target_tokens
        room = batch_tokens or self.batch_tokens
        if sampling is not None and num_beams > 1:
            raise InputError(f"Sampling goes without beams; num_beams must be 1, got {num_beams}.")
        if not prompts:
            return []
        share = self.reads_rows

        def write(held: int) -> list[list[int]]:
            # Draws depend on the seed alone, also in a second attempt.
            sampler = None if sampling is None else Sampler(sampling)
            if share and num_beams == 1:
                decoder = RowDecoder(
                    self, module, max_new_tokens=limit, stops=stops, batch_tokens=held, sampler=sampler
                )
                return decoder.generate(prompts)
            return generate_batches(
                self,
                module,
                prompts,
                max_new_tokens=limit,
                num_beams=num_beams,
                stops=stops,
                batch_tokens=held,
                share=share,
                sampler=sampler,
            )

        with torch.inference_mode(), self.autocast():
            return in_parts(self, prompts, room, write, what="answering")

    def caches(self, num_beams: int) -> bool:
        """Whether generation goes on from what the model has computed, in place of reading all again."""
        return self._beams.cached if num_beams > 1 else self._greedy.cached

    def pads(self, *, left: bool) -> bool:
        """Whether the model gives what it gives each example alone where padding stands on a side."""
        return self._greedy.pads_left if left and not self.seq2seq else self._pads_right

    @cached_property
    def _greedy(self) -> Generating:
        return try_generating(self, num_beams=1)

    @cached_property
    def _beams(self) -> Generating:
        return try_generating(self, num_beams=2)

    @property
    def reads_rows(self) -> bool:
        """Whether what examples share is read once, into keys and values that they share."""
        return self.pack and self._rows_are_exact

    @cached_property
    def _rows_are_exact(self) -> bool:
        return rows_are_exact(self)


def _check_complete(report: Mapping[str, Any]) -> None:
    """Refuse weights that the library would silently fill in with random numbers."""
    absent = sorted(report["missing_keys"])
    misfits = sorted(name for name, *_ in report["mismatched_keys"])
    if absent or misfits:
        raise ValueError(
            f"{len(absent)} of the weights that its config.json asks for are missing and {len(misfits)} have "
            f"another shape, the first of them {(absent + misfits)[0]}"
        )
