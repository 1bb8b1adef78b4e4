"""What is measured before, along and after: the target under its prompt, others in context without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any

from cotune._repr import Brief
from cotune.answering import (
    QUESTIONS_SEED,
    InContextConfig,
    InContextEvaluation,
    InContextScore,
    InContextSummary,
    evaluate_in_context,
    normalised_average,
    summarise,
)
from cotune.studies.evaluating import Progress
from cotune.tasks import Example, SampleAnswer, Task
from cotune.training.methods import tasks_seen

if TYPE_CHECKING:
    from torch import nn

    from cotune.evaluation.last_stage import Probes
    from cotune.models import LanguageModel
    from cotune.training.methods import Attached, Stage


_SAMPLE = 3
"""Examples of a task whose answers are kept."""


@dataclass(frozen=True)
class TuneScores(Brief):
    """What a model can do.

    Parameters
    ----------
    targets : tuple of InContextSummary
        The test examples of each target, answered as in training.
    in_context : tuple of InContextSummary
        The other tasks, without any soft prompt.
    """

    targets: tuple[InContextSummary, ...]
    in_context: tuple[InContextSummary, ...] = ()

    @classmethod
    def of(cls, answers: TuneAnswers) -> TuneScores:
        """Summarise answers."""
        return cls(tuple(summarise(answers.targets)), tuple(summarise(answers.others)))

    @property
    def target(self) -> InContextSummary:
        """The target, the first of several."""
        return self.targets[0]

    @property
    def averages(self) -> dict[int, float]:
        """The normalised average over the other tasks by number of shots; of those that have no loss."""
        scored = (row for row in self.in_context if row.higher_is_better)
        return {average.shots: average.mean for average in normalised_average(scored)}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; the first target stands alone, too."""
        rows = {"targets": [asdict(row) for row in self.targets]}
        return {"target": rows["targets"][0], **rows, "in_context": [asdict(row) for row in self.in_context]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TuneScores:
        """Read what :meth:`to_dict` wrote, or wrote while there was one target."""
        targets = data.get("targets", [data["target"]])
        rows = (tuple(InContextSummary(**row) for row in some) for some in (targets, data["in_context"]))
        return cls(*rows)


@dataclass(frozen=True)
class TuneAnswers:
    """Every answer of a model, with its score.

    Parameters
    ----------
    targets, others : tuple of InContextScore
        To the targets' test examples, and to those of the other tasks.
    """

    targets: tuple[InContextScore, ...]
    others: tuple[InContextScore, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {name: [score.to_dict() for score in getattr(self, name)] for name in ("targets", "others")}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TuneAnswers:
        """Read what :meth:`to_dict` wrote."""
        return cls(*(tuple(map(InContextScore.from_dict, data[name])) for name in ("targets", "others")))


@dataclass(frozen=True)
class TuneQuestions:
    """Asks models the same questions.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and base of all that are asked.
    targets : sequence of Task
        The tasks tuned on.
    evaluation : sequence of Task
        The other tasks.
    in_context : InContextConfig
        How tasks are put, and how answers are taken.
    demonstrations : int
        Solved examples before every input of the targets, as in training.
    """

    model: LanguageModel
    targets: Sequence[Task]
    evaluation: Sequence[Task]
    in_context: InContextConfig
    demonstrations: int

    def ask_targets(
        self,
        module: nn.Module,
        split: str,
        prompt_ids: Callable[[str], tuple[int, ...]] | None = None,
        progress: Progress | None = None,
    ) -> tuple[InContextScore, ...]:
        """Put the targets, each under its soft prompt if there is one."""
        scores = evaluate_in_context(
            self.model,
            module,
            self.targets,
            self.in_context.on_trained(split, self.demonstrations),
            seed=QUESTIONS_SEED,
            soft_prompts={task.name: prompt_ids(task.name) for task in self.targets} if prompt_ids else None,
            progress=progress,
        )
        return tuple(scores)

    def ask_others(self, module: nn.Module, progress: Progress | None = None) -> tuple[InContextScore, ...]:
        """Put the other tasks in context."""
        scores = evaluate_in_context(
            self.model, module, self.evaluation, self.in_context, seed=QUESTIONS_SEED, progress=progress
        )
        return tuple(scores)

    def sampled(self, before: TuneAnswers, after: TuneAnswers) -> dict[str, list[dict[str, str]]]:
        """Put the first answers before and after beside the examples; of tasks that are answered."""
        most, config = max(self.in_context.shots), self.in_context
        examples = {
            **_asked(self.evaluation, config, self.model),
            **_asked(self.targets, config.on_trained("test", self.demonstrations), self.model),
        }
        others = [(s, t) for s, t in zip(before.others, after.others, strict=True) if s.shots == most]
        pairs = [*zip(before.targets, after.targets, strict=True), *(p for p in others if p[0].draw == 0)]
        return {
            old.task: [
                SampleAnswer(example.input, example.targets[0], one, other).to_dict()
                for example, one, other in zip(
                    examples[old.task], old.answers[:_SAMPLE], new.answers[:_SAMPLE], strict=False
                )
            ]
            for old, new in pairs
            if old.answers
        }

    @cached_property
    def probes(self) -> Probes:
        """The prompts whose next tokens show what a stage changed."""
        from cotune.evaluation.last_stage import Probes

        return Probes(self.model, self.targets, self.evaluation, self.in_context, QUESTIONS_SEED)


def _asked(
    tasks: Sequence[Task], config: InContextConfig, model: LanguageModel
) -> dict[str, tuple[Example, ...]]:
    evaluation = InContextEvaluation(tasks, config, model.encoder, seed=QUESTIONS_SEED)
    return evaluation.examples


def all_answers(scores: Sequence[InContextScore]) -> list[str]:
    """Return the answers of all scores."""
    return [answer for score in scores for answer in score.answers]


class TargetWatcher:
    """Scores checkpoints by the targets' validation examples, and notes what the last stage begins with.

    Parameters
    ----------
    questions : TuneQuestions
        What is asked.
    stages : sequence of Stage
        Those of the run, in order.
    memory : dict
        Of the tuning; what the last stage begins with is put there.
    on_first : callable
        Called before the first checkpoint: from here on the run has something to lose.
    on_checkpoint : callable
        Called with stage, step and score of every checkpoint.
    """

    def __init__(
        self,
        questions: TuneQuestions,
        stages: Sequence[Stage],
        memory: dict[str, Any],
        on_first: Callable[[], None],
        on_checkpoint: Callable[[str, int, float], None],
    ) -> None:
        self._questions, self._stages, self._memory = questions, stages, memory
        self._on_first, self._on_checkpoint = on_first, on_checkpoint

    def checkpoint(self, attached: Attached, stage: Stage, step: int) -> float:
        """Return the mean validation score of the targets seen so far, higher is better."""
        questions = self._questions
        rows = questions.ask_targets(attached.module, "validation", attached.prompt_ids)
        if stage.name == self._stages[-1].name and step == 0:
            self._begin(attached)
        seen = tasks_seen(self._stages, stage.name)
        mean = fmean(row.value for row in rows if not seen or row.task in seen)
        self._on_first()
        self._on_checkpoint(stage.name, step, mean)
        return mean if rows[0].higher_is_better else -mean

    def _begin(self, attached: Attached) -> None:
        from cotune.evaluation.last_stage import Beginning

        questions = self._questions
        asked = questions.ask_targets(attached.module, "test", attached.prompt_ids)
        Beginning.of(attached, questions.probes, questions.demonstrations, all_answers(asked)).keep(
            self._memory
        )
