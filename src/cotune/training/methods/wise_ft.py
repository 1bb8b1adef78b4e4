"""Interpolation of tuned weights with those of the base (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from cotune.training.config import TrainingConfig
from cotune.training.methods._method import Method, Stage
from cotune.training.methods._peft_options import shares_passes
from cotune.training.methods._weights import WeightsMethod


class WiseFt(WeightsMethod):
    """Weights are tuned, then set between the base's and the tuned ones: base + alpha (tuned - base).

    The second stage trains nothing. Its steps are the alphas, from small to large, and its checkpoints are
    chosen as any other's, by the targets' validation scores alone: the best, the smallest alpha of those
    alike, and the smallest alpha that reaches the target score at which methods are compared. How much is
    kept of other tasks chooses nothing. Mixed with are the weights of the best checkpoint of the first stage.
    """

    chosen_by_validation: ClassVar[bool] = True

    alphas: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (
        0.2,
        0.4,
        0.6,
        0.8,
        1.0,
    )
    """How far from the base (0) towards the tuned weights (1), in increasing order."""

    @field_validator("alphas")
    @classmethod
    def _increase(cls, alphas: tuple[float, ...]) -> tuple[float, ...]:
        if any(after <= before for before, after in pairwise(alphas)):
            raise ValueError(f"must increase, got {', '.join(f'{alpha:g}' for alpha in alphas)}.")
        return alphas

    @field_validator("weights")
    @classmethod
    def _is_linear(cls, weights: Method) -> Method:
        options = weights.model_extra or {}
        if not shares_passes(options):
            raise ValueError(
                f"a LoRA with {', '.join(options)} is no multiple of an update, so it cannot be mixed with "
                "the base; leave that out or use {name: full}."
            )
        return weights

    def stages(self, steps: int, training: TrainingConfig, tasks: Sequence[str] = ()) -> tuple[Stage, ...]:
        """Return the stage that tunes, and the one that mixes."""
        mixing = Stage("mix", len(self.alphas), training, self.trains, checkpoint_every=1, mixes=self.alphas)
        return (*super().stages(steps, training, tasks), mixing)
