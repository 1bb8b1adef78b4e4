"""What is measured before, along and after: the target under its prompt, others in context without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cotune._repr import Brief
from cotune.answering import (
    QUESTIONS_SEED,
    InContextConfig,
    InContextSummary,
    evaluate_in_context,
    normalised_average,
    summarise,
)
from cotune.studies.evaluating import Progress
from cotune.tasks import Task

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel
    from cotune.training.methods import Attached, Stage


@dataclass(frozen=True)
class TuneScores(Brief):
    """What a model can do.

    Parameters
    ----------
    target : InContextSummary
        The target's test examples, answered as in training.
    in_context : tuple of InContextSummary
        The other tasks, without any soft prompt.
    """

    target: InContextSummary
    in_context: tuple[InContextSummary, ...] = ()

    @property
    def averages(self) -> dict[int, float]:
        """The normalised average over the other tasks by number of shots; of those that have no loss."""
        scored = (row for row in self.in_context if row.higher_is_better)
        return {average.shots: average.mean for average in normalised_average(scored)}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TuneScores:
        """Read what :meth:`to_dict` wrote."""
        rows = tuple(InContextSummary(**row) for row in data["in_context"])
        return cls(InContextSummary(**data["target"]), rows)


@dataclass(frozen=True)
class TuneQuestions:
    """Asks models the same questions.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and base of all that are asked.
    target : Task
        The task tuned on.
    evaluation : sequence of Task
        The other tasks.
    in_context : InContextConfig
        How tasks are put, and how answers are taken.
    demonstrations : int
        Solved examples before every input of the target, as in training.
    """

    model: LanguageModel
    target: Task
    evaluation: Sequence[Task]
    in_context: InContextConfig
    demonstrations: int

    def ask_target(
        self,
        module: nn.Module,
        split: str,
        prompt_ids: tuple[int, ...] = (),
        progress: Progress | None = None,
    ) -> InContextSummary:
        """Score the target under a soft prompt, if there is one."""
        (score,) = evaluate_in_context(
            self.model,
            module,
            [self.target],
            self.in_context.on_trained(split, self.demonstrations),
            seed=QUESTIONS_SEED,
            soft_prompts={self.target.name: prompt_ids},
            progress=progress,
        )
        return summarise([score])[0]

    def ask_others(self, module: nn.Module, progress: Progress | None = None) -> tuple[InContextSummary, ...]:
        """Score the other tasks in context."""
        scores = evaluate_in_context(
            self.model, module, self.evaluation, self.in_context, seed=QUESTIONS_SEED, progress=progress
        )
        return tuple(summarise(scores))


class TargetWatcher:
    """Scores checkpoints by the target's validation examples.

    Parameters
    ----------
    questions : TuneQuestions
        What is asked.
    on_first : callable
        Called before the first checkpoint: from here on the run has something to lose.
    on_checkpoint : callable
        Called with stage, step and score of every checkpoint.
    """

    def __init__(
        self,
        questions: TuneQuestions,
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
