"""Many small fine-tunings that share the loaded base: side by side where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cotune._repr import Brief
from cotune.evaluation.transfer._config import TransferConfig
from cotune.models import Encoded
from cotune.training.batches import TaskBatch
from cotune.training.methods import Attached, Method, Stage
from cotune.training.stages import StagedRun, train_runs

if TYPE_CHECKING:
    from cotune.models import LanguageModel

MOST_TOGETHER = 16
"""LoRAs in a pass: more of them save next to nothing more."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class FineTuning(Brief):
    """One fine-tuning.

    Parameters
    ----------
    name : str
        What it is called in an error message.
    task : str
        Name of the task.
    examples : sequence of Encoded
        At least one.
    seed : int
        Decides fresh parameters and the order of the examples.
    """

    name: str
    task: str
    examples: Sequence[Encoded]
    seed: int

    @contextmanager
    def attach(self, model: LanguageModel, method: Method) -> Iterator[Attached]:
        """Put what is fine-tuned, fresh, on a model."""
        import torch

        torch.manual_seed(self.seed)
        with method.attach(model, [self.task]) as attached:
            yield attached

    def batches(self, attached: Attached, stage: Stage) -> Iterator[TaskBatch]:
        """Return batches of a stage without end."""
        n, prompt = len(self.examples), attached.prompt_ids(self.task)
        size = min(n, stage.training.batch_size)
        drawn = stage.training.scheme.batches([n], batch_size=size, tasks_per_batch=1, seed=self.seed)
        for rows in drawn:
            batch = [self.examples[index].under(prompt) for row in rows for index in row.examples]
            yield TaskBatch(batch, [self.task] * size)


def fine_tune(
    model: LanguageModel,
    runs: Sequence[FineTuning],
    config: TransferConfig,
    then: Callable[[FineTuning, Attached], _Result],
) -> list[_Result]:
    """Fine-tune a model in many ways, each from where it is now, several in a pass where that is possible.

    Parameters
    ----------
    model : LanguageModel
        The model; as before when this returns.
    runs : sequence of FineTuning
        The fine-tunings.
    config : TransferConfig
        Method and recipe.
    then : callable
        Called for each while the model is the fine-tuned one; its results are returned.

    Raises
    ------
    RunError
        If a fine-tuning diverges; names it.
    """
    staged = [
        StagedRun(run.name, (run.task,), partial(run.attach, model, config.method), run.batches)
        for run in runs
    ]
    return train_runs(
        model,
        config.method,
        staged,
        config.steps,
        config.training,
        then=lambda at, attached, logs: then(runs[at], attached),
        most=MOST_TOGETHER,
    )
