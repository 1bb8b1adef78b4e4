"""How a study, or ``cotune group``, groups tasks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveInt, model_validator

from cotune._config import Config

OF_DENSITY = ("k_rule", "k_max", "scale", "rounding")
"""Options of the grouping that say how groups are found by density."""

RoundingName = Literal["best", "kmeans", "agglomerative", "threshold", "row_threshold"]

THRESHOLDS = ("threshold", "row_threshold")
"""Those that may give another number of groups than was asked for."""


class RoundingConfig(Config):
    """How the solution of the semidefinite program becomes groups."""

    name: RoundingName = "best"
    """best: the best partition into k groups over all strategies, improved by moves; threshold: the paper's,
    tasks linked by entries above c / n share a group; row_threshold: the same row by row, as in the authors'
    code; kmeans and agglomerative round once. The thresholds may give more or fewer than k groups."""
    c: Annotated[float, Field(ge=1)] = 1.0
    """Where the thresholds cut: at c / n."""

    @model_validator(mode="after")
    def _c_is_of_thresholds(self) -> RoundingConfig:
        if self.c != 1.0 and not self.is_threshold:
            raise ValueError(f"c is of the roundings threshold and row_threshold, not of '{self.name}'.")
        return self

    @property
    def is_threshold(self) -> bool:
        """Whether it may give another number of groups."""
        return self.name in THRESHOLDS


def _as_rounding(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class GroupingConfig(Config):
    """How the tasks are grouped."""

    objective: Literal["auto", "gain", "density"] = "auto"
    """What groups are chosen by: the gain that runs predict over training each task alone, or the density of
    the affinities; auto is gain wherever runs train every task alone and some together."""
    n_clusters: PositiveInt | Literal["auto"] = "auto"
    """Number of groups k."""
    k_max: PositiveInt | None = None
    """Largest k tried when it is chosen automatically."""
    k_rule: Literal["evidence", "entry_cv", "bic", "average_density", "summed_density"] | None = None
    """How k is chosen automatically; by default by the evidence of a block model."""
    scale: Literal["row_zscore", "two_way", "none"] | None = None
    """How rows of the affinity matrix are put on one scale; by default what suits the estimator."""
    rounding: Annotated[
        RoundingConfig, BeforeValidator(_as_rounding, json_schema_input_type=RoundingName | RoundingConfig)
    ] = RoundingConfig()
    """How the solution of the semidefinite program becomes groups: a name, or {name: threshold, c: 1.5}."""
    missing: Literal["refuse", "complete"] = "refuse"
    """What happens to pairs of tasks that never met in a run."""
    weights: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    """What a gain of each task is worth, 1 for those that are not named."""
    unit: Literal["own_score", "noise"] | None = None
    """What gains are measured in: shares of the task's score alone (default), or standard deviations between
    runs of one subset."""

    @property
    def asked_of_density(self) -> list[str]:
        """The options given that only groups by density have; where there are any, density is asked for."""
        fields = type(self).model_fields
        return [key for key in OF_DENSITY if getattr(self, key) != fields[key].get_default()]

    @property
    def wants_gain(self) -> bool:
        """Whether groups are chosen by predicted gain wherever runs tell of it."""
        return self.objective == "gain" or (self.objective == "auto" and not self.asked_of_density)
