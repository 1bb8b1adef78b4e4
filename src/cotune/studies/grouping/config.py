"""What the file of a grouping study says."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    WithJsonSchema,
    model_validator,
)

from cotune._config import Config, did_you_mean
from cotune.exceptions import InputError
from cotune.findings.comparison import CONVERGED, Budget
from cotune.studies.engine import StudyConfig
from cotune.studies.grouping.arms import ARMS, BASELINES, BRANCHED, DEFAULT_ARMS, Length, Variation
from cotune.studies.grouping.estimators import ESTIMATORS, Estimator, GradientCosine
from cotune.studies.grouping.grouping_config import GroupingConfig
from cotune.studies.grouping.learners import LEARNERS
from cotune.training.learner import LearnerConfig

ArmName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(ARMS)})]


class ArmConfig(Variation):
    """A way of training that the groups are compared with."""

    name: ArmName
    """How the tasks are spread over adapters: grouped, branched (first together, then in the groups), joint,
    single, random, spectral or lloyd."""
    label: str | None = None
    """What it is called in the results; by default the name."""
    match_parameters: bool = False
    """Whether the method's size (the rank of a LoRA, scaled as before; the virtual tokens of a prompt or
    prefix) is chosen so that all its adapters together train as many parameters as those of the groups, as
    nearly as possible."""
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Of branched: the part of the budget that is trained on all tasks, once for all groups; by default half,
    rounded to whole steps a task."""
    updates: Literal["shared", "joint"] = "shared"
    """Whether a model takes its tasks' part of the steps of all, or as many as the one on all tasks: joint
    parts what groups do from how many updates they get, and costs as many times more as there are groups."""

    @model_validator(mode="after")
    def _is_an_arm(self) -> ArmConfig:
        if self.name not in ARMS:
            raise ValueError(
                f"name must be one of: {', '.join(ARMS)}; got {self.name!r}{did_you_mean(self.name, ARMS)}."
            )
        if not self.is_usual and self.label is None:
            raise ValueError(f"an arm that is trained otherwise needs a label beside its name '{self.name}'.")
        if self.label in ARMS and self.label != self.name:
            # The verdict is among arms by their names: what is called 'single' would be taken for it.
            raise ValueError(f"the label '{self.label}' is the name of another arm; call it otherwise.")
        if self.share is not None and not self.branches:
            raise ValueError(f"share is a key of {BRANCHED}: '{self.name}' trains no part on all tasks.")
        if self.updates == "joint" and self.name == "joint":
            raise ValueError("updates: joint changes nothing of joint, whose model takes the steps of all.")
        return self

    @property
    def branches(self) -> bool:
        """Whether its groups go on from a part trained on all tasks."""
        return self.name == BRANCHED

    @property
    def joint_share(self) -> float | None:
        """The part of the budget that is trained on all tasks first; None of an arm that does not branch."""
        return (0.5 if self.share is None else self.share) if self.branches else None

    @property
    def title(self) -> str:
        """What it is called."""
        return self.label or self.name

    @property
    def trains_otherwise(self) -> bool:
        """Whether it trains otherwise than the learner."""
        return self.match_parameters or not self.is_none

    @property
    def is_usual(self) -> bool:
        """Whether it trains as the learner does, for its tasks' part of the steps."""
        return not self.trains_otherwise and self.updates == "shared"


class ConvergedConfig(Config):
    """When a model has converged, for the budget of that name."""

    most: Annotated[int, Field(ge=2)] = 256
    """Steps a task after which it ends at the latest; warmup and schedule are those of so many."""
    every: PositiveInt = 8
    """Steps a task between looks at the validation loss, the mean over the model's tasks."""
    patience: PositiveInt = 3
    """It has converged after so many looks in a row without a new lowest loss; the state of that is kept."""

    @model_validator(mode="after")
    def _looks_before_the_end(self) -> ConvergedConfig:
        if self.every > self.most:
            raise ValueError(f"every must be at most the {self.most} steps of most, got {self.every}.")
        return self


