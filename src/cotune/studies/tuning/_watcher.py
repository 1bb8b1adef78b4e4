from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cotune.studies.tuning._scores import Questions

if TYPE_CHECKING:
    from cotune.training.methods import Attached, Stage


class TargetWatcher:
    """Scores checkpoints by the target's validation examples.

    Parameters
    ----------
    questions : Questions
        What is asked.
    on_first : callable
        Called before the first checkpoint: from here on the run has something to lose.
    on_checkpoint : callable
        Called with stage, step and score of every checkpoint.
    """

    def __init__(
        self,
        questions: Questions,
        on_first: Callable[[], None],
        on_checkpoint: Callable[[str, int, float], None],
    ) -> None:
        self._questions, self._on_first, self._on_checkpoint = questions, on_first, on_checkpoint

    def checkpoint(self, attached: Attached, stage: Stage, step: int) -> float:
        """Return the validation score of the target, higher is better."""
        ids = attached.prompt_ids(self._questions.target.name)
        row = self._questions.ask_target(attached.module, "validation", ids)
        self._on_first()
        self._on_checkpoint(stage.name, step, row.mean)
        return row.mean if row.higher_is_better else -row.mean
