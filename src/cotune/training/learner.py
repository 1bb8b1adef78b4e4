"""The seam between what trains and what decides: the Learner protocol and the scores it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

Subset: TypeAlias = tuple[str, ...]
"""Names of the tasks trained together, sorted."""


@dataclass(frozen=True, slots=True)
class Score:
    """f_i(S): how well a model trained on a subset S does on task i.

    Parameters
    ----------
    value : float
        The mean of the metric over the scored examples, in the metric's own units.
    metric : str
        The metric's name.
    higher_is_better : bool
        The metric's direction.
    per_example : tuple of float
        The metric of every scored example, in a fixed order, so that two models can be compared pair by pair.
    """

    value: float
    metric: str
    higher_is_better: bool
    per_example: tuple[float, ...] = field(default=(), repr=False)

    @property
    def utility(self) -> float:
        """The value with its sign turned so that higher is better."""
        return self.value if self.higher_is_better else -self.value

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "value": self.value,
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "per_example": list(self.per_example),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """Read what :meth:`to_dict` wrote."""
        return cls(data["value"], data["metric"], data["higher_is_better"], tuple(data["per_example"]))


@runtime_checkable
class Learner(Protocol):
    """Anything that can be trained on a subset of tasks and scored on each of them."""

    @property
    def tasks(self) -> Sequence[str]:
        """Names of all tasks, in a fixed order."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of everything but the subset and the seed that determines a score."""
        ...

    def fit_score(self, subset: Subset, seed: int) -> dict[str, Score]:
        """Train on the tasks of ``subset`` and score each of them: f_i(S) for i in S."""
        ...