def _as_arm(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


NamedArm = Annotated[ArmConfig, BeforeValidator(_as_arm, json_schema_input_type=ArmName | ArmConfig)]


class ComparisonConfig(Config):
    """What the groups are compared with, all with the same total number of training steps."""

    budgets: Annotated[tuple[PositiveInt | Literal["converged"], ...], Field(min_length=1)] = (16, 64)
    """Training steps a task; every arm is trained at each. Whether grouping pays depends on it. At
    ``converged`` every model is trained until its validation loss stops falling."""
    converged: ConvergedConfig = ConvergedConfig()
    """When that is: {most: 256, every: 8, patience: 3}."""
    seeds: PositiveInt = 3
    """How many times everything is trained, each time with another seed; with one nothing can be decided."""
    until: Literal["decided"] | None = None
    """Whether further seeds follow, of the arms that may be the best, until the choice is decided or hopeless
    or one of the limits is reached; ``seeds`` are then those of the first look."""
    max_seeds: Annotated[int, Field(ge=2)] = 16
    """Most training seeds, where it is trained until decided."""
    max_cost: PositiveFloat | None = None
    """Most processor minutes of all runs of the comparison, where it is trained until decided; the first look
    is taken whatever it costs."""
    arms: Annotated[tuple[NamedArm, ...], Field(min_length=1)] = tuple(
        ArmConfig(name=name) for name in DEFAULT_ARMS
    )
    """Which ways of training to compare, each a name or {name: ..., label: ..., method: {name: ...}, ...};
    "grouped" is always among them."""

    @model_validator(mode="after")
    def _differ(self) -> ComparisonConfig:
        titles = [arm.title for arm in self.every_arm]
        for title in titles:
            if titles.count(title) > 1:
                raise ValueError(f"arms must have different labels, got {title!r} twice.")
        if not self.every_arm[0].is_usual or self.every_arm[0].name != "grouped":
            raise ValueError("the label 'grouped' is that of the groups trained as the learner trains.")
        if 1 in self.budgets and any(arm.branches for arm in self.arms):
            raise ValueError(
                f"{BRANCHED} parts the budget in two: every budget must be at least 2 steps a task."
            )
        return self

    @model_validator(mode="after")
    def _limits_have_looks(self) -> ComparisonConfig:
        for key in ("max_seeds", "max_cost"):
            default = type(self).model_fields[key].get_default()  # plain data of a study has all keys
            if self.until is None and getattr(self, key) != default:
                raise ValueError(f"{key} is a limit of 'until: decided'; add that, or leave {key} out.")
        if self.until is not None and self.seeds > self.max_seeds:
            raise ValueError(
                f"seeds are those of the first look and must be at most max_seeds {self.max_seeds}, got "
                f"{self.seeds}."
            )
        return self

    @model_validator(mode="after")
    def _converged_is_trained(self) -> ComparisonConfig:
        if self.converged != ConvergedConfig() and CONVERGED not in self.budgets:
            raise ValueError("converged is of the budget of that name; add it to budgets, or leave it out.")
        return self

    def length_of(self, budget: Budget) -> Length:
        """Return how long the models of a budget are trained."""
        if budget == CONVERGED:
            return Length(self.converged.most, self.converged.every, self.converged.patience)
        return Length(int(budget))

    @property
    def every_arm(self) -> tuple[ArmConfig, ...]:
        """The arms, that of the groups first."""
        grouped = [arm for arm in self.arms if arm.title == "grouped"] or [ArmConfig(name="grouped")]
        return (*grouped, *(arm for arm in self.arms if arm.title != "grouped"))

    @property
    def counts_parameters(self) -> bool:
        """Whether it matters how many parameters an arm trains."""
        return any(arm.trains_otherwise for arm in self.arms)

    @property
    def needs_baselines(self) -> bool:
        """Whether other groupers have to find groups too."""
        return any(arm.name in BASELINES for arm in self.arms)


class GroupingStudyConfig(StudyConfig):
    """A grouping study: tasks, a learner, how to measure affinity, how to group, what to compare with."""

    kind: Literal["grouping"] = "grouping"
    """What is studied: which tasks should be trained together."""
    learner: Annotated[LearnerConfig, LEARNERS]
    """What is trained."""
    affinity: Annotated[Estimator, ESTIMATORS] = GradientCosine()
    """How affinity is estimated."""
    grouping: GroupingConfig = GroupingConfig()
    """How the tasks are grouped."""
    comparison: ComparisonConfig | None = ComparisonConfig()
    """What the groups are compared with; null only groups."""
    sweep: dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Options of affinity and grouping with other values to be tried beside the file's, one at a time, such
    as {grouping.n_clusters: [5, 10, 15, 20]}: groups, density and test scores of each. Runs that two settings
    share are done once."""

    @property
    def estimator(self) -> Estimator:
        """How affinity is estimated, with the runs that the objective needs."""
        return self.affinity.for_objective(self.grouping.wants_gain)

    def check(self, where: str) -> None:
        """Check that tasks and learner fit, and that the arms exist."""
        if self.learner.reads_tasks and not self.tasks:
            raise InputError(f"{where}: tasks: the learner needs tasks; name a reader and a path.")
        if not self.learner.reads_tasks and self.tasks:
            raise InputError(f"{where}: tasks: this learner brings its own tasks; leave the key out.")
        if self.sweep and self.comparison is not None and self.comparison.until is not None:
            raise InputError(
                f"{where}: sweep: settings are compared at the seeds of the file; leave out comparison.until."
            )
        default, bound = GroupingConfig(), self.affinity.most_groups
        for key in ("n_clusters", "k_max", "rounding"):
            if self.affinity.finds_groups and getattr(self.grouping, key) != getattr(default, key):
                raise InputError(
                    f"{where}: grouping.{key}: this estimator finds the groups and their number itself; "
                    f"leave the key out, and bound the number by affinity.{bound}."
                )
