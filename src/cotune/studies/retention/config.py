"""What the file of a retention study says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from cotune._config import Config
from cotune.answering import InContextConfig
from cotune.exceptions import InputError
from cotune.studies.engine import ModelStudyConfig
from cotune.training.config import TrainingConfig
from cotune.training.methods import METHODS, Method
from cotune.training.options import idle_in_stages, idle_learning_rate, idle_on_one_task
from cotune.training.tuning import Preset, get_preset, preset_training


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(_one_or_many, json_schema_input_type=str | tuple[str, ...]),
]


class MethodArm(Config):
    """One of the methods compared."""

    label: str
    """What the report calls it."""
    method: Annotated[Method, METHODS]
    """The method with its options, which a file writes beside the label."""

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, data: Any) -> Any:
        """Read ``{name: promot, label: ..., options of the method}``."""
        if isinstance(data, Mapping) and isinstance(data.get("method"), Method):
            return data
        options = {k: v for k, v in data.items() if k != "label"} if isinstance(data, Mapping) else data
        method = METHODS.choose(options)
        label = data.get("label")
        if label is not None and not (isinstance(label, str) and label.strip()):
            raise ValueError(f"label: must be a text, got {label!r}.")
        return {"label": label or _default_label(options), "method": method}

    @model_serializer
    def _as_read(self) -> dict[str, Any]:
        return {"label": self.label, **METHODS.plain(self.method)}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        label = {"type": "string", "description": cls.model_fields["label"].description}
        return METHODS.json_schema(handler, beside={"label": label})

    @property
    def name(self) -> str:
        """The key of the method in METHODS."""
        return METHODS.name_of(self.method)

    @property
    def tunes_weights(self) -> bool:
        """Whether anything of it stays when soft prompts are left out."""
        stages = self.method.stages(1, TrainingConfig())
        return any(changes_weights(stage.trains) for stage in stages)


def changes_weights(parts: tuple[str, ...]) -> bool:
    """Tell whether training these parts changes the model itself, which tasks without their prompt meet."""
    return "weights" in parts


def _default_label(options: Mapping[str, Any]) -> str:
    shots = options.get("demonstrations")
    weights = options.get("weights")
    tuned = f" ({weights['name']})" if isinstance(weights, Mapping) and weights.get("name") != "full" else ""
    return f"{options['name']}{tuned}" + (f" + {shots}-shot" if shots else "")


def _with_preset(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Fill in a preset where the file says nothing; what is no mapping is left for its own error."""
    preset = get_preset(name)
    recipe = dict(preset.tuning["training"])
    if "learning_rates" in data:
        del recipe["learning_rate"]
    filled = {**preset.reading, **preset.tuning, **data}
    for key, given in (("training", recipe), ("in_context", preset.evaluation)):
        own = data.get(key, {})
        filled[key] = {**given, **own} if isinstance(own, Mapping) else own
    methods = data.get("methods")
    if isinstance(methods, list):
        filled["methods"] = [_method_with_preset(method, preset) for method in methods]
    return filled


def _method_with_preset(method: Any, preset: Preset) -> Any:
    kind = METHODS.get(str(method.get("name"))) if isinstance(method, Mapping) else None
    if kind is None:
        return method
    return {**{k: v for k, v in preset.method.items() if k in kind.model_fields}, **method}


