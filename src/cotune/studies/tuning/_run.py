"""Tune a model on one task or several: check, ask before, train, ask after, write."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cotune._files import write_text
from cotune._seals import json_text, read_json
from cotune.answering import check_in_context, merge_notes, scored_fingerprint
from cotune.models import locate_model
from cotune.models.precision import ChosenPrecision, default_device
from cotune.studies.engine import (
    LocalConfig,
    Trained,
    check_memory,
    count_memory,
    seen,
    shortage,
    tell_notes,
)
from cotune.studies.evaluating import Progress, cut_notes
from cotune.studies.model_card import versions
from cotune.studies.tuning._card import write_card
from cotune.studies.tuning._config import TuneConfig, check_targets
from cotune.studies.tuning._cost import tuning_cost
from cotune.studies.tuning._folder import TuneFolder
from cotune.studies.tuning._result import TuneResult
from cotune.studies.tuning._scores import (
    TargetWatcher,
    TuneAnswers,
    TuneQuestions,
    TuneScores,
    all_answers,
)
from cotune.tasks import SPLITS, Task, check_tasks, note_lines
from cotune.training.encoded_tasks import EncodedTasks

if TYPE_CHECKING:
    from cotune.evaluation.last_stage import StageChange
    from cotune.models import Encoder, LanguageModel
    from cotune.training.methods import Stage
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
    targets: Task | Sequence[Task],
    out: Path,
    events: TuneEvents,
    *,
    evaluation: Sequence[Task] = (),
    base: Path | None = None,
    says_cost: bool = False,
) -> TuneResult:
    """Tune a model on a task, or on several, by one method and write what was trained, with a model card.

    A run that was killed goes on when it is called again; one that is done is only read.

    Parameters
    ----------
    config : TuneConfig
        Model, method, recipe.
    targets : Task or sequence of Task
        The tasks tuned on: checkpoints are chosen by their validation examples, their test examples are
        reported.
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
    chosen = [targets] if isinstance(targets, Task) else list(targets)
    read = [config.reads(task, base) for task in (*chosen, *evaluation)]
    tuned, others = tuple(read[: len(chosen)]), tuple(read[len(chosen) :])
    check_targets(tuned, config)
    config = _for_targets(config, len(tuned), events)
    return _Tuning(config, tuned, others, out, base, events, config, says_cost).run()


def _for_targets(config: TuneConfig, n: int, events: TuneEvents) -> TuneConfig:
    """Return the configuration as it is for several targets; say what that doubles."""
    method = config.method.on_targets(n, config.steps)
    once, now = (m.stages(config.steps, config.training)[0].steps for m in (config.method, method))
    if now != once:
        events.note(
            f"The stage of the prompts takes {now:,} steps, twice {once:,}, since those of {n} tasks are "
            "trained together."
        )
    return config.model_copy(update={"method": method})


def _known_precision(out: Path) -> ChosenPrecision | None:
    """Return what the precision ``auto`` meant to the run of a folder; None where there was none."""
    try:
        result = TuneResult.find(out)
        if result is not None:
            known = {"precision": result.config["precision"], "device": default_device()}
        else:
            known = read_json(TuneFolder(out, "").precision)
    except (OSError, ValueError, KeyError):
        return None
    return ChosenPrecision.from_dict(known)


