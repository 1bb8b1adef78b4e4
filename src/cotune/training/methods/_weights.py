"""What methods share that tune the weights by another method, and do something about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import field_validator

from cotune._registry import Registry
from cotune.training.config import TrainingConfig
from cotune.training.methods._method import Attached, Method, Stage
from cotune.training.methods.full import Full
from cotune.training.methods.lora import Lora
from cotune.training.replay import ReplayConfig

if TYPE_CHECKING:
    from cotune.models import LanguageModel

WEIGHTS: Registry[Method] = Registry(
    Method,
    key="name",
    classes={
        "full": Full,
        "lora": Lora,
    },
)
"""The names that the option ``weights`` of a method may have."""


class WeightsMethod(Method):
    """A method that leaves to another how the weights are tuned."""

    weights: Annotated[Method, WEIGHTS] = Full()
    """How the weights are tuned: {name: full} or {name: lora, r: 8, ...}."""

    @field_validator("weights")
    @classmethod
    def _demonstrations_are_the_methods(cls, weights: Method) -> Method:
        if weights.demonstrations:
            raise ValueError(
                f"demonstrations belong beside weights, not in it, got {weights.demonstrations} there."
            )
        return weights

    @property
    def wants_trial(self) -> bool:
        """Whether the way the weights are tuned is to be tried."""
        return self.weights.wants_trial

    @property
    def tuned_by(self) -> Method:
        """How the weights are tuned, with the demonstrations of this method."""
        return self.weights.model_copy(update={"demonstrations": self.demonstrations})

    @contextmanager
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> Iterator[Attached]:
        """Put on the base what tunes the weights; leaving the context takes it off."""
        with self.weights.attach(model, tasks) as attached:
            yield self.around(model, attached)

    def around(self, model: LanguageModel, attached: Attached) -> Attached:
        """Return what is trained with what the method does about it."""
        return attached


class OthersMethod(WeightsMethod):
    """A method that puts examples of other tasks, or plain text, beside those of the targets."""

    others: ReplayConfig
    """What else a step sees: {tasks: "*", shots: 4, ratio: 0.25} of the tasks asked in context, from their
    training splits alone, or {text: {source: files, path: ...}, ratio: 0.25}."""

    stage_options: ClassVar[Mapping[str, str]] = {"replay": "others"}

    @property
    def beside(self) -> ReplayConfig | None:
        """What else a step sees."""
        return self.others

    def stages(self, steps: int, training: TrainingConfig, tasks: Sequence[str] = ()) -> tuple[Stage, ...]:
        """Return the one stage, with what stands beside the targets' examples in it."""
        return super().stages(steps, training.model_copy(update={"replay": self.others}), tasks)
