"""An example as models answered it, kept to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cotune._repr import Brief

LETTERS = 300
"""Of a longer text the beginning is kept."""


@dataclass(frozen=True, slots=True)
class SampleAnswer(Brief):
    """A test example, and what a model answered before and after it was tuned.

    Parameters
    ----------
    input : str
        The example's input.
    gold : str
        Its right answer, the best where there are several.
    before, after : str
        What was taken as the model's answer.
    """

    input: str
    gold: str
    before: str
    after: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, the beginnings of long texts."""
        texts = {"input": self.input, "gold": self.gold, "before": self.before, "after": self.after}
        return {name: text if len(text) <= LETTERS else f"{text[:LETTERS]} …" for name, text in texts.items()}