class RetentionConfig(ModelStudyConfig):
    """A retention study: what tuning on targets leaves of the model's in-context learning, by method."""

    kind: Literal["retention"] = "retention"
    """What is studied: what fine-tuning leaves of in-context learning."""
    preset: str | None = None
    """A named recipe (paper-mt5) for all of steps, checkpoints, training, prompts and beams not given."""
    targets: Names
    """Names of the tasks that are tuned on."""
    evaluation: Names = ("*",)
    """Names or patterns of the tasks evaluated in context; the targets are never among them."""
    types: dict[str, Names] = Field(default_factory=dict)
    """Types of the evaluation tasks, by names or patterns: {translation: "wmt*", questions: [trivia_qa]}; the
    report tells the average of each type. The rest is told by what it asks for: one of a closed set, or what
    its metric is for."""
    methods: Annotated[tuple[MethodArm, ...], Field(min_length=1)]
    """The methods compared: {name: promot, label: ProMoT, prompt_length: 20, ...}."""
    learning_rates: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] | None = None
    """Peak learning rates, each tried with every method; by default training.learning_rate alone. The report
    opens with the first."""
    steps: PositiveInt = 1000
    """Optimiser steps of every method's last stage."""
    checkpoint_every: PositiveInt | None = None
    """Steps between checkpoints; by default a tenth of the steps."""
    checkpoints: tuple[NonNegativeInt, ...] = ()
    """Further steps of the last stage that are measured: forgetting happens early."""
    training: TrainingConfig = TrainingConfig()
    """The recipe that all methods share; its learning rate is that of learning_rates."""
    in_context: InContextConfig = InContextConfig()
    """How tasks are put to the model in context."""
    equal_target: PositiveFloat | Literal["auto"] = "auto"
    """The validation score of the target at which methods are compared; "auto" takes the highest that every
    method that tunes weights reaches with every seed, at the best of its learning rates."""
    replay_keeps: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """The share of the pretrained in-context score that the smallest replay is foretold for, where methods
    differ in the ratio of ``others`` alone."""
    gradient_steps: tuple[NonNegativeInt, ...] = ()
    """Steps of the last stage at which the full and the format gradient are compared (paper, Fig. 3)."""
    gradient_examples: Annotated[int, Field(ge=2)] = 64
    """Training examples of each target in that comparison."""
    seeds: PositiveInt = 2
    """How many times every method is trained, each time with another seed."""
    keep: bool = False
    """Whether the best model of every method is kept, under models/ in the study's folder."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        name = data.get("preset") if isinstance(data, Mapping) else None
        return data if name is None else _with_preset(data, str(name))

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates tried."""
        return self.learning_rates or (self.training.learning_rate,)

    @property
    def extra_checkpoints(self) -> tuple[int, ...]:
        """Steps of the last stage measured besides the regular ones."""
        return tuple(sorted({*self.checkpoints, *self.gradient_steps}))

    def _idle(self) -> Iterator[str]:
        """Tell options that change nothing."""
        methods, filled = [arm.method for arm in self.methods], preset_training(self.preset)
        if len(self.targets) == 1:
            yield from idle_on_one_task(self.training, "a study of one target")
        yield from idle_in_stages(self.training, methods, filled=filled)
        if self.learning_rates:
            told = [list(idle_learning_rate(one, self.rates[0], "learning_rates")) for one in methods]
            if all(told):
                yield told[0][0]

    def check(self, where: str) -> None:
        """Check what no single key can tell."""
        if not self.tasks:
            raise InputError(f"{where}: tasks: a retention study needs tasks; name a reader.")
        for key, values in (
            ("targets", self.targets),
            ("methods", [arm.label for arm in self.methods]),
            ("learning_rates", self.rates),
        ):
            twice = next((value for at, value in enumerate(values) if value in values[:at]), None)
            if twice is not None:
                cure = "; give one of them another label" if key == "methods" else ""
                raise InputError(f"{where}: {key}: {twice!r} stands twice{cure}.")
        for sentence in self._idle():
            raise InputError(f"{where}: {sentence}")
        if self.learning_rates and "learning_rate" in self.training.model_fields_set:
            raise InputError(
                f"{where}: training.learning_rate: learning_rates names the learning rates; leave one out."
            )
        for key, steps in (("checkpoints", self.checkpoints), ("gradient_steps", self.gradient_steps)):
            late = next((step for step in steps if step > self.steps), None)
            if late is not None:
                raise InputError(f"{where}: {key}: must be at most steps {self.steps}, got {late}.")
