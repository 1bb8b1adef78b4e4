"""What the file of a transfer study says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from cotune._config import Config, parse
from cotune.answering import InContextConfig
from cotune.evaluation.gradient_conflict import BATCHES
from cotune.evaluation.transfer import TransferConfig
from cotune.exceptions import InputError
from cotune.studies.engine import ModelStudyConfig
from cotune.training.config import TrainingConfig
from cotune.training.methods import METHODS, Lora, Method
from cotune.training.options import changed, of_targets
from cotune.training.schemes import SCHEMES


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str | int) else value


def _named(value: Any) -> Any:
    """Read a name alone as a mapping without options."""
    return {"name": value} if isinstance(value, str) else value


Patterns = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(_one_or_many, json_schema_input_type=str | tuple[str, ...]),
]
NamedOptions = Annotated[dict[str, Any], BeforeValidator(_named, json_schema_input_type=str | dict[str, Any])]
Numbers = Annotated[
    tuple[PositiveInt, ...],
    Field(min_length=1),
    BeforeValidator(_one_or_many, json_schema_input_type=PositiveInt | tuple[PositiveInt, ...]),
]


class FurtherArm(Config):
    """One arm written out: whatever it does not name is the study's."""

    label: Annotated[str, Field(min_length=1)]
    """What the report calls it."""
    method: Annotated[Method, METHODS] | None = None
    """What is trained."""
    scheme: NamedOptions | None = None
    """How tasks are sampled: a key of SCHEMES with its options."""
    replay: NonNegativeFloat = 0.0
    """Ratio of replay; 0 for none."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Keys of the recipe that differ from the study's."""
    tasks: Patterns = ("*",)
    """Names or patterns of the training tasks that the arm sees."""
    groups: str | None = None
    """A grouping study's folder, or a file like its groups.json: one model for each group that holds training
    tasks, with equal shares of the steps; held-out tasks are put to every one of them."""


class Arm(Config):
    """One arm of the study, complete."""

    label: str
    """What the report calls it."""
    scheme: str
    """The sampling scheme, in a word or two."""
    replay: float
    """Ratio of replay; 0 for none."""
    method: Annotated[Method, METHODS]
    """What is trained."""
    training: TrainingConfig
    """The whole recipe."""
    tasks: tuple[str, ...] = ("*",)
    """Names or patterns of the training tasks that the arm sees."""
    groups: str | None = None
    """A grouping study's folder."""