@dataclass(frozen=True)
class _Tuning:
    """One call of :func:`tune_task`, with its arguments."""

    config: TuneConfig
    targets: tuple[Task, ...]
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
            folder.seal(self.events.note)
            self.events.note(f"{self.out} is finished already.")
            return done
        notes = self._check(self.config.encoder(self.base))
        tell_notes(self.events, notes)
        self._check_memory()
        model = self.config.load(self.base)
        self._check_method(model)
        return replace(self, config=self.asked.suited(model))._run(model, folder, notes)

    def _run(
        self, model: LanguageModel, folder: TuneFolder, notes: Mapping[str, Sequence[str]]
    ) -> TuneResult:
        if self.asked.decided_by_model:
            self.events.note(self._rate_note)
        with folder.open(self.events.note):
            chosen = self.config.chosen_precision(self.base)
            if chosen is not None:
                write_text(folder.precision, json_text(chosen.to_dict()))
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
            model, self.targets, self.evaluation, config.in_context, config.method.demonstrations
        )
        if self.says_cost:
            again = " It goes on from where it was interrupted." if folder.before.is_file() else ""
            self.events.note(tuning_cost(model, config, self.targets, self.evaluation, self.base) + again)
        before = self._before(questions, folder)
        questions.probes.know_pretrained()
        save = self._save(before, folder)
        memory: dict[str, Any] = {}
        watcher = TargetWatcher(questions, self._stages, memory, save, self.events.checkpoint)
        with tune(
            model,
            config.method,
            self.targets,
            config,
            seed=config.seed,
            watch=watcher,
            state=folder.state,
            progress=self._progress,
            base=self.base,
            others=self.evaluation,
            memory=memory,
        ) as tuned:
            after = self._after(questions, tuned, before)
            change = self._change(questions, tuned, before, after, memory)
            result = self._result(questions, tuned, before, after, change, notes)
            with folder.result() as fresh:
                tuned.attached.save(fresh, model.tokenizer)
                result.write(fresh)
                write_card(result, self.targets, fresh, model.encoder)
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
            **self._own_text,
            **self._target_fingerprints,
            "evaluation": [scored_fingerprint(t, self.config.in_context) for t in self.evaluation],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def _own_text(self) -> dict[str, str]:
        """The hash of the text that the method puts beside the targets, where it has any."""
        beside = self.config.method.beside
        text = None if beside is None else beside.fingerprint(self.base)
        return {} if text is None else {"text of the method": text}

    @property
    def _target_fingerprints(self) -> dict[str, Any]:
        found = [scored_fingerprint(task, self.config.in_context) for task in self.targets]
        return {"target": found[0]} if len(found) == 1 else {"targets": found}

    @cached_property
    def _stages(self) -> tuple[Stage, ...]:
        names = [task.name for task in self.targets]
        return self.config.method.stages(self.config.steps, self.config.training, names)

    @cached_property
    def _fingerprint(self) -> dict[str, Any]:
        return self.config.fingerprint(self.base)

    def _check(self, encoder: Encoder) -> Mapping[str, Sequence[str]]:
        """Check without any weights what can be; return by task what was cut or dropped."""
        check_tasks([*self.targets, *self.evaluation])
        in_context, shots = self.config.in_context, self.config.method.demonstrations
        found = EncodedTasks(self.targets, lambda: encoder).check()
        for split in ("validation", "test"):
            asked = in_context.on_trained(split, shots)
            found = merge_notes(found, check_in_context(self.targets, asked, encoder))
        found = merge_notes(found, check_in_context(self.evaluation, in_context, encoder))
        read = {task.name: task.notes for task in (*self.targets, *self.evaluation)}
        return merge_notes(read, found)

    def _check_memory(self) -> None:
        """Refuse what no size of a pass makes fit, before anything is loaded; say what is short."""
        room = LocalConfig(workers=0).room()
        if room is None or room.is_ample(self.config, self.base):
            return
        config = self.config
        trained = [Trained(config.method, config.training, self.targets, others=self.evaluation)]
        plan = count_memory(config, self.base, config.encoder(self.base), trained, passes=room.gpu)
        check_memory(plan, room)
        for sentence in shortage(plan, room):
            self.events.note(sentence)

    def _check_method(self, model: LanguageModel) -> None:
        """See that the method fits the model, and the examples the model under the method's prompt."""
        names = [task.name for task in self.targets]
        data = EncodedTasks(self.targets, lambda: model.encoder, base=self.base, others=self.evaluation)
        with self.config.method.attach(model, names) as attached:
            training = self._stages[-1].training
            next(data.batches(names, training, 0, prompt_ids=attached.prompt_ids, context=model.context))

    def _before(self, questions: TuneQuestions, folder: TuneFolder) -> TuneAnswers:
        """Ask the pretrained model, unless that was done before the run was killed."""
        if folder.before.is_file():
            return TuneAnswers.from_dict(read_json(folder.before))
        base = questions.model.base
        targets = questions.ask_targets(base, "test", progress=self._asking("before: target"))
        others = questions.ask_others(base, self._asking("before: in context"))
        return TuneAnswers(targets, others)

    def _save(self, before: TuneAnswers, folder: TuneFolder) -> Callable[[], None]:
        def save() -> None:
            if not folder.before.is_file():
                write_text(folder.before, json_text(before.to_dict()))

        return save

    def _after(self, questions: TuneQuestions, tuned: Tuned, before: TuneAnswers) -> TuneAnswers:
        attached = tuned.attached
        asked = self._asking("after: target")
        targets = questions.ask_targets(attached.module, "test", attached.prompt_ids, asked)
        if not self._changes_weights:  # other tasks meet the pretrained model
            return TuneAnswers(targets, before.others)
        with attached.aside():
            others = questions.ask_others(attached.module, self._asking("after: in context"))
        return TuneAnswers(targets, others)

    @property
    def _changes_weights(self) -> bool:
        """Whether anything of the method stays when the targets' prompts are left out."""
        return any("weights" in stage.trains for stage in self._stages)

    def _change(
        self,
        questions: TuneQuestions,
        tuned: Tuned,
        before: TuneAnswers,
        after: TuneAnswers,
        memory: Mapping[str, Any],
    ) -> StageChange | None:
        """Compare with what the last stage began with; None in what an earlier version of cotune began."""
        from cotune.evaluation.last_stage import Beginning, share_changed

        began = Beginning.kept(memory)
        if began is None:
            return None
        return began.change(
            tuned.attached,
            questions.probes,
            questions.demonstrations,
            all_answers(after.targets),
            share_changed(all_answers(before.others), all_answers(after.others)),
            reaches_others=self._changes_weights,
        )

    def _asking(self, title: str) -> Progress:
        return partial(self.events.advance, title)

    def _progress(self, stage: str, step: int, steps: int, loss: float) -> None:
        self.events.advance(stage, step, steps, "" if math.isnan(loss) else f"loss {loss:.3f}")

    def _result(
        self,
        questions: TuneQuestions,
        tuned: Tuned,
        before: TuneAnswers,
        after: TuneAnswers,
        change: StageChange | None,
        notes: Sequence[str],
    ) -> TuneResult:
        scores = TuneScores.of(after)
        cut = cut_notes((*scores.targets, *scores.in_context))
        return TuneResult(
            key=self.key,
            config={**self.config.plain(), **self.config.reading(self.base)},
            base=str(locate_model(self.config.model, self.base)),
            base_fingerprint=str(self._fingerprint["model"]),
            targets=[_facts(task) for task in self.targets],
            evaluation=[_facts(task) for task in self.evaluation],
            before=TuneScores.of(before),
            after=scores,
            checkpoints=tuned.checkpoints,
            best=tuned.best,
            trainable_parameters=max(
                sum(parameter.numel() for part in stage.trains for parameter in tuned.attached.parts[part])
                for stage in self._stages
            ),
            tokens=tuned.tokens,
            notes=list(dict.fromkeys([*notes, *tuned.notes, *cut])),
            versions=versions(),
            change=change,
            answers=questions.sampled(before, after),
            **seen(tuned.examples_seen, tuned.replay_losses),
        )


def _facts(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "metric": task.metric,
        "format": task.format,
        "examples": {split: len(task[split]) for split in SPLITS},
        "fingerprint": task.fingerprint,
    }
