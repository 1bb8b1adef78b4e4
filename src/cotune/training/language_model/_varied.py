"""The same base model and tasks under another method."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cotune._config import parse
from cotune.exceptions import InputError
from cotune.training.language_model._parts import PartRuns
from cotune.training.language_model._settings import idle_below
from cotune.training.learner import Subset
from cotune.training.methods import Method
from cotune.training.options import idle_learning_rate
from cotune.training.proxy import Proxy

if TYPE_CHECKING:
    from cotune.models import LanguageModel
    from cotune.training.language_model._settings import LanguageModelSettings
    from cotune.training.memory_plan import MemoryPlan


class VariedRuns(PartRuns):
    """Adds the variations of :class:`cotune.training.varied.VariedLearner` to the runs."""

    _original: Self | None = None

    @property
    def method(self) -> Method:
        """The method that is trained."""
        return self.config.method

    @cached_property
    def model(self) -> LanguageModel:
        """The base model, loaded on first use and once for all variations."""
        return super().model if self._original is None else self._original.model

    def varied(self, method: Method, *, learning_rate: float | None = None) -> Self:
        """Return a learner with another method on the same base, and another learning rate if given.

        Raises
        ------
        InputError
            If runs start warm, from what the learner's own method has trained, or no stage of the method
            takes the learning rate.
        """
        if self.config.warm_start is not None:
            raise InputError(
                "Runs that start warm start from what one method has trained; leave warm_start out to "
                "compare methods."
            )
        for sentence in idle_learning_rate(method, learning_rate, "learning_rate"):
            raise InputError(sentence)
        training = self.config.training
        if learning_rate is not None:
            training = training.model_copy(update={"learning_rate": learning_rate})
        return self._with(self.config.model_copy(update={"method": method, "training": training}))

    @property
    def start(self) -> tuple[Subset, int] | None:
        """The tasks and steps of the warm start; see :class:`cotune.training.varied.WarmLearner`."""
        if self.config.warm_start is None:
            return None
        return tuple(task.name for task in self._warm_tasks), self._warm_steps

    def has_started(self, folder: Path) -> bool:
        """Whether :meth:`prepare` finds the warm start stored in a folder."""
        return self._start_file(folder).is_file()

    def cold(self) -> Self:
        """Return a learner on the same base without the warm start."""
        return self._with(self.config.model_copy(update={"warm_start": None}))

    def proxied(self, proxy: Proxy) -> Self:
        """Return a learner with the adapter on the upper layers, or on another model, or both.

        Raises
        ------
        InputError
            If the options do not go together.
        """
        given = {name: value for name, value in proxy.plain().items() if value is not None}
        if proxy.model is not None:
            given.setdefault("revision", None)
        config = parse(type(self.config), {**self.config.plain(), **given}, "affinity.proxy")
        # One meaning of "auto" in a study: what each process measured by itself for another model could
        # differ from process to process, and from what the plan says.
        config.recall_precision(self.config.chosen_precision(self._base))
        if proxy.model is not None:
            return type(self)(config, list(self._tasks.values()), self._base)
        return self._with(config)

    def _with(self, config: LanguageModelSettings) -> Self:
        for sentence in idle_below(config):
            raise InputError(sentence)
        other = type(self)(config, list(self._tasks.values()), self._base)
        if config.method.demonstrations == self.config.method.demonstrations:
            other._data = self._data
        other._original = self if self._original is None else self._original
        return other

    def trainable_parameters(self, subset: Subset) -> int:
        """Count the parameters that a run on a subset trains; loads no weights."""
        # Methods have parameters of each task or of none: only how many there are matters.
        if len(subset) not in self._counted:
            with self.attached_method.attach(self._skeleton, subset) as attached:
                self._counted[len(subset)] = sum(parameter.numel() for parameter in attached.parameters)
        return self._counted[len(subset)]

    def memory(self, *, passes: bool = True) -> MemoryPlan:
        """Count what a run takes of its device; see :class:`cotune.training.memory_plan.MemoryLearner`."""
        from cotune.models.precision import default_device
        from cotune.training.memory_plan import Longest, plan_memory

        every = (encoded for task in self.tasks for encoded in self._data.encoded(task, "train"))
        return plan_memory(
            self._skeleton,
            self.attached_method,
            self.config.training,
            self.tasks,
            Longest.of(every),
            precision=self.config.resolved_precision(self._base),
            device=default_device(),
            copies=self.side_by_side,
            passes=passes,
        )

    @cached_property
    def _counted(self) -> dict[int, int]:
        return {}

    @cached_property
    def _skeleton(self) -> LanguageModel:
        if self._original is not None:
            return self._original._skeleton
        return super()._skeleton
