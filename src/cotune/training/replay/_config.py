from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from pydantic import Field, PositiveFloat

from cotune._config import Config
from cotune.training.replay.sources import TEXT_SOURCES, TextSource


class ReplayConfig(Config):
    """Plain text beside the instructions of a step: next-token prediction, or span corruption for T5's kin.

    It comes on top: with and without it a step sees the same instruction examples.
    """

    text: Annotated[TextSource, TEXT_SOURCES]
    """Where the text is from: {source: files, path: corpus.txt}, {source: huggingface, path: ...}."""
    ratio: PositiveFloat = 0.25
    """Windows of text for each instruction example, on top of them; 0.25 with batches of 8 is 2 windows a
    step. It holds over every beginning of a run: after s steps, floor(s * batch_size * ratio) windows."""
    seq_len: Annotated[int, Field(ge=2)] = 128
    """Tokens of a window."""
    pack: bool = True
    """Whether documents follow one another in windows of equal length; else each is a window of its own, cut
    at ``seq_len``."""
    weight: PositiveFloat = 1.0
    """Factor of the text's loss. At 1 a window counts as much as an instruction example does: the gradient of
    a step is that of the examples' loss plus windows / batch_size times that of the text's."""
    noise_density: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the tokens that span corruption masks, for encoder-decoder models."""
    mean_span: Annotated[float, Field(ge=1)] = 3.0
    """Mean length of a masked span in tokens."""

    def windows_until(self, step: int, batch_size: int) -> int:
        """Return how many windows the first ``step`` steps of a run see."""
        # The decimal that was written, not the binary number next to it.
        return int(step * batch_size * Fraction(str(self.ratio)))
