from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cotune._repr import Brief


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange(Brief):
    """How far a model is from what the last stage of its method began with.

    Of ProMoT that is the pretrained model with the trained prompt before the target's inputs, of a method of
    one stage the pretrained model. Where tasks are tuned in sequence, the weights and what other tasks are
    answered are still compared with the pretrained model's: all of the sequence counts there.

    Parameters
    ----------
    moved : bool
        Whether any number that the last stage trains is another than before its first step, and any weight,
        prediction or answer with it. Where none is, nothing was tuned, and no score says anything of the
        method.
    weights : float or None
        Norm of the weights' change over their norm, ``|W' - W| / |W|``, over the weights that are adapted; a
        LoRA counts as merged. 0 where a method leaves the weights alone, None where it cannot tell.
    kl_target, kl_other : float or None
        Kullback-Leibler divergence of the next-token distribution, from before to after in nats, over the
        first tokens of right answers: on prompts of the targets, under the soft prompt if there is one, and
        on prompts of the other tasks, without. None without other tasks.
    answers_target, answers_other : float or None
        Share of the answers that are others than before; None where tasks are scored by likelihoods alone.
    """

    moved: bool
    weights: float | None = None
    kl_target: float | None = None
    kl_other: float | None = None
    answers_target: float | None = None
    answers_other: float | None = None

    @classmethod
    def none(cls) -> StageChange:
        """Return that of a model before the first step."""
        return cls(
            moved=False, weights=0.0, kl_target=0.0, kl_other=0.0, answers_target=0.0, answers_other=0.0
        )

    @classmethod
    def read(cls, data: Mapping[str, Any] | None) -> StageChange | None:
        """Read plain JSON types; None where nothing was measured, as in what was stored earlier."""
        return None if data is None else cls(**data)


def in_words(change: StageChange) -> str:
    """Say how large a change is, such as ``"the weights by 1.2 %, ... and 3 % of the answers to others"``."""
    parts = []
    if change.weights is not None:
        parts.append(f"the weights by {_percent(change.weights)}")
    of_targets = _on("the target", change.kl_target, change.answers_target)
    of_others = _on("other tasks", change.kl_other, change.answers_other)
    return "; ".join([*parts, *of_targets, *of_others])


def _on(whom: str, kl: float | None, answers: float | None) -> list[str]:
    if kl is None:
        return []
    said = "" if answers is None else f", {_percent(answers)} of the answers"
    return [f"on {whom} a divergence of {kl:.3g} nats{said}"]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
