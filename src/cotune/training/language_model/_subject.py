"""Model, recipe and tasks of a learner, and what determines its runs."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cotune.answering import ChoiceConfig, scored_fingerprint
from cotune.models import locate_model
from cotune.tasks import Task
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.language_model._settings import LanguageModelSettings
from cotune.training.learner import Subset

if TYPE_CHECKING:
    from cotune.models import LanguageModel

_FORMAT = 1
"""Raised whenever the same configuration would give other results, so that no stored run is mistaken."""


class Subject:
    """What the runs of a language model are about: the base, which is loaded once, the recipe and the tasks.

    Parameters
    ----------
    config : LanguageModelSettings
        Model and recipe.
    tasks : sequence of Task
        All tasks of the study.
    base : Path
        Folder that a relative model path starts from.

    Raises
    ------
    InputError
        If the model folder does not exist, or the warm start names a task that does not.
    """

    def __init__(self, config: LanguageModelSettings, tasks: Sequence[Task], base: Path = Path()) -> None:
        locate_model(config.model, base)  # so that a wrong name is known at once
        self.config = config
        self._base = base
        self._tasks = {task.name: task for task in tasks}
        demonstrations = config.method.demonstrations
        self._data = EncodedTasks(
            tasks, lambda: config.encoder(base), demonstrations=demonstrations, base=base
        )
        warm = config.warm_start
        self._warm_tasks = [] if warm is None else warm.chosen(tasks)
        self._warm_steps = 0 if warm is None else warm.length

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of all tasks."""
        return tuple(self._tasks)

    @property
    def families(self) -> Mapping[str, str]:
        """The category each task's author put it in."""
        return {name: task.category for name, task in self._tasks.items()}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the model and the recipe; with a warm start, of the tasks that it is trained on too."""
        recipe = {**self.config.plain(), **self.config.fingerprint(self._base), "format": _FORMAT}
        of_answers = ("classification", "label_score")  # in the hashes of the tasks that are answered
        for key in ("revision", "scoring_tokens", "side_by_side", "warm_start", "cache_bytes", *of_answers):
            del recipe[key]
        if self.config.adapt_from is None:
            del recipe["adapt_from"]
        elif isinstance(self.config.adapt_from, float):
            recipe["adapt_from"] = {"at_least": self.config.adapt_from}  # shares were rounded once
        if self.config.warm_start is not None:
            warm = self.config.warm_start.model_dump(mode="json", exclude={"tasks", "share"})
            recipe["warm_start"] = {**warm, "tasks": [task.fingerprint for task in self._warm_tasks]}
        replay = self.config.training.replay
        if replay is not None and (text := replay.fingerprint(self._base)) is not None:
            recipe["text"] = text
        recipe["method"]["name"] = self.config.method.kind
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()

    def task_fingerprint(self, task: str) -> str:
        """Hash of the task's data, instruction and metric, and of how it is scored."""
        return scored_fingerprint(self._tasks[task], self.config)

    @property
    def reading(self) -> Mapping[str, Any]:
        """Options of the model and of its answers that scores depend on; see AnsweringLearner."""
        of_answers = {key: getattr(self.config, key) for key in ChoiceConfig.model_fields}
        return self.config.reading(self._base) | of_answers

    def prompt_of(self, task: str, text: str) -> str:
        """Return the prompt of an input, with all tokens that the model reads; see AnsweringLearner."""
        example = replace(self._data.kept(task, "train")[0][0], input=text, turns=())
        encoded = self._data.encode(task, example, example.targets[0])
        ids = () if encoded is None else encoded.prompt
        return str(self._data.encoder.tokenizer.decode(ids, clean_up_tokenization_spaces=False))

    @cached_property
    def model(self) -> LanguageModel:
        """The base model, loaded on first use."""
        return self.config.load(self._base, self._data.encoder)

    @cached_property
    def _skeleton(self) -> LanguageModel:
        return self.config.skeleton(self._base, self._data.encoder)

    def load(self) -> None:
        """Load the model and what puts adapters on it; see LoadingLearner."""
        importlib.import_module("peft")
        self.model.base.eval()

    def expected_tokens(self, subset: Subset, steps: int) -> int:
        """Tokens of the batches of a run, by the mean length of each task's examples and of replayed text."""
        method, total = self.config.method, 0.0
        # Those of validation are kept with demonstrations, where there are any.
        split = "validation" if method.demonstrations else "train"
        for stage in method.stages(steps, self.config.training, subset):
            length = float(np.mean([self._data.mean_length(name, split) for name in stage.tasks or subset]))
            total += stage.steps * stage.training.batch_size * (length + method.virtual_tokens)
            total += self._data.expected_replay_tokens(stage.training, stage.steps)
        return round(total)
