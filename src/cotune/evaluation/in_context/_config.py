from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from cotune._config import Config


def _distinct(shots: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(shots)) < len(shots):
        raise ValueError(f"every number of shots must be named once, got {list(shots)}.")
    return shots


class InContextConfig(Config):
    """How tasks are put to a model in context, and how its answers are taken."""

    shots: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1), AfterValidator(_distinct)] = (1, 4)
    """Numbers of demonstrations; every task is evaluated with each of them."""
    draws: PositiveInt = 3
    """How often the demonstrations are drawn anew; prompts without any have one draw."""
    demonstrations: Literal["shared", "fresh"] = "shared"
    """Whether all examples of a task are shown the same demonstrations (encoded once) or each its own."""
    split: Literal["validation", "test"] = "test"
    """The examples evaluated; demonstrations come from the training split."""
    max_examples: PositiveInt | None = None
    """The most examples of a task that are evaluated, the first ones; all by default."""
    classification: Literal["generation", "likelihood"] = "generation"
    """How one of a closed set of answers is chosen: by what the output begins with, or as the likeliest."""
    label_score: Literal["sum", "mean"] = "sum"
    """What makes an answer the likeliest: the log-likelihood of all its tokens, or the mean per token."""
    num_beams: PositiveInt = 1
    """Width of the beam search; 1 is greedy. The paper's is 4."""
    max_prompt_tokens: PositiveInt | None = None
    """A longer prompt has its example's input cut at the end; by default the study's limit for prompts."""
    max_new_tokens: PositiveInt | None = None
    """The most tokens generated; by default what the task's longest training target takes, and a quarter."""
    batch_tokens: PositiveInt | None = None
    """About how many tokens one forward pass holds; by default what suits the device."""
