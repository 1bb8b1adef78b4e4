"""What goes into a comparison of arms and what comes out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cotune._repr import Brief
from cotune.findings._plain import Plain
from cotune.findings.comparison._budget import Budget
from cotune.findings.comparison._looks import Course

Decision: TypeAlias = Literal[
    "train together",
    "train in these groups",
    "train together first, then in these groups",
    "train each alone",
    "not decided by these runs",
]
"""What a comparison of joint training, the groups and one model for each task can end in.

Training together first is one of two ways to train in these groups; where the two are not told apart but are
better than all else, it ends in ``"train in these groups"``, and its sentence says that the way is open."""

CONFIDENCE = 0.95
"""Confidence level of every margin."""


@dataclass(frozen=True, slots=True)
class ArmScore(Brief, Plain):
    """How one trained model of one arm did on the test examples of one task.

    Parameters
    ----------
    arm : str
        How the tasks were trained: ``"grouped"``, ``"branched"``, ``"joint"``, ``"single"``, ``"random"``.
    budget : Budget
        Training steps per task; every arm of a budget takes the same number of steps in all.
    seed : int
        Training seed; two arms are compared seed by seed.
    task : str
        Name of the scored task.
    value : float
        Mean of the metric over the test examples, in the metric's units.
    higher_is_better : bool
        Direction of the metric.
    metric : str
        Name of the metric.
    per_example : tuple of float
        The metric of every test example, in the same order for all arms, budgets and seeds.
    examples : str
        Name of the set of test examples: tasks with one name are scored on the same examples in the same
        order, as the instructions of one data set are. Empty where the task has examples of its own.
    """

    arm: str
    budget: Budget
    seed: int
    task: str
    value: float
    higher_is_better: bool
    metric: str
    per_example: tuple[float, ...]
    examples: str = ""


@dataclass(frozen=True, slots=True)
class MeanWithMargin(Brief, Plain):
    """A mean with its uncertainty for a fixed set of tasks.

    Parameters
    ----------
    mean : float
        The mean over examples and seeds (and tasks and budgets where it is an average).
    se_examples : float
        Standard error from the choice of test examples; NaN with one example.
    se_seeds : float
        Standard error from the training seeds; NaN where nothing was trained with more than one.
    se_shared : float
        Standard error from what one seed does on one example; it is in both other parts, and 0 where it is
        unknown.
    dof_examples, dof_seeds : float
        Degrees of freedom of either part; NaN where it is unknown or 0.
    margin : float
        Half width of the 95 % interval; NaN where a part is unknown.
    examples : int
        Test examples behind the mean, those that tasks share counted once.
    example_sets : int
        Sets that they are in: one for each task, and one for all tasks that share theirs.
    seeds : int
        Training seeds behind the mean; some of its parts may have fewer.
    """

    mean: float
    se_examples: float
    se_seeds: float
    se_shared: float
    dof_examples: float
    dof_seeds: float
    margin: float
    examples: int
    example_sets: int
    seeds: int

    @property
    def stderr(self) -> float:
        """All parts together, what is in both counted once; NaN where one is unknown."""
        both = self.se_examples**2 + self.se_seeds**2
        return math.sqrt(both - min(self.se_shared, self.se_examples, self.se_seeds) ** 2)

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of zero, 0 where it does not or is unknown."""
        if math.isnan(self.margin) or abs(self.mean) <= self.margin:
            return 0
        return 1 if self.mean > 0 else -1


@dataclass(frozen=True, slots=True)
class ArmMean(Brief, Plain):
    """Score of an arm on a task at a budget, in the metric's units and direction."""

    arm: str
    budget: Budget
    task: str
    score: MeanWithMargin


@dataclass(frozen=True, slots=True)
class TaskValue(Brief, Plain):
    """The mean of one task in the metric's units."""

    task: str
    value: float


@dataclass(frozen=True, slots=True)
class ArmAverage(Brief, Plain):
    """Score of an arm at a budget averaged over the tasks of a metric that were scored.

    Averages of two arms compare only when their ``tasks`` agree; contrasts always do. ``spread`` is the
    standard deviation over tasks of their means, NaN for one task; ``worst`` the task that fares worst.
    """

    arm: str
    budget: Budget
    metric: str
    tasks: tuple[str, ...]
    score: MeanWithMargin
    spread: float
    worst: TaskValue


@dataclass(frozen=True, slots=True)
class TaskGain(Brief, Plain):
    """Gain of the reference over an arm on one task: positive means the reference is better.

    ``budget`` is ``None`` for the mean over budgets. ``sign`` is 1 for a gain and -1 for a loss among the
    tasks of this arm and budget at a false discovery rate of 5 % (Benjamini-Hochberg), else 0: of a hundred
    tasks without any effect five are beyond their own 95 % margins.
    """

    arm: str
    budget: Budget | None
    task: str
    gain: MeanWithMargin
    sign: int


