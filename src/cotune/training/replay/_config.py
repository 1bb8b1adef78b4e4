from __future__ import annotations

from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cotune._config import Config
from cotune.training.replay.sources import TEXT_SOURCES, TextSource

_OF_TEXT = ("seq_len", "pack", "noise_density", "mean_span")
_OF_TASKS = ("tasks", "shots")

Patterns = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(
        lambda value: [value] if isinstance(value, str) else value,
        json_schema_input_type=str | tuple[str, ...],
    ),
]
"""Names or patterns of tasks."""


class ReplayConfig(Config):
    """Plain text, or examples of other tasks, beside the instructions of a step.

    Of text that is next-token prediction, or span corruption for T5's kin. It comes on top: with and without
    it a step sees the same instruction examples.
    """

    text: Annotated[TextSource, TEXT_SOURCES] | None = None
    """Where the text is from: {source: files, path: corpus.txt}, {source: huggingface, path: ...}."""
    tasks: Patterns | None = None
    """In place of text, names or patterns of the tasks that are only asked in context: examples of their
    training splits, never those they are scored on."""
    shots: NonNegativeInt = 4
    """Solved examples before each of those, freshly drawn from the training split."""
    ratio: PositiveFloat = 0.25
    """Windows of text (or examples of other tasks) for each instruction example, on top of them; 0.25 with
    batches of 8 is 2 a step. It holds over every beginning of a run: after s steps, floor(s * batch_size *
    ratio)."""
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

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.text is None) == (self.tasks is None):
            raise ValueError(
                "needs either text ({source: files, path: ...}) or tasks (names or patterns of those asked "
                f"in context), got {'neither' if self.text is None else 'both'}."
            )
        idle = _OF_TEXT if self.text is None else _OF_TASKS
        written = next((name for name in idle if name in self.model_fields_set and name != "tasks"), None)
        if written is not None:
            kind = "text" if self.text is None else "examples of tasks"
            raise ValueError(f"{written} is of {kind}, and there is none; leave it out.")
        return self

    @model_serializer(mode="wrap")
    def _without_the_other(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The hashes of runs are older than examples of tasks are.
        idle = (*_OF_TEXT, "text") if self.text is None else _OF_TASKS
        plain: dict[str, Any] = serialize(self)
        return {name: value for name, value in plain.items() if name not in idle}

    def fits(self, task: str) -> bool:
        """Tell whether examples of a task of this name are replayed."""
        return any(fnmatchcase(task, pattern) for pattern in self.tasks or ())

    def windows_until(self, step: int, batch_size: int) -> int:
        """Return how many windows the first ``step`` steps of a run see."""
        # The decimal that was written, not the binary number next to it.
        return int(step * batch_size * Fraction(str(self.ratio)))

    def fingerprint(self, base: Path) -> str | None:
        """Hash the text; None of examples of tasks, whose own fingerprints tell them apart.

        Parameters
        ----------
        base : Path
            Folder that relative paths of the text start from.
        """
        return None if self.text is None else self.text.fingerprint(base)
