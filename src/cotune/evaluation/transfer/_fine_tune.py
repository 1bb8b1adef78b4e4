"""Many small fine-tunings that share the loaded base: side by side where that is possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotune.evaluation.transfer._config import TransferConfig
from cotune.exceptions import RunError
from cotune.models import Encoded
from cotune.tasks import Mixture
from cotune.training.config import TrainingConfig
from cotune.training.methods import Attached, Lora

if TYPE_CHECKING:
    from cotune.models import LanguageModel
    from cotune.training._lora_stack import Adapter

_SIDE_BY_SIDE = 16
"""LoRAs in a pass: more of them save next to nothing more."""


@dataclass(frozen=True)
class FineTuning:
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

    def batches(self, training: TrainingConfig, prompt: tuple[int, ...] = ()) -> Iterator[list[Encoded]]:
        """Return batches without end, under the ids of a soft prompt."""
        n = len(self.examples)
        for rows in Mixture([n], min(n, training.batch_size), 1, self.seed):
            yield [self.examples[index].under(prompt) for row in rows for index in row.examples]


def fine_tune(
    model: LanguageModel, runs: Sequence[FineTuning], config: TransferConfig
) -> Iterator[tuple[FineTuning, Attached]]:
    """Fine-tune a model in many ways, each from where it is now; while one is given the model is that one.

    LoRA without dropout under AdamW is trained several fine-tunings in a pass, with the same result up to
    rounding; everything else one by one. The caller takes all there are.

    Raises
    ------
    RunError
        If a fine-tuning diverges; names it.
    """
    if not _stackable(model, config):
        yield from _one_by_one(model, runs, config)
        return
    for first in range(0, len(runs), _SIDE_BY_SIDE):
        yield from _side_by_side(model, runs[first : first + _SIDE_BY_SIDE], config)


def _stackable(model: LanguageModel, config: TransferConfig) -> bool:
    from cotune.training._loop import drops_out

    method, training = config.method, config.training
    plain = type(method) is Lora and method.dropout == 0 and training.optimizer == "adamw"
    return plain and not drops_out(model.base, training.dropout)


def _one_by_one(
    model: LanguageModel, runs: Sequence[FineTuning], config: TransferConfig
) -> Iterator[tuple[FineTuning, Attached]]:
    import torch

    from cotune.training._loop import train

    for run in runs:
        torch.manual_seed(run.seed)
        with config.method.attach(model, [run.task]) as attached:
            prompt = attached.prompt_ids(run.task)
            for stage in config.method.stages(config.steps, config.training, [run.task]):
                attached.train_only(stage.trains)
                batches = run.batches(stage.training, prompt)
                try:
                    train(model, attached, batches, stage.steps, stage.training)
                except RunError as error:
                    raise RunError(f"{run.name}: {error}") from error
            yield run, attached


def _side_by_side(
    model: LanguageModel, runs: Sequence[FineTuning], config: TransferConfig
) -> Iterator[tuple[FineTuning, Attached]]:
    import torch

    from cotune.training._lora_stack import LoraStack, adapter_of
    from cotune.training._side_by_side import train_side_by_side

    fresh: list[Adapter] = []
    for run in runs:
        torch.manual_seed(run.seed)
        with config.method.attach(model, [run.task]):
            adapter = adapter_of(model.base)
        if adapter is None:  # on other than linear maps
            yield from _one_by_one(model, runs, config)
            return
        fresh.append(adapter)
    stack = LoraStack(fresh)
    streams = [run.batches(config.training) for run in runs]
    names = [run.name for run in runs]
    train_side_by_side(model, stack, streams, config.steps, config.training, names)
    with config.method.attach(model, [run.task for run in runs]) as attached:
        adapter = adapter_of(model.base) or {}
        for index, run in enumerate(runs):
            stack.write(index, adapter)
            yield run, attached
