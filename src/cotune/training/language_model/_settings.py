from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from cotune.answering import ChoiceConfig
from cotune.models.config import ModelConfig
from cotune.training.config import TrainingConfig
from cotune.training.language_model._warm_start import WarmStart
from cotune.training.methods import METHODS, Lora, Method
from cotune.training.options import (
    idle_in_stages,
    idle_learning_rate,
    idle_without_checkpoints,
    of_targets,
    refuse,
)
from cotune.training.stages import trains_side_by_side


class LanguageModelSettings(ModelConfig, ChoiceConfig):
    """What the runs of a language model are determined by."""

    method: Annotated[Method, METHODS] = Lora()
    """What is trained: {name: lora, r: 8, ...}."""
    training: TrainingConfig = TrainingConfig()
    """The recipe."""
    warm_start: WarmStart | None = None
    """{steps: N, ...} or {share: 0.5, ...}: runs start from what N steps on all tasks give, trained once and
    stored with the study; null for fresh parameters."""
    side_by_side: PositiveInt | None = None
    """LoRAs trained in one pass over the base, with the results of separate runs up to rounding; by default
    as many as fill ``pass_tokens`` by their steps: on a CPU where these are at least 4, on an accelerator
    where a worker's own trial of a few steps finds that faster, else 1. Other methods than
    LoRA, dropout, options of PEFT that train more than its two matrices (``use_dora``, ``modules_to_save``),
    Adafactor, weights of tasks, balancing and replay train one at a time."""
    scoring_tokens: PositiveInt | None = None
    """About how many tokens one forward pass holds while scoring; by default what suits the device."""

    adapt_from: PositiveInt | Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """The lowest layer that the adapter is on, counted from 0, or the share of layers that are below it at
    least (0.75: the adapter is on the upper quarter, of 30 layers on 7); null for all layers. What the layers
    below make of an example is then the same in all runs: it is computed once and read from a file that all
    workers read. Layers of an encoder-decoder model count from the encoder's first to the decoder's last; the
    whole encoder has to be below. Generation by a decoder without an encoder reads all layers."""
    cache_bytes: NonNegativeInt = 4 * 2**30
    """Most bytes of that file. Where it has no room for all examples, those of training stay out before those
    of validation, and are computed anew in every run."""

    @model_validator(mode="after")
    def _options_act(self) -> LanguageModelSettings:
        refuse(idle_in_stages(self.training, [self.method]))
        refuse(of_targets(self.method, self.training, "a run of a learner"))
        refuse(idle_without_checkpoints(self.method, "a run of a learner"))
        if self.warm_start is not None:
            rate = self.warm_start.learning_rate
            refuse(idle_learning_rate(self.method, rate, "warm_start.learning_rate"))
        refuse(iter(idle_below(self)))
        if self.side_by_side not in (None, 1) and not trains_side_by_side(self.method, self.training):
            raise ValueError(
                "side_by_side must be 1 or left out: runs share passes only under lora without dropout and "
                "options that train more than its two matrices (such as use_dora and modules_to_save), "
                f"trained by adamw without task_weights, balancing and replay, got {self.side_by_side}."
            )
        return self


_OF_LAYERS = ("layers_to_transform", "exclude_modules", "modules_to_save")


def idle_below(settings: LanguageModelSettings) -> list[str]:
    """Say what of the settings rules out that the adapter is on the upper layers alone."""
    if settings.adapt_from is None:
        given = settings.cache_bytes != type(settings).model_fields["cache_bytes"].default
        return ["cache_bytes acts only where adapt_from says that layers are below the adapter."] * given
    method, sentences = settings.method, []
    if not method.above_alone:
        sentences.append(
            f"adapt_from must be null for the method {type(method).__name__.lower()}, which cannot be put on "
            "the upper layers alone; lora can."
        )
    named = [name for name in _OF_LAYERS if name in (method.model_extra or {})]
    if named:
        sentences.append(f"adapt_from must be null where method.{named[0]} says where the adapter is.")
    if settings.training.dropout:
        sentences.append(
            f"adapt_from needs training.dropout 0, got {settings.training.dropout:g}: the layers below the "
            "adapter would give something else at every step."
        )
    return sentences
