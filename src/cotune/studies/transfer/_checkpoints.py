"""Checkpoints on disk: the tensors that were trained, and the losses on the tasks they were trained on."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cotune._files import write_text
from cotune._seals import check, sealed_folder
from cotune.evaluation.gradient_conflict import TaskGradients, measure_gradients
from cotune.training.encoded_tasks import EncodedTasks

if TYPE_CHECKING:
    import torch

    from cotune.models import LanguageModel
    from cotune.training.methods import Attached, Stage

_SEEN = "seen.json"
_GRADIENTS = "gradients.json"

SeenLosses = dict[str, dict[str, float]]
"""By task and split the mean negative log-likelihood per target token."""


@dataclass(frozen=True)
class Checkpoints:
    """What one tuning leaves, in a folder.

    Parameters
    ----------
    folder : Path
        Holds a folder for each step measured; made when it is first needed.
    """

    folder: Path

    def seen(self, step: int) -> SeenLosses | None:
        """Return the losses measured after a step, None where they were not yet."""
        file = self._of(step) / _SEEN
        if not file.is_file():
            return None
        losses: SeenLosses = json.loads(file.read_text(encoding="utf-8"))
        return losses

    def add(self, step: int, seen: SeenLosses, parts: Mapping[str, Sequence[torch.Tensor]]) -> None:
        """Write a checkpoint, whole or not at all; the weights of step 0 are the pretrained model's."""
        import torch

        with sealed_folder(self._of(step)) as fresh:
            if step:
                copied = {
                    name: [p.detach().to("cpu", copy=True) for p in part] for name, part in parts.items()
                }
                torch.save(copied, fresh / "parts.pt")
            write_text(fresh / _SEEN, json.dumps(seen))

    def gradients(self, step: int) -> dict[str, Any] | None:
        """Return how the tasks' gradients compared after a step, None where that was not measured yet."""
        file = self._gradients_of(step) / _GRADIENTS
        if not file.is_file():
            return None
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def add_gradients(self, step: int, found: TaskGradients) -> None:
        """Write how the tasks' gradients compared after a step."""
        with sealed_folder(self._gradients_of(step)) as fresh:
            write_text(fresh / _GRADIENTS, json.dumps(found.to_dict()))

    def load(self, step: int) -> dict[str, list[torch.Tensor]]:
        """Read the tensors of a checkpoint.

        Raises
        ------
        DamageError
            If they are not what was written.
        """
        import torch

        check(self._of(step), "the same command tunes again what is measured on it")

        parts: dict[str, Any] = torch.load(self._of(step) / "parts.pt", map_location="cpu", weights_only=True)
        return parts

    def _of(self, step: int) -> Path:
        return self.folder / f"step-{step:07d}"

    def _gradients_of(self, step: int) -> Path:
        return self.folder / f"gradients-{step:07d}"


@dataclass(frozen=True)
class Gradients:
    """When the gradients of the training tasks are compared, and on which examples.

    Parameters
    ----------
    steps : tuple of int
        Steps of the last stage.
    examples : int
        Training examples of each task.
    seed : int
        Draws them; that of the study, so that all runs are compared on the same.
    """

    steps: tuple[int, ...] = ()
    examples: int = 0
    seed: int = 0


class CheckpointWatcher:
    """Writes the checkpoints of the last stage, and tells earlier stages which of theirs is best.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and base of what is tuned.
    data : EncodedTasks
        The training tasks.
    examples : int
        Examples of each split whose loss is measured.
    last : str
        Name of the last stage.
    checkpoints : Checkpoints
        Where they go; what is there already is not measured again.
    due : collection of int
        Steps of the last stage that leave a checkpoint, besides the one before the first.
    gradients : Gradients
        When the tasks' gradients are compared.
    """

    def __init__(
        self,
        model: LanguageModel,
        data: EncodedTasks,
        examples: int,
        last: str,
        checkpoints: Checkpoints,
        *,
        due: Collection[int],
        gradients: Gradients,
    ) -> None:
        self._model, self._data, self._examples = model, data, examples
        self._last, self._checkpoints = last, checkpoints
        self._due, self._gradients = frozenset({0, *due}), gradients

    def checkpoint(self, attached: Attached, stage: Stage, step: int) -> float:
        """Return what is to be high: of the last stage the step, so that nothing but its end is chosen."""
        if stage.name != self._last:
            losses = self._losses(attached, "validation")
            return -sum(losses.values()) / len(losses)
        if step in self._gradients.steps and self._checkpoints.gradients(step) is None:
            self._checkpoints.add_gradients(step, self._compare(attached, stage))
        if step in self._due and self._checkpoints.seen(step) is None:
            splits = {split: self._losses(attached, split) for split in ("train", "test")}
            seen = {task: {split: of[task] for split, of in splits.items()} for task in self._data.tasks}
            self._checkpoints.add(step, seen, attached.parts)
        return float(step)

    def _compare(self, attached: Attached, stage: Stage) -> TaskGradients:
        """Take the gradients of all tasks, by the parameters that the stage trains."""
        examples = {}
        for name in self._data.tasks:
            kept = [example for example, _ in self._data.kept(name, "train")]
            order = np.random.default_rng((self._gradients.seed, 0)).permutation(len(kept))
            drawn = [kept[at] for at in order[: self._gradients.examples]]
            encoded = (self._data.encode(name, one, one.targets[0]) for one in drawn)
            ids = attached.prompt_ids(name)
            examples[name] = [one.under(ids) for one in encoded if one is not None]
        parameters = [parameter for part in stage.trains for parameter in attached.parts[part]]
        return measure_gradients(self._model, attached, parameters, examples)

    def _losses(self, attached: Attached, split: str) -> dict[str, float]:
        return {
            name: float(
                self._model.nll(
                    attached.module,
                    [encoded.under(attached.prompt_ids(name)) for encoded in self._encoded(name, split)],
                ).mean()
            )
            for name in self._data.tasks
        }

    def _encoded(self, name: str, split: str) -> list[Any]:
        """Encode the first examples of a split as they are trained, with demonstrations always the same."""
        examples = self._data.tasks[name][split][: self._examples]
        encoded = (self._data.encode(name, example, example.targets[0]) for example in examples)
        return [one for one in encoded if one is not None]
