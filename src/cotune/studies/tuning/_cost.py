"""What a tuning will take, said before it is begun."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cotune.answering import NOT_ASKED, Asked, count_in_context
from cotune.findings.wording import duration
from cotune.studies.engine.probe import Tuning, time_answers, time_method
from cotune.studies.tuning._config import TuneConfig
from cotune.tasks import Task
from cotune.training.encoded_tasks import EncodedTasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cotune.models import LanguageModel


def tuning_cost(
    model: LanguageModel, config: TuneConfig, targets: Sequence[Task], others: Sequence[Task], base: Path
) -> str:
    """Do a few steps and put a few questions to the model; say in one sentence what all will take.

    Parameters
    ----------
    model : LanguageModel
        The base; afterwards as before.
    config : TuneConfig
        What is trained, and how.
    targets : sequence of Task
        The tasks tuned on.
    others : sequence of Task
        Those asked in context before and after.
    base : Path
        Folder that relative paths of text to replay start from.
    """
    stages = config.method.stages(config.steps, config.training, [task.name for task in targets])
    tuning = Tuning(config.method, stages, targets, others)
    laws, _ = time_method(model, tuning, base)
    data = EncodedTasks(targets, lambda: model.encoder, base=base, others=others)
    training = tuning.seconds(laws, data)
    checkpoints = sum(len(config.due(stage.steps, stage.checkpoint_every)) for stage in stages)
    asked = _asked(model, config, targets, others, checkpoints)
    answers = time_answers(model, [*targets, *others], config.in_context, seed=config.seed)(asked)
    return (
        f"About {duration(training + answers)} of processor time: {duration(training)} for {tuning.steps:,} "
        "steps, "
        f"{duration(answers)} for the questions before, at {checkpoints} checkpoints and after."
    )


def _asked(
    model: LanguageModel,
    config: TuneConfig,
    targets: Sequence[Task],
    others: Sequence[Task],
    checkpoints: int,
) -> Asked:
    """Count the questions: test examples thrice, validation examples at checkpoints, other tasks twice."""

    def on_targets(split: str) -> Asked:
        how = config.in_context.on_trained(split, config.method.demonstrations)
        return count_in_context(model, targets, how, seed=config.seed)

    in_context = count_in_context(model, others, config.in_context, seed=config.seed) if others else NOT_ASKED
    total = NOT_ASKED
    for asked, times in ((on_targets("test"), 3), (on_targets("validation"), checkpoints), (in_context, 2)):
        total = total.plus(asked.repeated(times))
    return total
