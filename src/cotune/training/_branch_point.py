"""Where a run stood when it was left: parameters, moments and random numbers, by names of no run's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from cotune._seals import damage
from cotune.exceptions import RunError
from cotune.training.tuning._state import load_tensors, random_state, save_tensors, set_random_state

if TYPE_CHECKING:
    from cotune.training._loop import TrainingRun
    from cotune.training.methods import Attached

Moments: TypeAlias = Mapping[str, Any]
"""What an optimiser keeps of one parameter: tensors, and numbers such as the steps done."""

_FOLDER = "state"


@dataclass(frozen=True)
class BranchPoint:
    """Where a run stood.

    Parameters
    ----------
    values : mapping of str to Tensor
        Parameters by the names of :func:`named_parameters`.
    moments : mapping of str to Moments
        What the optimiser keeps of those that the last stage trains.
    task_losses : list of mapping of str to float
        By step, the loss of each task's examples: balancing goes by the last of them.
    random : mapping of str to Tensor
        State of torch's generators.
    """

    values: Mapping[str, torch.Tensor]
    moments: Mapping[str, Moments]
    task_losses: list[Mapping[str, float]]
    random: Mapping[str, torch.Tensor]

    @classmethod
    def of(
        cls, attached: Attached, run: TrainingRun, device: torch.device, *, moments: bool = True
    ) -> BranchPoint:
        """Copy where a run stands to the CPU, without the optimiser's moments if nothing goes on from it."""
        kept = {
            name: {key: _on_cpu(value) for key, value in run.moments(parameter).items()}
            for name, parameter in named_parameters(attached).items()
            if moments and run.moments(parameter)
        }
        return cls(values_of(attached), kept, list(run.task_losses), random_state(device))

    def save(self, folder: Path) -> None:
        """Write it into an existing folder."""
        save_tensors(folder / _FOLDER, vars(self))

    @classmethod
    def load(cls, folder: Path) -> BranchPoint:
        """Read what :meth:`save` wrote.

        Raises
        ------
        RunError
            If there is nothing, or it is damaged.
        """
        if not (folder / _FOLDER).is_dir():
            raise RunError("The joint part that it goes on from is not there: it failed, or was taken away.")
        found = damage(folder / _FOLDER)
        if found:
            raise RunError(f"The joint part that it goes on from is damaged: {found}.")
        return cls(**load_tensors(folder / _FOLDER))

    def moments_of(self, attached: Attached) -> dict[torch.nn.Parameter, Moments]:
        """Return the moments of those parameters that there are any of."""
        named = named_parameters(attached).items()
        return {parameter: self.moments[name] for name, parameter in named if name in self.moments}

    def resume(self, attached: Attached, run: TrainingRun, device: torch.device) -> None:
        """Let a run that has not begun, on parameters of these values, go on from here."""
        run.go_on(self.moments_of(attached), self.task_losses)
        set_random_state(self.random, device)


def values_of(attached: Attached) -> dict[str, torch.Tensor]:
    """Copy what a method may train to the CPU, by names that do not depend on the tasks of the run."""
    return {
        name: parameter.detach().to("cpu", copy=True).contiguous()
        for name, parameter in named_parameters(attached).items()
    }


def start_from(attached: Attached, values: Mapping[str, torch.Tensor]) -> None:
    """Set the parameters that there are values for; a prompt of a task that the values lack stays fresh."""
    with torch.no_grad():
        for name, parameter in named_parameters(attached).items():
            if name in values:
                parameter.copy_(values[name])


def named_parameters(attached: Attached) -> dict[str, torch.nn.Parameter]:
    """Name what a method may train: by part and place, and a prompt by its task."""
    prompts = {} if attached.prompts is None else dict(attached.prompts.parameters)
    of_prompts = {id(vectors) for vectors in prompts.values()}
    named = {
        f"{part}.{index}": parameter
        for part, parameters in attached.parts.items()
        for index, parameter in enumerate(p for p in parameters if id(p) not in of_prompts)
    }
    return {**named, **{f"prompt of {task}": vectors for task, vectors in prompts.items()}}


def _on_cpu(value: Any) -> Any:
    return value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else value
