from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from cotune._config import Config


class InstructionsConfig(Config):
    """How instructions are found."""

    n: PositiveInt = 20
    """Instructions kept at most."""
    seed: NonNegativeInt = 0
    """Decides the demonstrations, the draws and the examples scored on."""
    proposals: PositiveInt = 40
    """Texts drawn from the model that is shown solved examples."""
    variations: NonNegativeInt = 40
    """Texts drawn from the model that is shown one of the best instructions and asked for a variation."""
    demonstrations: PositiveInt = 5
    """Solved examples shown for one proposal."""
    examples: PositiveInt = 16
    """Training examples that instructions are scored on; none of them is ever shown."""
    score: Literal["likelihood", "accuracy"] = "likelihood"
    """Mean log-likelihood of the targets, by the token, or among the choices of an example where it has any;
    or accuracy among the choices."""
    temperature: PositiveFloat = 0.9
    """Of the draws."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of the probability that is drawn from."""
    max_new_tokens: PositiveInt = 48
    """Length at which a proposal that has not ended is dropped."""
    most_alike: Annotated[float, Field(ge=0, lt=1)] = 0.7
    """Of two instructions that have a larger share of their words in common the better is kept."""
