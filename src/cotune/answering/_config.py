from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from cotune._config import Config


def _distinct(shots: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(shots)) < len(shots):
        raise ValueError(f"every number of shots must be named once, got {list(shots)}.")
    return shots


class ChoiceConfig(Config):
    """How one of a closed set of answers is chosen; the same two keys wherever a model is scored."""

    classification: Literal["likelihood", "generation"] = "likelihood"
    """How one of a closed set of answers is chosen: as the likeliest, or by what the output begins with."""
    label_score: Literal["sum", "mean"] = "sum"
    """What makes an answer the likeliest: the log-likelihood of all its tokens, or their mean. The end of the
    sequence is one of them only where one choice begins another."""


class InContextConfig(ChoiceConfig):
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
    num_beams: PositiveInt = 1
    """Width of the beam search; 1 is greedy. The paper's is 4."""
    max_prompt_tokens: PositiveInt | None = None
    """A longer prompt has its example's input cut at the end; by default the study's limit for prompts."""
    max_new_tokens: PositiveInt | None = None
    """The most tokens generated; by default what the task's longest answer takes, and a quarter."""
    batch_tokens: PositiveInt | None = None
    """About how many tokens one forward pass holds; by default what suits the device."""

    def on_trained(self, split: str, demonstrations: int) -> InContextConfig:
        """Return how a task is put that the model was trained on.

        On all examples of a split, as in training: with as many fresh demonstrations before every input as
        the method showed.

        Parameters
        ----------
        split : {"validation", "test"}
            The examples.
        demonstrations : int
            Of the method.
        """
        changes = {
            "shots": (demonstrations,),
            "draws": 1,
            "demonstrations": "fresh",
            "split": split,
            "max_examples": None,
        }
        return self.model_copy(update=changes)
