"""Arms that are trained otherwise than the learner trains: which method, of what size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import PositiveFloat

from cotune._config import Config, parse
from cotune.exceptions import InputError
from cotune.training.learner import Learner, Subset
from cotune.training.methods import METHODS, Method
from cotune.training.varied import VariedLearner, match_parameters


class Variation(Config):
    """What of the training is another than the learner's own."""

    method: Annotated[Method, METHODS] | None = None
    """What is trained; by default what the learner trains."""
    learning_rate: PositiveFloat | None = None
    """Peak learning rate; by default that of the learner's recipe."""

    @property
    def is_none(self) -> bool:
        """Whether nothing is another."""
        return self.method is None and self.learning_rate is None

    def text(self) -> str:
        """Return all of it as a run keeps it."""
        method = None if self.method is None else METHODS.plain(self.method)
        return json.dumps({"method": method, "learning_rate": self.learning_rate}, sort_keys=True)

    @staticmethod
    def read(text: str) -> Variation:
        """Read what :meth:`text` wrote."""
        given = {key: value for key, value in json.loads(text).items() if value is not None}
        return parse(Variation, given, "a stored run")

    def of(self, learner: Learner) -> Learner:
        """Return the learner with what is another.

        Raises
        ------
        InputError
            If the learner has no methods.
        """
        if self.is_none:
            return learner
        varied = _with_methods(learner)
        return varied.varied(self.method or varied.method, learning_rate=self.learning_rate)

    def matched(self, learner: Learner, partition: Sequence[Subset], target: int) -> Variation:
        """Return it with the method's size chosen so that a partition trains about ``target`` parameters.

        Raises
        ------
        InputError
            If the learner has no methods, or the method no size.
        """
        varied = _with_methods(learner)

        def count(method: Method) -> int:
            return trained_parameters(varied.varied(method), partition)

        found = match_parameters(self.method or varied.method, target, count)
        return Variation(method=found, learning_rate=self.learning_rate)


def _with_methods(learner: Learner) -> VariedLearner:
    if not isinstance(learner, VariedLearner):
        raise InputError(
            "Only a language model can be trained by another method or at another learning rate; take "
            "method, learning_rate and match_parameters away."
        )
    return learner


def trained_parameters(learner: Learner, partition: Sequence[Subset]) -> int:
    """Count the parameters trained for a partition; loads no weights.

    Raises
    ------
    InputError
        If the learner has no methods.
    """
    counting = _with_methods(learner)
    return sum(counting.trainable_parameters(subset) for subset in partition)


def learner_of(learner: Learner, text: str) -> Learner:
    """Return the learner that a run wants, by its variation as text; empty for the learner itself."""
    return Variation.read(text).of(learner) if text else learner
