"""Tune a model on one task: check, ask before, train, ask after, write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cotune._files import write_text
from cotune.answering import check_in_context, merge_notes, scored_fingerprint
from cotune.models import locate_model
from cotune.models.precision import ChosenPrecision, default_device
from cotune.studies.engine import seen, tell_notes
from cotune.studies.evaluating import Progress, cut_notes
from cotune.studies.model_card import versions
from cotune.studies.tuning._card import write_card
from cotune.studies.tuning._config import TuneConfig
from cotune.studies.tuning._cost import tuning_cost
from cotune.studies.tuning._folder import TuneFolder
from cotune.studies.tuning._result import TuneResult
from cotune.studies.tuning._scores import TargetWatcher, TuneQuestions, TuneScores
from cotune.tasks import SPLITS, Task, check_tasks, note_lines
from cotune.training.encoded_tasks import EncodedTasks

if TYPE_CHECKING:
    from cotune.models import Encoder, LanguageModel
    from cotune.training.tuning import Tuned

_FORMAT = 1
"""Raised whenever the same command would give another model, so that no old state is taken for a new one."""


class TuneEvents(Protocol):
    """What is told while a model is tuned."""

    def advance(self, title: str, done: int, total: int, detail: str = "") -> None:
        """Tell how far a piece of work is."""
        ...

    def checkpoint(self, stage: str, step: int, score: float) -> None:
        """Tell the target's validation score of a checkpoint, in the units of its metric."""
        ...

    def note(self, text: str) -> None:
        """Say a sentence."""
        ...


def tune_task(
    config: TuneConfig,
    target: Task,
    out: Path,
    events: TuneEvents,
    *,
    evaluation: Sequence[Task] = (),
    base: Path | None = None,
    says_cost: bool = False,
) -> TuneResult:
    """Tune a model on a task by one method and write what was trained, with a model card.

    A run that was killed goes on when it is called again; one that is done is only read.

    Parameters
    ----------
    config : TuneConfig
        Model, method, recipe.
    target : Task
        The task tuned on: checkpoints are chosen by its validation examples, its test examples are reported.
    out : Path
        A new folder; it appears when all is done.
    events : TuneEvents
        Is told how it goes.
    evaluation : sequence of Task
        Other tasks, asked in context before and after.
    base : Path, optional
        Folder that relative paths of the model and of text to replay start from, by default the current one.
    says_cost : bool
        Whether a few steps and questions are tried first, to say in a sentence what all will take.

    Returns
    -------
    TuneResult

    Raises
    ------
    InputError
        If model, tasks, method and recipe do not fit one another, or the folder holds something else; nothing
        is written then.
    RunError
        If the loss is not finite or explodes.
    """
    config = config.model_copy()
    # The key depends on what "auto" meant to the run that stands there, finished or not.
    config.recall_precision(_known_precision(out))
    base = base or Path()
    target, *others = (config.reads(task, base) for task in (target, *evaluation))
    return _Tuning(config, target, tuple(others), out, base, events, config, says_cost).run()


