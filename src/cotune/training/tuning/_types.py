from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cotune._repr import Brief
from cotune.training._log import total_counts

if TYPE_CHECKING:
    from cotune.training._log import TrainingLog
    from cotune.training.methods import Attached, Stage


class Watcher(Protocol):
    """What is asked at every checkpoint."""

    def checkpoint(self, attached: Attached, stage: Stage, step: int) -> float:
        """Return the validation score of the model as it is, higher is better; may measure and keep more.

        The module is in evaluation mode, and random numbers drawn here do not change the training. After a
        kill the last checkpoint may be asked for once more.

        Parameters
        ----------
        attached : Attached
            The model.
        stage : Stage
            The stage under way.
        step : int
            Steps of the stage that are done, 0 before the first.
        """
        ...


class Checkpoint(NamedTuple):
    """A checkpoint's place in the run and its score."""

    stage: str
    """The stage's name."""
    step: int
    """Steps of the stage that were done."""
    score: float
    """What the watcher gave."""


@dataclass(frozen=True)
class Tuned(Brief):
    """A tuned model, the best checkpoint of every stage restored.

    Parameters
    ----------
    attached : Attached
        The model.
    checkpoints : tuple of Checkpoint
        All of them, in order.
    best : mapping of str to Checkpoint
        By stage the one that was restored: the highest score of those after a step, the first of those alike.
    logs : mapping of str to TrainingLog
        By stage what its training did.
    reused : tuple of str
        Stages that another run had done before.
    notes : tuple of str
        A sentence for everything of the recipe or the data that does not fit the model.
    """

    attached: Attached
    checkpoints: tuple[Checkpoint, ...]
    best: Mapping[str, Checkpoint]
    logs: Mapping[str, TrainingLog]
    reused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Training tokens of all stages, counted one by one, those of replayed text included."""
        return sum(log.tokens for log in self.logs.values())

    @property
    def examples_seen(self) -> dict[str, int]:
        """Training examples of all stages by task; replayed text is not among them."""
        return total_counts(counts for log in self.logs.values() for counts in log.examples)

    @property
    def replay_losses(self) -> tuple[float | None, ...]:
        """Loss of the text replayed in every step of all stages, None in a step without."""
        return tuple(loss for log in self.logs.values() for loss in log.replay_losses)