@dataclass(frozen=True, slots=True)
class Contrast(Brief, Plain):
    """Gain of ``reference`` over ``arm`` averaged over the tasks of one metric.

    Parameters
    ----------
    reference, arm : str
        Positive gains mean that ``reference`` is better.
    budget : Budget or None
        ``None`` for the mean over budgets.
    metric : str
        The metric of the averaged tasks.
    tasks : tuple of str
        The tasks with at least one pair.
    gain : MeanWithMargin
        In the metric's units, turned so that positive is better.
    pairs, missing : int
        Pairs (task, seed, budget) used, and left out because one side has no record.
    """

    reference: str
    arm: str
    budget: Budget | None
    metric: str
    tasks: tuple[str, ...]
    gain: MeanWithMargin
    pairs: int
    missing: int


@dataclass(frozen=True, slots=True)
class Needs(Brief, Plain):
    """What would decide, if differences and spreads stayed as they are: one or the other, not both.

    Parameters
    ----------
    seeds : int or None
        The smallest number of further seeds; None where none up to a hundred would do.
    examples : int or None
        The smallest number of further test examples for each task; None where none up to ten thousand would
        do.
    text : str
        The same in words.
    left_out : int or None
        How many test examples the data have beyond those scored, of the task that has the fewest; None where
        that is not known.
    """

    seeds: int | None
    examples: int | None
    text: str
    left_out: int | None = None


@dataclass(frozen=True, slots=True)
class Outlook(Brief, Plain):
    """Where a choice stands after one of the looks at a comparison that ends once it is decided.

    Parameters
    ----------
    look : int
        Which look, from 1.
    contenders : tuple of str
        The arms that may be the best.
    told_apart : tuple of (str, str)
        Pairs of which the first is better than the second, by this look or an earlier one.
    chance : float
        How likely the last look planned tells which is the best, by what is known now; NaN while no margin is
        known.
    """

    look: int
    contenders: tuple[str, ...]
    told_apart: tuple[tuple[str, str], ...]
    chance: float


@dataclass(frozen=True, slots=True)
class Verdict(Brief, Plain):
    """A decision with the sentence that carries its margin, and what else must be said.

    ``budget`` is ``None`` for the verdict over all budgets, ``needs`` where something is decided or where no
    run could be compared, ``outlook`` where the comparison is looked at once.
    """

    budget: Budget | None
    decision: Decision
    sentence: str
    remarks: tuple[str, ...]
    needs: Needs | None = None
    outlook: Outlook | None = None

    @property
    def reason(self) -> str:
        """The sentence without what deciding would need, which the answer says."""
        return (
            self.sentence.removesuffix(f" Deciding would need {self.needs.text}.")
            if self.needs
            else self.sentence
        )

    @property
    def answer(self) -> str:
        """The decision in a line, with what it would need where there is none."""
        opening = f"{self.decision[0].upper()}{self.decision[1:]}"
        return f"{opening}, would need {self.needs.text}." if self.needs else f"{opening}."


@dataclass(frozen=True, slots=True)
class MetricTasks(Brief, Plain):
    """A metric, its direction and the tasks it scores."""

    name: str
    higher_is_better: bool
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison(Brief, Plain):
    """Everything a table, a figure or a verdict needs; made by :func:`compare`.

    Parameters
    ----------
    reference : str
        The arm whose gains are given.
    arms : tuple of str
        All arms, the reference among them.
    budgets : tuple of Budget
        Training steps per task, ascending.
    seeds : tuple of int
        All training seeds.
    tasks : tuple of str
        All tasks, by first appearance.
    metrics : tuple of MetricTasks
        The metric of most tasks first: the verdicts come from it.
    means : tuple of ArmMean
        Every (arm, budget, task) with a record.
    averages : tuple of ArmAverage
        Every (arm, budget, metric) with a record.
    gains : tuple of TaskGain
        Of the reference over every other arm, by budget and over all budgets.
    contrasts : tuple of Contrast
        Of the reference over every other arm, by metric and budget and over all budgets.
    verdicts : tuple of Verdict
        One for each budget.
    overall : Verdict
        Over all budgets.
    notes : tuple of str
        What was left out and what is unknown, one sentence each.
    course : Course or None
        How it went, where it ends once it is decided.
    """

    reference: str
    arms: tuple[str, ...]
    budgets: tuple[Budget, ...]
    seeds: tuple[int, ...]
    tasks: tuple[str, ...]
    metrics: tuple[MetricTasks, ...]
    means: tuple[ArmMean, ...]
    averages: tuple[ArmAverage, ...]
    gains: tuple[TaskGain, ...]
    contrasts: tuple[Contrast, ...]
    verdicts: tuple[Verdict, ...]
    overall: Verdict
    notes: tuple[str, ...]
    course: Course | None = None

    @property
    def readings(self) -> tuple[Verdict, ...]:
        """The verdicts to be read, that over all budgets last; of one budget there is but one."""
        return (*self.verdicts, self.overall) if len(self.verdicts) > 1 else (self.overall,)