def _known_precision(out: Path) -> ChosenPrecision | None:
    """Return what the precision ``auto`` meant to the run of a folder; None where there was none."""
    try:
        result = TuneResult.find(out)
        if result is not None:
            known = {"precision": result.config["precision"], "device": default_device()}
        else:
            known = json.loads(TuneFolder(out, "").precision.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        return None
    return ChosenPrecision.from_dict(known)


@dataclass(frozen=True)
class _Tuning:
    """One call of :func:`tune_task`, with its arguments."""

    config: TuneConfig
    target: Task
    evaluation: tuple[Task, ...]
    out: Path
    base: Path
    events: TuneEvents
    asked: TuneConfig
    """The configuration before the model decided what nobody had set: what the key is of."""
    says_cost: bool = False

    def run(self) -> TuneResult:
        folder = TuneFolder(self.out, self.key)
        done = folder.finished()
        if done is not None:
            self.events.note(f"{self.out} is finished already.")
            return done
        notes = self._check(self.config.encoder(self.base))
        tell_notes(self.events, notes)
        model = self.config.load(self.base)
        self._check_method(model)
        return replace(self, config=self.asked.suited(model))._run(model, folder, notes)

    def _run(
        self, model: LanguageModel, folder: TuneFolder, notes: Mapping[str, Sequence[str]]
    ) -> TuneResult:
        if self.asked.decided_by_model:
            self.events.note(self._rate_note)
        with folder.open():
            chosen = self.config.chosen_precision(self.base)
            if chosen is not None:
                write_text(folder.precision, json.dumps(chosen.to_dict()) + "\n")
            return self._tune(model, folder, note_lines(notes, each=True))

    @property
    def _rate_note(self) -> str:
        """Say at which learning rate a prompt is trained, and why."""
        rate = self.config.plain()["method"]["prompt_learning_rate"]
        return (
            f"The prompt is trained at a learning rate of {rate:g}, a tenth of the size of the model's "
            "embeddings; --prompt-learning-rate sets another."
        )

    def _tune(self, model: LanguageModel, folder: TuneFolder, notes: Sequence[str]) -> TuneResult:
        from cotune.training.tuning import tune

        config = self.config
        questions = TuneQuestions(
            model, self.target, self.evaluation, config.in_context, config.method.demonstrations
        )
        if self.says_cost:
            again = " It goes on from where it was interrupted." if folder.before.is_file() else ""
            self.events.note(tuning_cost(model, config, self.target, self.evaluation, self.base) + again)
        before = self._before(questions, folder)
        watcher = TargetWatcher(questions, self._save(before, folder), self.events.checkpoint)
        with tune(
            model,
            config.method,
            [self.target],
            config,
            seed=config.seed,
            watch=watcher,
            state=folder.state,
            progress=self._progress,
            base=self.base,
        ) as tuned:
            result = self._result(tuned, before, self._after(questions, tuned, before), notes)
            with folder.result() as fresh:
                tuned.attached.save(fresh, model.tokenizer)
                result.write(fresh)
                write_card(result, self.target, fresh, model.encoder)
        return result

    @cached_property
    def key(self) -> str:
        """Hash of all that determines the result."""
        config = self.asked.plain()
        config["method"] |= dict.fromkeys(self.asked.decided_by_model, "by the model")
        content = {
            "format": _FORMAT,
            "config": {
                **{k: v for k, v in config.items() if k not in ("model", "format")},
                "training": self.config.training.content(self.base),
            },
            "model": self._fingerprint,
            "target": scored_fingerprint(self.target, self.config.in_context),
            "evaluation": [scored_fingerprint(t, self.config.in_context) for t in self.evaluation],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _fingerprint(self) -> dict[str, Any]:
        return self.config.fingerprint(self.base)

    def _check(self, encoder: Encoder) -> Mapping[str, Sequence[str]]:
        """Check without any weights what can be; return by task what was cut or dropped."""
        check_tasks([self.target, *self.evaluation])
        in_context, shots = self.config.in_context, self.config.method.demonstrations
        found = EncodedTasks([self.target], lambda: encoder).check()
        for split in ("validation", "test"):
            asked = in_context.on_trained(split, shots)
            found = merge_notes(found, check_in_context([self.target], asked, encoder))
        found = merge_notes(found, check_in_context(self.evaluation, in_context, encoder))
        read = {task.name: task.notes for task in (self.target, *self.evaluation)}
        return merge_notes(read, found)

    def _check_method(self, model: LanguageModel) -> None:
        """See that the method fits the model, and the examples the model under the method's prompt."""
        name = self.target.name
        data = EncodedTasks([self.target], lambda: model.encoder, base=self.base)
        with self.config.method.attach(model, [name]) as attached:
            training = self.config.training
            next(data.batches([name], training, 0, prompt_ids=attached.prompt_ids, context=model.context))

    def _before(self, questions: TuneQuestions, folder: TuneFolder) -> TuneScores:
        """Ask the pretrained model, unless that was done before the run was killed."""
        if folder.before.is_file():
            return TuneScores.from_dict(json.loads(folder.before.read_text(encoding="utf-8")))
        base = questions.model.base
        target = questions.ask_target(base, "test", progress=self._asking("before: target"))
        return TuneScores(target, questions.ask_others(base, self._asking("before: in context")))

    def _save(self, before: TuneScores, folder: TuneFolder) -> Callable[[], None]:
        def save() -> None:
            if not folder.before.is_file():
                write_text(folder.before, json.dumps(before.to_dict()))

        return save

    def _after(self, questions: TuneQuestions, tuned: Tuned, before: TuneScores) -> TuneScores:
        attached = tuned.attached
        ids = attached.prompt_ids(self.target.name)
        target = questions.ask_target(attached.module, "test", ids, self._asking("after: target"))
        if not _changes_weights(self.config):  # other tasks meet the pretrained model
            return TuneScores(target, before.in_context)
        return TuneScores(target, questions.ask_others(attached.module, self._asking("after: in context")))

    def _asking(self, title: str) -> Progress:
        return partial(self.events.advance, title)

    def _progress(self, stage: str, step: int, steps: int, loss: float) -> None:
        self.events.advance(stage, step, steps, f"loss {loss:.3f}")

    def _result(
        self, tuned: Tuned, before: TuneScores, after: TuneScores, notes: Sequence[str]
    ) -> TuneResult:
        stages = self.config.method.stages(self.config.steps, self.config.training, [self.target.name])
        return TuneResult(
            key=self.key,
            config={**self.config.plain(), **self.config.reading(self.base)},
            base=str(locate_model(self.config.model, self.base)),
            base_fingerprint=str(self._fingerprint["model"]),
            target=_facts(self.target),
            evaluation=[_facts(task) for task in self.evaluation],
            before=before,
            after=after,
            checkpoints=tuned.checkpoints,
            best=tuned.best,
            trainable_parameters=max(
                sum(parameter.numel() for part in stage.trains for parameter in tuned.attached.parts[part])
                for stage in stages
            ),
            tokens=tuned.tokens,
            notes=list(dict.fromkeys([*notes, *tuned.notes, *cut_notes((after.target, *after.in_context))])),
            versions=versions(),
            **seen(tuned.examples_seen, tuned.replay_losses),
        )


def _changes_weights(config: TuneConfig) -> bool:
    """Tell whether anything of the method stays when the target's prompt is left out."""
    return any("weights" in stage.trains for stage in config.method.stages(config.steps, config.training))


def _facts(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "metric": task.metric,
        "format": task.format,
        "examples": {split: len(task[split]) for split in SPLITS},
        "fingerprint": task.fingerprint,
    }
