"""What a study of groups measured and found, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from cotune._repr import Brief
from cotune.findings.comparison import Budget, Comparison, MeasuredGain
from cotune.findings.grouping._gain import PredictedGains
from cotune.findings.grouping._sweep import SettingRow
from cotune.findings.runs import FailedRun, RunKind

if TYPE_CHECKING:
    from cotune.tasks import SampleAnswer

MatrixRows: TypeAlias = Sequence[Sequence[float]]
"""n rows of n numbers in the order of ``GroupingFindings.tasks`` (``array.tolist()``); NaN where unknown."""


@dataclass(frozen=True, kw_only=True)
class TaskRow(Brief):
    """One task as the study read it.

    Parameters
    ----------
    name : str
        Unique within the study.
    metric : str
        Name of its metric.
    train, validation, test : int or None
        Examples of each split, None where they are drawn without end.
    category : str
        The family its author put it in, or empty.
    notes : tuple of str
        One sentence for everything that was cut or dropped.
    instruction : str
        What its prompts open with, or empty.
    example : tuple of (str, str)
        The input of a test example and its right answer, or empty.
    answers : tuple of SampleAnswer
        A few test examples as they were answered before and after training in the task's group, or empty.
    """

    name: str
    metric: str
    train: int | None
    validation: int | None
    test: int | None
    category: str = ""
    notes: tuple[str, ...] = ()
    instruction: str = ""
    example: tuple[str, ...] = ()
    answers: tuple[SampleAnswer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NegativeTransfer(Brief):
    """How well it was predicted which subsets of one size leave a task worse than alone.

    Parameters
    ----------
    size : int
        Tasks in a subset.
    f1 : float
        F1 of calling "worse than alone", averaged over tasks; NaN where it is defined for none.
    tasks, scores : int
        Tasks it is defined for, and scores predicted.
    prevalence : float
        Share of the scores that are worse than alone; calling all of them so has an F1 of 2p / (1 + p).
    """

    size: int
    f1: float
    tasks: int
    scores: int
    prevalence: float

    @property
    def f1_of_everything(self) -> float:
        """F1 of calling all worse: every truth is found, at the precision of the prevalence."""
        return 2 * self.prevalence / (1 + self.prevalence)


@dataclass(frozen=True, kw_only=True)
class AffinityData(Brief):
    """The estimated affinity and how it was made ready for grouping.

    Parameters
    ----------
    matrix : MatrixRows
        The estimate T_ij (Eq. 6), rows i; NaN where tasks i and j were never sampled together.
    unit : str
        What one entry of ``matrix`` is, such as ``"mean -mse of task i over subsets with task j"``.
    prepared : MatrixRows or None
        The matrix that was clustered; shown as the main heat map when given.
    steps : tuple of str
        How ``prepared`` came from ``matrix``, one sentence each.
    counts : sequence of sequence of int or None
        Samples behind each entry: the runs whose subset contained both i and j.
    stderr : MatrixRows or None
        Standard error of each entry of ``matrix``.
    estimator : str
        Name of the estimator in words, such as ``"higher-order, 84 subsets of 3"``.
    gains : MatrixRows or None
        Scores in company less the score alone (Fig. 1 of AdaGroup), where both are known.
    alone : tuple of float
        Score of each task trained alone, higher is better, NaN where unknown; or empty.
    agreement : tuple of float
        How far predicted scores of each task agree with trained ones, NaN where unknown; or empty.
    agreement_measure : str
        What ``agreement`` measures, in words.
    negative_transfer : tuple of NegativeTransfer
        How well negative transfer was predicted (Fig. 8 of AdaGroup), by subset size; or empty.
    negative_transfer_predictor : str
        What predicted it, in words.
    """

    matrix: MatrixRows
    unit: str = "affinity"
    prepared: MatrixRows | None = None
    steps: tuple[str, ...] = ()
    counts: Sequence[Sequence[int]] | None = None
    stderr: MatrixRows | None = None
    estimator: str = ""
    gains: MatrixRows | None = None
    alone: tuple[float, ...] = ()
    agreement: tuple[float, ...] = ()
    agreement_measure: str = ""
    negative_transfer: tuple[NegativeTransfer, ...] = ()
    negative_transfer_predictor: str = ""


@dataclass(frozen=True, kw_only=True)
class GroupRow(Brief):
    """One group of tasks.

    Parameters
    ----------
    name : str
        Such as ``"group 1"``.
    tasks : tuple of str
        Its members, at least one.
    density : float
        Sum of the affinities inside over the number of members (Eq. 2), on the matrix that was clustered.
    gain : float or None
        Predicted weighted mean gain of its tasks over training each alone; None where that is not known.
    """

    name: str
    tasks: tuple[str, ...]
    density: float
    gain: float | None = None


@dataclass(frozen=True, kw_only=True)
class ArmCost(Brief):
    """What an arm took at a budget, a seed: all its models and what they go on from.

    Parameters
    ----------
    arm : str
        The arm.
    budget : Budget
        The budget.
    seeds : int
        Seeds that it is the mean of.
    steps : float
        Optimiser steps that were done.
    kept_steps : float
        Those up to the states that were kept; fewer where models end by their validation loss.
    tokens : float or None
        Training tokens, None of a learner without.
    cpu_seconds : float
        Processor time of training and scoring.
    """

    arm: str
    budget: Budget
    seeds: int
    steps: float
    kept_steps: float
    tokens: float | None
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class ArmRow(Brief):
    """What an arm of the comparison trains.

    Parameters
    ----------
    name : str
        The arm.
    adapters : int
        How many.
    parameters : int or None
        That all of them train together, None where it was not counted.
    """

    name: str
    adapters: int
    parameters: int | None


@dataclass(frozen=True, kw_only=True)
class KRule(Brief):
    """The curve of one rule for the number of groups.

    Parameters
    ----------
    name : str
        Such as ``"entry cross-validation"``.
    ks : tuple of int
        The numbers of groups tried.
    values : tuple of float
        The rule's criterion at each; NaN where it has none.
    errors : tuple of float
        Standard errors of the values, or empty.
    chosen : int or None
        The k this rule alone would choose.
    better : {"high", "low"}
        Which values the rule prefers.
    """

    name: str
    ks: tuple[int, ...]
    values: tuple[float, ...]
    errors: tuple[float, ...] = ()
    chosen: int | None = None
    better: Literal["high", "low"] = "high"


@dataclass(frozen=True, kw_only=True)
class Baseline(Brief):
    """The groups another grouper found on the same matrix with the same k.

    Parameters
    ----------
    name : str
        Such as ``"spectral"``.
    labels : tuple of int
        The group of every task, in the order of ``GroupingFindings.tasks``.
    objective : float
        Sum of densities (Eq. 3) on the matrix that was clustered.
    """

    name: str
    labels: tuple[int, ...]
    objective: float


@dataclass(frozen=True, kw_only=True)
class GroupingData(Brief):
    """The groups, how good they are proved to be, and what else was tried.

    Parameters
    ----------
    groups : tuple of GroupRow
        Every task in exactly one.
    objective : float
        Sum of the densities of the groups (Eq. 3).
    sdp_value, upper_bound, gap : float or None
        Value of the relaxation (Eq. 5), proved bound on every partition's objective, and the relative
        distance of the objective from that bound.
    certified : bool or None
        Whether the bound proves the groups optimal for their k; ``None`` where no bound was computed.
    k_rule : str
        In words, how the number of groups was chosen: ``"entry cross-validation"``, ``"given in the study"``.
    k_path : tuple of KRule
        Every rule's curve, empty when k was given.
    method : str
        Name of the grouper.
    baselines : tuple of Baseline
        Other groupers on the same matrix.
    co_assignment : MatrixRows or None
        How often two tasks fell in the same group over bootstrap resamples of the runs, 0 to 1.
    confidence : tuple of float
        How often each task stayed in its group over those resamples, 0 to 1, in the order of
        ``GroupingFindings.tasks``; empty where the runs were not resampled.
    resamples : int
        Number of resamples.
    notes : tuple of str
        Warnings of the grouping, one sentence each.
    gain : PredictedGains or None
        What the groups are predicted to gain, where they were chosen by that.
    density_labels : tuple of int
        The groups by density beside them, in the order of ``GroupingFindings.tasks``, that ``objective``,
        its bound, ``k_path`` and the resamples are of; empty where those are ``groups`` themselves.
    """

    groups: tuple[GroupRow, ...]
    objective: float
    sdp_value: float | None = None
    upper_bound: float | None = None
    gap: float | None = None
    certified: bool | None = None
    k_rule: str = ""
    k_path: tuple[KRule, ...] = ()
    method: str = "sdp"
    baselines: tuple[Baseline, ...] = ()
    co_assignment: MatrixRows | None = None
    confidence: tuple[float, ...] = ()
    resamples: int = 0
    notes: tuple[str, ...] = ()
    gain: PredictedGains | None = None
    density_labels: tuple[int, ...] = ()

    @property
    def k(self) -> int:
        """Number of groups by density."""
        return len(set(self.density_labels)) or len(self.groups)


@dataclass(frozen=True, kw_only=True)
class ReferenceLabels(Brief):
    """A partition somebody else made, such as the tasks' categories: only to compare with.

    Parameters
    ----------
    name : str
        Such as ``"categories"``.
    labels : tuple of str
        One for every task, in the order of ``GroupingFindings.tasks``.
    """

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class GroupingFindings(Brief):
    """What a study of which tasks to train together found.

    Parameters
    ----------
    title : str
        Usually the study's name.
    date : str
        When the study was made, as it shall be printed; the clock is never read.
    tasks : tuple of TaskRow
        All tasks; every matrix and label sequence has their order.
    affinity : AffinityData or None
        ``None`` where affinity was not estimated yet.
    grouping : GroupingData or None
        ``None`` where the tasks were not grouped yet.
    comparison : Comparison or None
        ``None`` where the arms were not trained.
    measured : tuple of MeasuredGain
        Predicted gains beside those of the comparison; empty where nothing was predicted or compared.
    sweep : tuple of SettingRow
        What other settings come to, the file's own first; empty without a sweep.
    arms : tuple of ArmRow
        What the arms of the comparison train; empty where it is not known.
    costs : tuple of ArmCost
        What they took, by budget.
    reference : ReferenceLabels or None
        A partition to compare all groupers with.
    runs : tuple of RunKind
        What was run.
    failures : tuple of FailedRun
        Every run that failed.
    provenance : tuple of (str, str)
        Study name, model, seeds, versions, machine class: name and value, in the order shown.
    notes : tuple of str
        Anything else a reader must know, one sentence each, shown under the answer.
    """

    title: str
    date: str
    tasks: tuple[TaskRow, ...]
    affinity: AffinityData | None = None
    grouping: GroupingData | None = None
    comparison: Comparison | None = None
    measured: tuple[MeasuredGain, ...] = ()
    sweep: tuple[SettingRow, ...] = ()
    arms: tuple[ArmRow, ...] = ()
    costs: tuple[ArmCost, ...] = ()
    reference: ReferenceLabels | None = None
    runs: tuple[RunKind, ...] = ()
    failures: tuple[FailedRun, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
