"""What is done when a model is tuned on one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, NonNegativeInt, model_validator

from cotune.answering import InContextConfig
from cotune.exceptions import InputError
from cotune.models.config import ModelConfig
from cotune.tasks import Task, get_metric
from cotune.training.methods import METHODS, Full, Method
from cotune.training.options import idle_in_stages, idle_on_one_task, refuse
from cotune.training.tuning import TuningConfig, get_preset, preset_training

if TYPE_CHECKING:
    from cotune.models import LanguageModel

FULL_LEARNING_RATE = 1e-4
"""Default peak learning rate where every weight is tuned: ten times less than where few parameters are."""


class TuneConfig(TuningConfig, ModelConfig):
    """One model, one method, one recipe."""

    method: Annotated[Method, METHODS]
    """What is trained: {name: promot, prompt_length: 20, ...}."""
    in_context: InContextConfig = Field(default_factory=InContextConfig)
    """How tasks are put to the model before and after."""
    seed: NonNegativeInt = 0
    """Decides fresh parameters, dropout, the order of the examples and their demonstrations."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_defaults(cls, data: Any) -> Any:
        """Take what is not given from the preset; without one, a few defaults depend on one another."""
        if not isinstance(data, Mapping):
            return data
        if data.get("preset") is not None:
            return _with_preset(data)
        filled = dict(data)
        steps = data.get("steps", cls.model_fields["steps"].default)
        if isinstance(steps, int):
            filled.setdefault("checkpoint_every", max(1, steps // 10))
        training = data.get("training", {})
        if isinstance(training, Mapping):
            rate = {"learning_rate": FULL_LEARNING_RATE} if _tunes_every_weight(data.get("method")) else {}
            filled["training"] = {"tasks_per_batch": 1, **rate, **training}
        return filled

    @model_validator(mode="after")
    def _options_act(self) -> TuneConfig:
        refuse(idle_in_stages(self.training, [self.method], filled=preset_training(self.preset)))
        return self

    @property
    def method_name(self) -> str:
        """The key of the method in METHODS."""
        return METHODS.name_of(self.method)

    def suited(self, model: LanguageModel) -> TuneConfig:
        """Return the configuration with what nobody set and the loaded model decides."""
        return self.model_copy(update={"method": self.method.suited(model)})

    @property
    def decided_by_model(self) -> tuple[str, ...]:
        """Options of the method that nobody set and the model decides."""
        options = ("prompt_learning_rate",)
        return tuple(o for o in options if hasattr(self.method, o) and o not in self.method.model_fields_set)


def check_recipe_of_one(config: TuneConfig) -> None:
    """Refuse options that divide a step between tasks, where there is one.

    Raises
    ------
    InputError
        If there is such an option; names it.
    """
    for sentence in idle_on_one_task(config.training, "cotune tune"):
        raise InputError(f"cotune tune: {sentence}")


def check_targets(targets: Sequence[Task], config: TuneConfig) -> None:
    """Check what only the number of the tasks tuned on can tell, and that their scores have a mean.

    Raises
    ------
    InputError
        If there is none, an option divides a step between tasks where there is one, or metrics point apart.
    """
    if not targets:
        raise InputError("cotune tune: there is no task to tune on; name at least one.")
    if len(targets) == 1:
        check_recipe_of_one(config)
    metrics = {task.name: get_metric(task.metric) for task in targets}
    if len({metric.higher_is_better for metric in metrics.values()}) > 1:
        names = ", ".join(f"{name} {metric.name}" for name, metric in metrics.items())
        raise InputError(
            f"cotune tune: checkpoints are chosen by the mean over the tasks, whose metrics must have one "
            f"direction, got {names}; set them with --set task.metric=..."
        )


def _with_preset(data: Mapping[str, Any]) -> dict[str, Any]:
    preset = get_preset(str(data["preset"]))
    filled = {**preset.reading, **data}
    method, in_context = data.get("method"), data.get("in_context", {})
    if isinstance(method, Mapping) and method.get("name") in METHODS:
        known = METHODS[method["name"]].model_fields
        filled["method"] = {**{k: v for k, v in preset.method.items() if k in known}, **method}
    if isinstance(in_context, Mapping):
        filled["in_context"] = {**preset.evaluation, **in_context}
    return filled


def _tunes_every_weight(method: Any) -> bool:
    try:
        chosen = METHODS.choose(method)
    except ValueError:  # told by the validation of the field itself
        return False
    return isinstance(getattr(chosen, "weights", chosen), Full)