class TransferStudyConfig(ModelStudyConfig):
    """A transfer study: what instruction tuning does to learning new tasks, by fine-tuning and in context."""

    kind: Literal["transfer"] = "transfer"
    """What is studied: what instruction tuning does to transfer and in-context learning."""
    held_out: Patterns
    """Names or patterns of the tasks that are transferred to; never trained on."""
    train: Patterns = ("*",)
    """Names or patterns of the tasks that models are instruction-tuned on; held-out ones are left out."""
    method: Annotated[Method, METHODS] = Lora()
    """What instruction tuning trains: {name: full, demonstrations: 2, ...}."""
    steps: PositiveInt = 1000
    """Optimiser steps of instruction tuning."""
    checkpoints: tuple[NonNegativeInt, ...] | None = None
    """Steps after which models are measured, besides the last; by default the powers of two."""
    training: TrainingConfig = TrainingConfig()
    """The recipe of instruction tuning that all arms share."""
    schemes: tuple[NamedOptions, ...] = ()
    """Sampling schemes compared: {name: proportional, label: ..., training: {...}, options of the scheme};
    each gives an arm for every replay ratio. Without schemes or arms there is one arm, of training.scheme."""
    replay: dict[str, Any] | None = None
    """Text replayed, as in training.replay but for the ratio."""
    replay_ratios: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] = (0.0,)
    """Ratios of replay compared; 0 is none."""
    arms: tuple[FurtherArm, ...] = ()
    """Further arms, written out: other methods, subsets of the tasks, groups of a grouping study."""
    seeds: PositiveInt = 2
    """How many times every arm is trained, each time with another seed."""
    seen_examples: PositiveInt = 16
    """Examples of each training task, of the training and of the test split, whose loss is measured."""
    transfer: TransferConfig = TransferConfig()
    """The fine-tunings on held-out tasks."""
    further_markings: tuple[Literal["id", "exemplars", "instruction"], ...] = ()
    """Further values of transfer.marking: the pretrained model and the last checkpoints are fine-tuned under
    these as well, and the report compares them with the first."""
    along: Numbers = (20,)
    """Numbers of examples fine-tuned on at checkpoints before the last; the last and the pretrained model are
    measured at all of them."""
    in_context: InContextConfig = InContextConfig(shots=(4,))
    """How held-out tasks are put to the models in context; its examples are those of all measurements."""
    gradient_steps: tuple[NonNegativeInt, ...] = ()
    """Steps of the last stage at which the gradients of the tasks trained on are compared: direction, size
    and noise (Mueller et al., 2022)."""
    gradient_examples: Annotated[int, Field(ge=BATCHES)] = 32
    """Training examples of each task in that comparison, in four batches."""
    keep: bool = False
    """Whether the checkpoints' weights stay in shared/checkpoints when all is measured."""

    @property
    def due(self) -> tuple[int, ...]:
        """Steps after which models are measured, the last among them; 0 is the pretrained model."""
        chosen = self.checkpoints
        if chosen is None:
            chosen = tuple(2**power for power in range(self.steps.bit_length()))
        return tuple(sorted({*(step for step in chosen if step), self.steps}))

    @property
    def markings(self) -> tuple[str, ...]:
        """How tasks are marked when they are fine-tuned on, that of the study's findings first."""
        return (self.transfer.marking, *self.further_markings)

    def marked(self, marking: str) -> TransferConfig:
        """Return the fine-tunings under a marking."""
        return self.transfer.model_copy(update={"marking": marking})

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of examples at checkpoints before the last."""
        return tuple(n for n in self.transfer.examples if n == 0 or n in self.along)

    @cached_property
    def compared(self) -> tuple[Arm, ...]:
        """All arms: every scheme with every replay ratio, and those written out.

        Raises
        ------
        InputError
            If the options of a scheme or of replay are not valid.
        """
        return tuple(self._arms())

    def _arms(self) -> Iterator[Arm]:
        common = SCHEMES.plain(self.training.scheme)
        schemes = self.schemes or ((common,) if self._has_schemes else ())
        for at, entry in enumerate(schemes):
            options = {k: v for k, v in entry.items() if k not in ("label", "training")}
            own, label = entry.get("training", {}), entry.get("label") or _label(options)
            for ratio in self.replay_ratios:
                called = f"{label}, replay {ratio:g}" if ratio else str(label)
                training = self._recipe(options, ratio, own, f"schemes.{at}")
                yield Arm(label=called, scheme=label, replay=ratio, method=self.method, training=training)
        for at, arm in enumerate(self.arms):
            options = arm.scheme or common
            yield Arm(
                label=arm.label,
                scheme=_label(options),
                replay=arm.replay,
                method=arm.method or self.method,
                training=self._recipe(options, arm.replay, arm.training, f"arms.{at}"),
                tasks=arm.tasks,
                groups=arm.groups,
            )

    def _recipe(
        self, scheme: Mapping[str, Any], ratio: float, changes: Mapping[str, Any], where: str
    ) -> TrainingConfig:
        """Return the study's recipe with what an arm changes."""
        data = {**self.training.plain(), **changes, "scheme": dict(scheme)}
        if ratio:
            data["replay"] = {**(self.replay or {}), "ratio": ratio}
        return parse(TrainingConfig, data, where)

    def _idle(self) -> Iterator[str]:
        """Tell options that change nothing, or that another key is for."""
        if self.training.replay is not None:
            yield "training.replay: must be left out; replay names the text and replay_ratios the ratios."
        ratios = (*(self.replay_ratios if self._has_schemes else ()), *(arm.replay for arm in self.arms))
        if self.replay is not None and not any(ratios):
            yield "replay: every ratio is 0, so it must be left out; replay_ratios names the ratios."
        if "ratio" in (self.replay or {}):
            yield "replay.ratio: must be left out; replay_ratios names the ratios."
        if any(self.replay_ratios) and not self._has_schemes:
            yield "replay_ratios: is for schemes, and there are arms alone; write replay beside each arm."
        named = (*self.schemes, *({"name": arm.scheme} for arm in self.arms if arm.scheme))
        if "scheme" in changed(self.training) and named and len(named) == len(self.schemes) + len(self.arms):
            yield "training.scheme: must be left out, since every arm names its scheme."
        own = [(f"schemes.{at}", one.get("training", {})) for at, one in enumerate(self.schemes)]
        own += [(f"arms.{at}", arm.training) for at, arm in enumerate(self.arms)]
        for place, recipe in own:
            for key in ("scheme", "replay"):
                if key in recipe:
                    yield f"{place}.training.{key}: must be left out; arms have keys of their own for it."

    @property
    def _has_schemes(self) -> bool:
        """Whether there are arms for every scheme and ratio, beside those written out."""
        return bool(self.schemes) or not self.arms

    def check(self, where: str) -> None:
        """Check what no single key can tell."""
        if not self.tasks:
            raise InputError(f"{where}: tasks: a transfer study needs tasks; name a reader.")
        if self.replay is None and any(self.replay_ratios + tuple(arm.replay for arm in self.arms)):
            raise InputError(f"{where}: replay: is missing, and a replay ratio is not 0; name its text.")
        for sentence in self._idle():
            raise InputError(f"{where}: {sentence}")
        for key, steps in (("checkpoints", self.checkpoints or ()), ("gradient_steps", self.gradient_steps)):
            late = next((step for step in steps if step > self.steps), None)
            if late is not None:
                raise InputError(f"{where}: {key}: must be at most steps {self.steps}, got {late}.")
        if self.transfer.marking in self.further_markings or _repeated(self.further_markings):
            raise InputError(
                f"{where}: further_markings: must be others than transfer.marking, each once, got "
                f"{', '.join(self.further_markings)} beside {self.transfer.marking}."
            )
        odd = next((n for n in self.along if n not in self.transfer.examples), None)
        if odd is not None:
            numbers = ", ".join(map(str, self.transfer.examples))
            raise InputError(f"{where}: along: must be of transfer.examples {numbers}, got {odd}.")
        try:
            labels = [arm.label for arm in self.compared]
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        twice = _repeated(labels)
        if twice is not None:
            raise InputError(f"{where}: schemes, arms: two arms are labelled '{twice}'; label one of them.")
        for arm in self.compared:
            for sentence in of_targets(arm.method, arm.training, "an instruction tuning"):
                raise InputError(f"{where}: {sentence}")
        idle = next((arm for arm in self.compared if not _tunes_weights(arm)), None)
        if idle is not None:
            raise InputError(
                f"{where}: method: '{idle.label}' leaves the weights as they are, so there is nothing to "
                "transfer from; name a method that tunes them (lora, full, promot)."
            )


def _label(scheme: Mapping[str, Any]) -> str:
    """Call a scheme by its name and the numbers that tell it from others."""
    numbers = [f"{v:g}" for k, v in scheme.items() if k != "name" and isinstance(v, int | float)]
    return " ".join([str(scheme.get("name")), *numbers]).replace("_", " ")


def _repeated(names: Sequence[str]) -> str | None:
    """Return the first name that stands there twice."""
    return next((name for at, name in enumerate(names) if name in names[:at]), None)


def _tunes_weights(arm: Arm) -> bool:
    return any("weights" in stage.trains for stage in arm.method.stages(1, arm.training))
