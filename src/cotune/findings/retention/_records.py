"""What a retention report shows, as plain values: all that was measured at every checkpoint of every run."""

from __future__ import annotations

from dataclasses import dataclass

from cotune._repr import Brief
from cotune.evaluation.format_specialisation._types import ModuleAlignment
from cotune.evaluation.last_stage import StageChange
from cotune.findings.runs import FailedRun


@dataclass(frozen=True, kw_only=True)
class RetentionTask(Brief):
    """A task that the models are tuned on (target) or only evaluated on.

    Parameters
    ----------
    name : str
        Unique within the study.
    metric : str
        Name of its metric.
    higher_is_better : bool
        The metric's direction. Averages are over the tasks whose metric is better when higher.
    examples : int or None
        Test examples it was scored on.
    notes : tuple of str
        One sentence for everything that was cut or dropped.
    sample : tuple of (str, str)
        Inputs and right answers of the examples whose answers are kept; empty where none are.
    type : str
        What it asks for, such as ``"translation"``: averages over the tasks of a type are told, too.
    """

    name: str
    metric: str
    higher_is_better: bool = True
    examples: int | None = None
    notes: tuple[str, ...] = ()
    sample: tuple[tuple[str, str], ...] = ()
    type: str = ""


@dataclass(frozen=True, kw_only=True)
class TargetScore(Brief):
    """The score of a target task at a checkpoint, in the units of its metric.

    Parameters
    ----------
    task : str
        One of ``RetentionData.targets``.
    validation : float
        What checkpoints are chosen by; NaN where it was not measured.
    test : float
        What is reported; NaN where it was not measured.
    answers : tuple of str
        To the first test examples, in the order of ``RetentionTask.sample``.
    """

    task: str
    validation: float
    test: float
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InContextValue(Brief):
    """The in-context score of an evaluation task at a checkpoint.

    Parameters
    ----------
    task : str
        One of ``RetentionData.evaluation``.
    shots : int
        Demonstrations in the prompt.
    draws : tuple of float
        The score under every draw of the demonstrations, at least one; draw i holds the same demonstrations
        at every checkpoint and for the pretrained model.
    label_share : float or None
        Share of the outputs, over all draws, that are labels of the target task (paper, Fig. 2); ``None``
        where the target has no label set, or the task's own answers are among those labels.
    first_word_share : float or None
        Share of those that begin with such a label, as the paper's post-processing reads classes; ``None``
        where the task's own answers do, and in what was stored before it was counted.
    answers : tuple of str
        To the first examples under the first draw, in the order of ``RetentionTask.sample``.
    """

    task: str
    shots: int
    draws: tuple[float, ...]
    label_share: float | None = None
    first_word_share: float | None = None
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RetentionCheckpoint(Brief):
    """What was measured of a model at one step.

    Parameters
    ----------
    stage : str
        Name of the training stage; the last stage of a run is the one shown along steps.
    step : int
        Training steps done within the stage.
    targets : tuple of TargetScore
        One for each target; empty for a pretrained model that was not scored on them.
    in_context : tuple of InContextValue
        One for each evaluation task and number of shots; empty where only the target was measured.
    alignment : tuple of ModuleAlignment
        Cosines of full and format gradient, one for each module group; empty where not measured.
    change : StageChange or None
        What the last stage has changed so far; None in an earlier stage and where it was not measured.
    untouched : bool
        Whether its weights are the pretrained model's, so that its in-context scores are.
    """

    stage: str
    step: int
    targets: tuple[TargetScore, ...] = ()
    in_context: tuple[InContextValue, ...] = ()
    alignment: tuple[ModuleAlignment, ...] = ()
    change: StageChange | None = None
    untouched: bool = False


@dataclass(frozen=True, kw_only=True)
class RetentionCost(Brief):
    """What one run cost, all its stages together, evaluation left out.

    Parameters
    ----------
    cpu_seconds, wall_seconds : float
        Of training; NaN where unknown.
    tokens : int or None
        Training tokens, prompt and target.
    trainable_parameters : int or None
        The most that any stage trained at once.
    disk_bytes : int or None
        Size of what the run leaves to keep: adapter, soft prompt, model.
    """

    cpu_seconds: float
    wall_seconds: float
    tokens: int | None = None
    trainable_parameters: int | None = None
    disk_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class RetentionRun(Brief):
    """One model tuned by one method at one learning rate under one seed.

    Parameters
    ----------
    method : str
        The method's label, one of ``RetentionData.methods``.
    learning_rate : float
        Of the last stage.
    seed : int
        Runs of all methods with the same seed are compared with one another.
    checkpoints : tuple of RetentionCheckpoint
        In the order of training.
    best : int or None
        Position in ``checkpoints`` of the one kept, chosen by the validation score among those after a step
        of the last stage that changed something; ``None`` where there is none.
    equal : int or None
        Position of the first such checkpoint whose validation score reaches ``RetentionData.threshold``;
        ``None`` where the run never does.
    cost : RetentionCost or None
        What the run cost.
    """

    method: str
    learning_rate: float
    seed: int
    checkpoints: tuple[RetentionCheckpoint, ...]
    best: int | None = None
    equal: int | None = None
    cost: RetentionCost | None = None


@dataclass(frozen=True, kw_only=True)
class ReplayArm(Brief):
    """A method that puts something beside the targets, among those that differ in how much of it alone.

    Parameters
    ----------
    label : str
        The method's label.
    family : str
        What is put there and what is done with it.
    ratio : float
        How much for each example of the targets; 0 for the method that puts nothing there.
    """

    label: str
    family: str
    ratio: float


@dataclass(frozen=True, kw_only=True)
class RetentionData(Brief):
    """One retention report.

    Parameters
    ----------
    title : str
        Usually the study's name.
    date : str
        When the study was made, as it shall be printed; the clock is never read.
    targets : tuple of RetentionTask
        The tasks tuned on, at least one.
    evaluation : tuple of RetentionTask
        The tasks only evaluated on, in context.
    methods : tuple of str
        Labels of the methods in the order shown.
    learning_rates : tuple of float
        In the order of the study; the tables and figures of the first are open.
    pretrained : RetentionCheckpoint
        The model before any tuning.
    runs : tuple of RetentionRun
        All finished runs.
    threshold : float or None
        The validation score at which methods are compared at equal target score.
    threshold_rule : str
        In words, where the threshold comes from, such as ``"given in the study"``; without a threshold, why.
    labels : tuple of str
        The label set of the target task, empty for free text.
    failures : tuple of FailedRun
        Every run that failed.
    provenance : tuple of (str, str)
        Study name, model, seeds, versions, machine class: name and value, in the order shown.
    notes : tuple of str
        Anything else a reader must know, one sentence each, shown under the answer.
    replay : tuple of ReplayArm
        The methods compared by how much stands beside the targets, where there are several.
    replay_keeps : float
        The share of the pretrained in-context score that the smallest of these is foretold for.
    """

    title: str
    date: str
    targets: tuple[RetentionTask, ...]
    evaluation: tuple[RetentionTask, ...]
    methods: tuple[str, ...]
    learning_rates: tuple[float, ...]
    pretrained: RetentionCheckpoint
    runs: tuple[RetentionRun, ...]
    threshold: float | None = None
    threshold_rule: str = ""
    labels: tuple[str, ...] = ()
    failures: tuple[FailedRun, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    replay: tuple[ReplayArm, ...] = ()
    replay_keeps: float = 0.9
