"""Tuning of the value projections alone (Lee, Sohn and Lee 2026, arXiv 2602.23197)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import field_validator

from cotune.exceptions import InputError
from cotune.models.module_names import value_projections
from cotune.training.methods._method import Attached, Method
from cotune.training.methods._weights import WeightsMethod

if TYPE_CHECKING:
    from cotune.models import LanguageModel


class ValueOnly(WeightsMethod):
    """The value projections of every attention are tuned, and nothing else.

    In the paper's analysis of linear attention, tuning all of an attention can harm in-context learning while
    tuning the values improves zero-shot performance and preserves it: queries and keys, which find what to
    copy, stay as they are.
    """

    @field_validator("weights")
    @classmethod
    def _nothing_chosen_already(cls, weights: Method) -> Method:
        for option in ("modules", "target_modules"):
            if getattr(weights, option, None) is not None:
                raise ValueError(f"{option} is chosen by value_only; leave it out.")
        return weights

    @contextmanager
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> Iterator[Attached]:
        """Put what is trained on the value projections; leaving the context takes it off.

        Raises
        ------
        InputError
            If the architecture has none of their own.
        """
        names = value_projections(path for path, _ in model.base.named_modules())
        if not names:
            raise InputError(
                "The method value_only does not fit the model: its architecture "
                f"({model.base.config.model_type}) has no value projection of its own by a name that "
                "is known, such as v_proj; where it is one matrix with queries and keys, use full or lora."
            )
        with self.weights.only(names).attach(model, tasks) as attached:
            yield attached
