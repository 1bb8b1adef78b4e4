"""What runs start from: fresh parameters or a warm start, above layers that are computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cotune.answering import check_in_context, gold_notes, merge_notes
from cotune.tasks import Task
from cotune.training.below import KeptStates
from cotune.training.language_model._below import LowerLayers, Upper
from cotune.training.language_model._questions import Questions
from cotune.training.language_model._settings import LanguageModelSettings
from cotune.training.language_model._warm_start import stored_start, train_start
from cotune.training.learner import Subset

if TYPE_CHECKING:
    from torch import Tensor

    from cotune.models import Encoded
    from cotune.training._branch_point import BranchPoint
    from cotune.training.methods import Attached, Method


class Start(Questions):
    """Adds what a run starts with, made once where all have it in common.

    Parameters
    ----------
    config : LanguageModelSettings
        Model and recipe.
    tasks : sequence of Task
        All tasks of the study.
    base : Path
        Folder that a relative model path starts from.
    """

    def __init__(self, config: LanguageModelSettings, tasks: Sequence[Task], base: Path = Path()) -> None:
        super().__init__(config, tasks, base)
        self._start: dict[str, Tensor] | None = None if config.warm_start is not None else {}

    def check(self) -> dict[str, tuple[str, ...]]:
        """Encode all that runs ask for, so that what does not fit is known before anything is trained.

        Raises
        ------
        InputError
            If a task has nothing left in a split, a choice is too long, or options of the method do not fit.
        """
        encoder, tasks = self._data.encoder, list(self._tasks.values())
        if self.attached_method.wants_trial:
            with self.attached_method.attach(self._skeleton, self.tasks):
                pass
        if self.lower is not None:
            self.lower.check_dropout(self._skeleton, self.config.training.dropout)
        return merge_notes(
            self._data.check(),
            {task.name: gold_notes(task, encoder, self.config, "train") for task in tasks},
            check_in_context(tasks, self._asking("validation"), encoder),
            check_in_context(tasks, self._asking("test"), encoder),
        )

    def prepare(self, folder: Path) -> None:
        """Train the warm start, where there is one, and store it, or load it where it is stored already.

        A call that was killed is gone on with. Without this call the warm start is trained when it is first
        needed, and kept in memory.

        Parameters
        ----------
        folder : Path
            Holds ``warm-<fingerprint>.safetensors``; made where it does not exist, or is damaged.

        Raises
        ------
        RunError
            If the loss is not finite or explodes.
        """
        if self._start is None:
            self._start = stored_start(self._start_file(folder), self._train_start)
        if self.lower is not None:
            self.lower.prepare(folder / self.lower.file(self.task_fingerprint), lambda: self.model)

    @cached_property
    def attached_method(self) -> Method:
        """The method as it is put on the base: on the upper layers alone, if so it is."""
        return self.config.method if self.lower is None else self.lower.upper.put(self.config.method)

    @cached_property
    def lower(self) -> LowerLayers | None:
        """What lies below the adapter; None where it is on all layers."""
        if self.config.adapt_from is None:
            return None
        upper = Upper.of(self._skeleton, self.config.adapt_from)
        return LowerLayers(upper, self._skeleton, self.tasks, self._read_again, self.config, self._base)

    def _read_again(self) -> list[list[list[Encoded]]]:
        """Return by task what runs read again and again: what is scored, then what is trained on."""
        scored = [self._evaluation(name, "validation", ()).of_likelihoods() for name in self.tasks]
        if self._skeleton.seq2seq and not self.config.method.demonstrations:
            # A decoder writes its answer from what the encoder made of the prompt.
            of_writing = [self._data.encoded(name, "validation") for name in self.tasks]
            scored = [[*ours, *prompts] for ours, prompts in zip(scored, of_writing, strict=True)]
        trained = [
            [] if self.config.method.demonstrations else self._data.encoded(name, "train")
            for name in self.tasks
        ]
        return [list(parts) for parts in zip(scored, trained, strict=True)]

    def _from_states(self) -> AbstractContextManager[None]:
        """Let losses and likelihoods start above what all runs have in common, where there is such."""
        if self.lower is None:
            return nullcontext()
        return self.model.starting_above(self.lower.of(self.model))

    @property
    def kept_states(self) -> KeptStates | None:
        """What is kept of the layers below the adapter; see :class:`cotune.training.below.StatesLearner`."""
        return None if self.lower is None else self.lower.told(self.task_fingerprint)

    def _start_file(self, folder: Path) -> Path:
        return folder / f"warm-{self.fingerprint}.safetensors"

    @property
    def _is_warm(self) -> bool:
        return self.config.warm_start is not None

    def _train_start(self, state: Path | None = None) -> dict[str, Tensor]:
        warm, method = self.config.warm_start, self.attached_method
        assert warm is not None
        return train_start(
            self.model, method, self._warm_tasks, self.config.training, warm, state, self._base
        )

    @contextmanager
    def _attached(self, subset: Subset, seed: int, origin: BranchPoint | None = None) -> Iterator[Attached]:
        """Put on the base what a run starts with: fresh parameters, those of the warm start or of another."""
        import torch

        from cotune.training._branch_point import start_from

        if self._start is None:
            self._start = self._train_start()
        torch.manual_seed(seed)
        with self._from_states(), self.attached_method.attach(self.model, subset) as attached:
            start_from(attached, self._start if origin is None else origin.values)
            attached.module.eval()
            yield attached
