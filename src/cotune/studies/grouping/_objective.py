"""What decides the groups: the gain that runs predict, or the density of affinities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotune._config import did_you_mean
from cotune._repr import Brief
from cotune.affinity import without_own_score
from cotune.exceptions import InputError
from cotune.studies.grouping.grouping_config import GroupingConfig

BESIDE = ("missing",)
"""Options of the density that is set beside, where groups are chosen by gain."""
OF_GAIN = ("weights", "unit")
"""Options that say what a gain is worth."""


@dataclass(frozen=True)
class Objective(Brief):
    """What groups are chosen by.

    Parameters
    ----------
    by_gain : bool
        By the gain that runs predict over training each task alone; else by the density of the affinities.
    note : str
        Why not by gain, where nobody asked for density; may be empty.
    """

    by_gain: bool
    note: str = ""


def settle_objective(
    config: GroupingConfig,
    tasks: Sequence[str],
    inside: NDArray[np.bool_] | None,
    *,
    bare: str = "an affinity matrix holds no scores alone",
    found: str = "",
    where: str = "",
) -> Objective:
    """Settle what groups are chosen by.

    Parameters
    ----------
    config : GroupingConfig
        The objective asked for, and the options that only one of the two has.
    tasks : sequence of str
        All tasks.
    inside : ndarray of bool, shape (m, n), or None
        Which tasks each run trained; None where there are no runs.
    bare : str
        Why there are none, in words.
    found : str
        What finds the groups itself unless gain is asked for, in words; may be empty.
    where : str
        What stands before the name of an option in an error, such as ``"study.yaml: grouping."``.

    Raises
    ------
    InputError
        If the objective cannot be had, or an option does not go with it.
    """
    why = bare if inside is None else _unknown(tasks, inside)
    given = {key for key in (*BESIDE, *OF_GAIN) if _is_given(config, key)}
    asked = config.asked_of_density
    if config.objective == "gain":
        if why:
            raise InputError(f"Gains over training alone cannot be predicted: {why}; group by density.")
        wrong = [*asked, *(key for key in BESIDE if key in given)]
        if wrong:
            raise InputError(
                f"{where}{wrong[0]}: groups by predicted gain do not have this option; leave it out, or take "
                "the objective density."
            )
        return Objective(True)
    by_gain = config.wants_gain and not (why or found)
    wrong = [key for key in OF_GAIN if key in given and not by_gain]
    if wrong:
        reason = (
            "the objective is density"
            if config.objective == "density"
            else why or (f"{asked[0]} asks for density" if asked else f"{found} finds the groups itself")
        )
        raise InputError(f"{where}{wrong[0]}: only groups by predicted gain have this option, and {reason}.")
    if by_gain:
        return Objective(True)
    if config.objective == "density":
        return Objective(False)
    if why:
        return Objective(False, f"grouped by density: {why}, so gains over training alone are unknown")
    if found:
        return Objective(
            False, f"{found} finds the groups itself; 'objective: gain' would choose them by gain"
        )
    return Objective(False, f"grouped by density: {' and '.join(asked)} can only be of that")


def weights_of(weights: Mapping[str, float], tasks: Sequence[str], where: str = "") -> NDArray[np.float64]:
    """Return the weight of every task, 1 where nothing is said.

    Raises
    ------
    InputError
        If a task is not known, or all weights are 0.
    """
    for task in weights:
        if task not in tasks:
            raise InputError(f"{where}weights: there is no task {task!r}{did_you_mean(task, tasks)}.")
    found = np.array([weights.get(task, 1.0) for task in tasks])
    if not found.any():
        raise InputError(f"{where}weights: at least one task must have a weight above 0.")
    return found


def _is_given(config: GroupingConfig, key: str) -> bool:
    return bool(getattr(config, key) != type(config).model_fields[key].get_default(call_default_factory=True))


def _unknown(tasks: Sequence[str], inside: NDArray[np.bool_]) -> str:
    """Say why gains over training alone are unknown; nothing where they are not."""
    missing = without_own_score(inside)
    if len(missing):
        more = f" (nor {len(missing) - 1} more)" if len(missing) > 1 else ""
        return f"no run trains '{tasks[missing[0]]}' alone{more}"
    return "" if (inside.sum(1) > 1).any() else "no run trains two tasks together"
