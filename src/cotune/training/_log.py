"""What a training run did, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from cotune.training.batches import TaskBatch


class StepLosses(NamedTuple):
    """What one step saw, and the losses before it; all losses are means per target token, in nats."""

    loss: float
    """Of the instruction examples, without weights; with label smoothing the smoothed one."""
    by_task: Mapping[str, float]
    """The loss of each task's examples."""
    replay: float | None
    """The loss of the replayed text; None in a step without any."""


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """What a training run did.

    Parameters
    ----------
    losses : tuple of float
        Mean negative log-likelihood per target token of each step's batch, before the step, in nats; with
        label smoothing the smoothed one. Replayed text does not enter.
    tokens : int
        Tokens of all examples seen, counted one by one, and of all replayed text.
    seconds : float
        Wall time of the steps.
    examples : tuple of mapping of str to int
        By step, how many examples of each of its tasks were seen.
    task_losses : tuple of mapping of str to float
        By step, the loss of each task's examples.
    windows : tuple of int
        By step, how many windows of text were replayed.
    replay_losses : tuple of float or None
        By step, their mean loss per target token; None in a step without any.
    replay_tokens : int
        Tokens of the replayed text, which ``tokens`` holds too.
    """

    losses: tuple[float, ...]
    tokens: int
    seconds: float
    examples: tuple[Mapping[str, int], ...] = ()
    task_losses: tuple[Mapping[str, float], ...] = ()
    windows: tuple[int, ...] = ()
    replay_losses: tuple[float | None, ...] = ()
    replay_tokens: int = 0

    @property
    def examples_seen(self) -> dict[str, int]:
        """Instruction examples of the whole run by task; their sum is steps times batch size."""
        return total_counts(self.examples)

    @property
    def windows_seen(self) -> int:
        """Windows of text replayed in the whole run."""
        return sum(self.windows)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingLog:
        """Read what ``asdict`` gave, of older versions too."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**values)


@dataclass
class StepRecord:
    """The log of a run under way; its fields are those of :class:`TrainingLog`, of plain types."""

    losses: list[float] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    examples: list[Mapping[str, int]] = field(default_factory=list)
    task_losses: list[Mapping[str, float]] = field(default_factory=list)
    windows: list[int] = field(default_factory=list)
    replay_losses: list[float | None] = field(default_factory=list)
    replay_tokens: int = 0

    def add(self, losses: StepLosses, batch: TaskBatch) -> None:
        """Note a step that is done."""
        self.losses.append(losses.loss)
        self.tokens += batch.tokens + batch.replay_tokens
        self.examples.append(batch.counts)
        self.task_losses.append(losses.by_task)
        self.windows.append(len(batch.replay))
        self.replay_losses.append(losses.replay)
        self.replay_tokens += batch.replay_tokens

    @property
    def log(self) -> TrainingLog:
        """What was noted so far."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return TrainingLog.from_dict(values)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StepRecord:
        """Read what ``asdict`` gave, of an older version too, among other keys."""
        values: dict[str, Any] = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        return cls(**values)


def total_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add counts up by name; the names sorted."""
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))
