"""Options of a recipe or a method that would change nothing where they are written, told in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cotune.training.config import TrainingConfig
from cotune.training.methods import METHODS, Method

_BETWEEN_TASKS = ("tasks_per_batch", "scheme", "task_weights", "balancing")


def changed(training: TrainingConfig) -> dict[str, Any]:
    """Return the options of a recipe that are not at their defaults."""
    values = {name: (getattr(training, name), field) for name, field in type(training).model_fields.items()}
    return {
        name: value
        for name, (value, field) in values.items()
        if value != field.get_default(call_default_factory=True)
    }


def idle_on_one_task(training: TrainingConfig, place: str) -> Iterator[str]:
    """Tell options that divide a step between tasks, where it has but one; a batch of one task is no option.

    Parameters
    ----------
    training : TrainingConfig
        The recipe.
    place : str
        What trains on one task.
    """
    for name, value in changed(training).items():
        if name in _BETWEEN_TASKS and not (name == "tasks_per_batch" and value == 1):
            yield (
                f"training.{name} divides a step between tasks and {place} trains on one, so it must be left "
                f"out, got {_said(value)}."
            )


def idle_in_stages(
    training: TrainingConfig, methods: Sequence[Method], *, filled: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """Tell options that no stage of any method takes from the recipe.

    Parameters
    ----------
    training : TrainingConfig
        The recipe.
    methods : sequence of Method
        All that are trained by it.
    filled : mapping, optional
        Values that nobody wrote (those of a preset), which are not told.
    """
    usual = filled or {}
    for name, value in changed(training).items():
        if name in usual and usual[name] == value:
            continue
        if not any(_takes(method, training, name) for method in methods):
            yield f"training.{name} {_own(methods, name)}, so it must be left out, got {_said(value)}."


def idle_learning_rate(method: Method, learning_rate: float | None, key: str) -> Iterator[str]:
    """Tell a learning rate beside the recipe that no stage of a method would take; ``key`` is its own."""
    if learning_rate is None:
        return
    # Any rate that no method has of its own will do.
    if not _takes(method, TrainingConfig(learning_rate=1.2345e-6), "learning_rate"):
        yield f"{key} {_own([method], 'learning_rate')}, so it must be left out, got {learning_rate:g}."


def of_targets(method: Method, training: TrainingConfig, place: str) -> Iterator[str]:
    """Tell what a method or a recipe needs that only tuning on targets has: other tasks, chosen checkpoints.

    Parameters
    ----------
    method : Method
        What is trained.
    training : TrainingConfig
        The recipe.
    place : str
        What trains and has neither.
    """
    name = METHODS.name_of(method)
    if method.chosen_by_validation:
        yield (
            f"method {name} is chosen by validation scores along its last stage, and {place} asks for none; "
            "it is for studies of retention and cotune tune."
        )
    if method.beside is not None:
        yield (
            f"method {name} puts others beside the tasks tuned on, and {place} has training.replay for that; "
            "it is for studies of retention and cotune tune."
        )
    if training.replay is not None and training.replay.tasks is not None:
        yield (
            f"training.replay.tasks are those that are only asked in context, and {place} has none; name a "
            "text."
        )


def idle_without_checkpoints(method: Method, place: str) -> Iterator[str]:
    """Tell an option of a method that sets checkpoints, where there are none."""
    every = [s.checkpoint_every for s in method.stages(1, TrainingConfig()) if s.checkpoint_every]
    if every:
        name = method.stage_options["checkpoint_every"]
        yield f"method.{name} sets checkpoints and {place} has none, so it must be left out, got {every[0]}."


def refuse(idle: Iterator[str]) -> None:
    """Raise the first sentence.

    Raises
    ------
    ValueError
        As pydantic wants it.
    """
    for sentence in idle:
        raise ValueError(sentence)


def _takes(method: Method, training: TrainingConfig, name: str) -> bool:
    stages = method.stages(1, training)
    return any(getattr(stage.training, name) == getattr(training, name) for stage in stages)


def _own(methods: Sequence[Method], name: str) -> str:
    """Say why an option reaches no stage."""
    names = " and ".join(dict.fromkeys(METHODS.name_of(method) for method in methods))
    options = dict.fromkeys(method.stage_options.get(name) for method in methods)
    own = " and ".join(f"method.{option}" for option in options if option)
    return f"changes nothing under {names}" + (f", which has {own} instead" if own else "")


def _said(value: Any) -> str:
    return str(value.plain()) if hasattr(value, "plain") else repr(value)
