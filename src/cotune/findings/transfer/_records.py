"""What the report of a transfer study shows, as plain values: all that was measured of every checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from cotune._repr import Brief
from cotune.evaluation.gradient_conflict import TaskGradients
from cotune.findings.runs import FailedRun


@dataclass(frozen=True, kw_only=True)
class TransferTask(Brief):
    """A task that models are instruction-tuned on, or that is held out.

    Parameters
    ----------
    name : str
        Unique within the study.
    held_out : bool
        Whether it is transferred to instead of trained on.
    metric : str
        Name of its metric.
    higher_is_better : bool
        The metric's direction.
    train, test : int
        Examples to train on, and examples evaluated.
    notes : tuple of str
        One sentence for everything that was cut or dropped.
    """

    name: str
    held_out: bool
    metric: str
    higher_is_better: bool
    train: int
    test: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TransferPoint(Brief):
    """A model on a held-out task after so many examples, by draw of the examples.

    Parameters
    ----------
    examples : int
        How many the model was fine-tuned on, or shown in the prompt.
    scores : tuple of float
        The task's metric.
    losses : tuple of float
        Mean negative log-likelihood per token of the targets, in nats.
    """

    examples: int
    scores: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def score(self) -> float:
        """Mean score over the draws."""
        return fmean(self.scores)

    @property
    def loss(self) -> float:
        """Mean loss over the draws."""
        return fmean(self.losses)


@dataclass(frozen=True, kw_only=True)
class HeldOutResult(Brief):
    """What a model can do on a held-out task.

    Parameters
    ----------
    task : str
        Name of the task.
    transfer : tuple of TransferPoint
        By number of examples fine-tuned on, increasing.
    in_context : tuple of TransferPoint
        By number of demonstrations.
    """

    task: str
    transfer: tuple[TransferPoint, ...]
    in_context: tuple[TransferPoint, ...]

    def transferred(self, examples: int) -> TransferPoint | None:
        """Return what fine-tuning on so many examples gives, None where it was not measured."""
        return next((point for point in self.transfer if point.examples == examples), None)

    def shown(self, shots: int) -> TransferPoint | None:
        """Return what so many demonstrations give, None where it was not measured."""
        return next((point for point in self.in_context if point.examples == shots), None)


@dataclass(frozen=True, kw_only=True)
class SeenLoss(Brief):
    """The losses of a model on a task that it was trained on, in nats a token.

    Parameters
    ----------
    task : str
        Name of the task.
    train, test : float
        On examples it was trained on, and on others.
    """

    task: str
    train: float
    test: float


@dataclass(frozen=True, kw_only=True)
class TransferCheckpoint(Brief):
    """What was measured of a model after some steps.

    Parameters
    ----------
    step : int
        Steps done; 0 is the pretrained model.
    held_out : tuple of HeldOutResult
        One for each held-out task.
    seen : tuple of SeenLoss
        One for each training task; none of the pretrained model.
    """

    step: int
    held_out: tuple[HeldOutResult, ...]
    seen: tuple[SeenLoss, ...] = ()

    def of(self, task: str) -> HeldOutResult | None:
        """Return the result on a held-out task, None where it was not measured."""
        return next((result for result in self.held_out if result.task == task), None)


@dataclass(frozen=True, kw_only=True)
class TransferArm(Brief):
    """One of the ways to instruction-tune that are compared.

    Parameters
    ----------
    label : str
        What it is called.
    scheme : str
        How tasks are sampled.
    method : str
        What is trained.
    replay : float
        Ratio of replayed text; 0 for none.
    groups : int
        Number of models, each of a group of the tasks.
    recipe : str
        Hash of all but replay: arms of one recipe differ in their replay alone.
    """

    label: str
    scheme: str
    method: str
    replay: float = 0.0
    groups: int = 1
    recipe: str = ""


@dataclass(frozen=True, kw_only=True)
class TransferRun(Brief):
    """One instruction-tuned model.

    Parameters
    ----------
    arm : str
        Label of its arm.
    seed : int
        Runs of all arms with the same seed are compared with one another.
    checkpoints : tuple of TransferCheckpoint
        In the order of training.
    group : str
        Which of the arm's models, where it has several.
    instructions : tuple of (str, int)
        By task how many of its examples were trained on, repetitions counted.
    losses : tuple of float
        Training loss by step, on instructions.
    replay_losses : tuple of float or None
        The same on replayed text; None in a step without any.
    windows : int
        Windows of text replayed.
    cpu_seconds : float
        Of training, seen losses included.
    gradients : tuple of (int, TaskGradients)
        By step of the last stage, the gradients of the tasks trained on, where they were taken.
    """

    arm: str
    seed: int
    checkpoints: tuple[TransferCheckpoint, ...]
    group: str = ""
    instructions: tuple[tuple[str, int], ...] = ()
    losses: tuple[float, ...] = ()
    replay_losses: tuple[float | None, ...] = ()
    windows: int = 0
    cpu_seconds: float = 0.0
    gradients: tuple[tuple[int, TaskGradients], ...] = ()

    @property
    def last(self) -> TransferCheckpoint:
        """The model at the end."""
        return self.checkpoints[-1]


@dataclass(frozen=True, kw_only=True)
class MarkedModel(Brief):
    """A model fine-tuned on held-out tasks that are marked in another way than the study's first.

    Parameters
    ----------
    marking : str
        How they are marked.
    held_out : tuple of HeldOutResult
        One for each held-out task, without what is measured in context.
    arm : str
        Label of its arm, at the end of training; empty for the pretrained model.
    seed : int
        Of the run.
    group : str
        Which of the arm's models, where it has several.
    """

    marking: str
    held_out: tuple[HeldOutResult, ...]
    arm: str = ""
    seed: int = 0
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class TransferData(Brief):
    """The report of a transfer study.

    Parameters
    ----------
    title : str
        Usually the study's name.
    date : str
        When the study was made, as it shall be printed; the clock is never read.
    tasks : tuple of TransferTask
        Training and held-out tasks.
    arms : tuple of TransferArm
        In the order shown.
    pretrained : TransferCheckpoint
        The model before any tuning.
    runs : tuple of TransferRun
        All finished runs.
    along : tuple of int
        Numbers of examples that every checkpoint was fine-tuned on, the largest last.
    marking : str
        How held-out tasks are marked when fine-tuned.
    failures : tuple of FailedRun
        Every run that failed.
    provenance : tuple of (str, str)
        Study name, model, seeds, versions: name and value, in the order shown.
    marked : tuple of MarkedModel
        The same fine-tunings under further markings.
    """

    title: str
    date: str
    tasks: tuple[TransferTask, ...]
    arms: tuple[TransferArm, ...]
    pretrained: TransferCheckpoint
    runs: tuple[TransferRun, ...]
    along: tuple[int, ...]
    marking: str
    failures: tuple[FailedRun, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    marked: tuple[MarkedModel, ...] = ()

    @property
    def held_out(self) -> tuple[TransferTask, ...]:
        """The held-out tasks."""
        return tuple(task for task in self.tasks if task.held_out)

    @property
    def shots(self) -> int:
        """The most demonstrations of the in-context measurements."""
        return max(point.examples for result in self.pretrained.held_out for point in result.in_context)

    def of_arm(self, label: str) -> tuple[TransferRun, ...]:
        """Return the runs of an arm."""
        return tuple(run for run in self.runs if run.arm == label)


def mean(values: Iterable[float]) -> float:
    """Return a mean; NaN of nothing."""
    known = list(values)
    return fmean(known) if known else float("nan")
