from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cotune._repr import Brief
from cotune.answering._config import ChoiceConfig
from cotune.tasks import Task, get_metric

_ANSWERS = 2
"""Raised whenever the same answers of a model would get another score."""


def scored_fingerprint(task: Task, config: ChoiceConfig) -> str:
    """Hash of all that a score depends on beside the model: the task, and how its answers are taken.

    A task scored by a loss has no answers; its hash is the task's own.

    Parameters
    ----------
    task : Task
        The task.
    config : ChoiceConfig
        How choices are taken.

    Returns
    -------
    str
        Of sha256, in hex.
    """
    if get_metric(task.metric).needs == "likelihood":
        return task.fingerprint
    content = [task.fingerprint, _ANSWERS, config.classification, config.label_score]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class InContextScore(Brief):
    """How a model did on one task with one draw of the demonstrations.

    Parameters
    ----------
    task : str
        Name of the task.
    shots : int
        Number of demonstrations in every prompt.
    draw : int
        Number of the draw of the demonstrations, from 0; under one seed the same for every model.
    metric : str
        Name of the metric.
    value : float
        The metric over all examples, in its own units: their mean, or the corpus value of a corpus metric.
    higher_is_better : bool
        Direction of the metric.
    per_example : tuple of float
        The metric of every example, in the order of the split.
    answers : tuple of str
        What was taken as the answer to every example; empty for metrics of likelihoods.
    n_cut : int
        Number of examples whose input was cut so that the prompt fits.
    """

    task: str
    shots: int
    draw: int
    metric: str
    value: float
    higher_is_better: bool
    per_example: tuple[float, ...] = field(repr=False)
    answers: tuple[str, ...] = field(repr=False)
    n_cut: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self) | {"per_example": list(self.per_example), "answers": list(self.answers)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InContextScore:
        """Read what :meth:`to_dict` wrote."""
        sequences = {name: tuple(data[name]) for name in ("per_example", "answers")}
        return cls(**dict(data) | sequences)
