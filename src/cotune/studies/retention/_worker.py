"""The process that tunes and measures."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotune._files import new_folder
from cotune.answering import ChoiceConfig
from cotune.exceptions import RunError
from cotune.findings.retention import RetentionCheckpoint
from cotune.studies.engine import Job, Worker, seen, write_artefact_record
from cotune.studies.retention._checkpoints import Selection
from cotune.studies.retention._design import CHOSEN, PretrainedRun, RetentionStudyRun, TuneRun, chosen, tuning
from cotune.studies.retention._measure import Measure
from cotune.studies.retention._watcher import MEASURED, RunWatcher
from cotune.studies.retention.config import RetentionConfig
from cotune.tasks import Task

if TYPE_CHECKING:
    from cotune.training.methods import Stage
    from cotune.training.tuning import TuningConfig


@dataclass(kw_only=True)
class RetentionWorker(Worker[RetentionStudyRun]):
    """Tunes and measures one model, loaded once; every run leaves it as it was.

    Parameters
    ----------
    config : RetentionConfig
        The study's configuration.
    targets, evaluation, others : tuple of Task
        The tasks tuned on, those only evaluated on, and those whose training examples methods may put beside.
    base : Path
        Folder that a relative model path starts from.
    states : Path
        Folder for the states of runs in flight.
    stages : Path
        Folder for stages that several runs have in common.
    """

    config: RetentionConfig
    targets: tuple[Task, ...]
    evaluation: tuple[Task, ...]
    others: tuple[Task, ...]
    base: Path
    states: Path
    stages: Path

    def start(self) -> None:
        """Load the model, and what puts adapters on it, so that no run is told to have taken that."""
        importlib.import_module("peft")
        self._model = self.config.load(self.base)
        self._measure = Measure(
            self._model,
            self.targets,
            self.evaluation,
            self.config.in_context,
            seed=self.config.seed,
            gradient_examples=self.config.gradient_examples,
        )

    def folders(self, job: Job[RetentionStudyRun] | None) -> Sequence[Path]:
        """Return the folder of stages that runs have in common."""
        return () if job is None else (self.stages,)

    def scratch(self) -> Sequence[Path]:
        """Return the folder of the states of tunings."""
        return (self.states,)

    def outcomes(self, job: Job[RetentionStudyRun]) -> Sequence[Mapping[str, Any]]:
        """Measure the pretrained model, or tune it and measure it along the way."""
        (run,), (key,) = job.runs, job.keys
        if isinstance(run, PretrainedRun):
            return [self._pretrained()]
        if job.save_to is None:
            return [self._tune(run, key)]
        with new_folder(job.save_to) as folder:
            outcome = self._tune(run, key, folder)
            content = {"run": key, "method": run.method, "rate": run.learning_rate, "seed": run.seed}
            of_answers = {name: getattr(self.config.in_context, name) for name in ChoiceConfig.model_fields}
            reading = {"reading": self.config.reading(self.base) | of_answers}
            tasks = {"tasks": [task.name for task in self.targets]}
            write_artefact_record(folder, {**content, **tasks, "chosen": CHOSEN, **reading})
        return [outcome]

    def _pretrained(self) -> dict[str, Any]:
        measure = self._measure
        scores = measure.in_context_scores(self._model.base)
        checkpoint = RetentionCheckpoint(
            stage="pretrained",
            step=0,
            targets=measure.ask_targets(self._model.base).scores,
            in_context=measure.in_context_values(scores),
            untouched=True,
        )
        measure.keep_pretrained(scores, self._answers)
        cut: dict[str, int] = {}
        for score in scores:
            cut[score.task] = max(cut.get(score.task, 0), score.n_cut)
        payload = {"checkpoints": [asdict(checkpoint)], "cut": cut, "sample": measure.sample()}
        return {"payload": payload}

    @property
    def _answers(self) -> Path:
        """File of what the pretrained model answers to the other tasks."""
        return self.stages / "pretrained" / "answers.json"

    def _tune(self, run: TuneRun, key: str, save_to: Path | None = None) -> dict[str, Any]:
        from cotune.training.tuning import tune

        method, config = tuning(run, self.config)
        self._measure.know_pretrained(self._answers)
        names = [task.name for task in self.targets]
        stages = method.stages(config.steps, config.training, names)
        state = self.states / key
        memory: dict[str, Any] = {}
        watcher = RunWatcher(
            self._measure,
            Selection.by(self.targets),
            stages,
            demonstrations=method.demonstrations,
            gradient_steps=self.config.gradient_steps,
            notebooks={
                **{
                    stage.name: self.stages / f"{_stage_key(run, config, stages[: at + 1], self.base)}.json"
                    for at, stage in enumerate(stages)
                },
                stages[-1].name: state / MEASURED,
            },
            memory=memory,
        )
        options: dict[str, Any] = {
            "state": state / "tuning",
            "shared": self.stages,
            "base": self.base,
            "others": self.others,
            "memory": memory,
        }
        try:
            with tune(
                self._model, method, self.targets, config, seed=run.seed, watch=watcher, **options
            ) as tuned:
                if save_to is not None:
                    tuned.attached.save(save_to, self._model.tokenizer)
                losses = tuple(loss for log in tuned.logs.values() for loss in log.losses)
                payload = {**watcher.payload(tuned.tokens), **seen(tuned.examples_seen, tuned.replay_losses)}
                return {"payload": payload, "losses": losses, "tokens": tuned.tokens}
        except RunError as error:
            place = f"{run.method} at learning rate {run.learning_rate:g} with seed {run.seed}"
            raise RunError(f"Tuning by {place}: {error}") from error


def _stage_key(run: TuneRun, config: TuningConfig, stages: Sequence[Stage], base: Path) -> str:
    """Hash all that the last of some stages depends on beside the questions asked."""
    content = {
        "method": [run.method, run.options],
        "seed": run.seed,
        "checkpoints": [config.checkpoint_every, config.checkpoints],
        **chosen(stages),
        "stages": [stage.content(base) for stage in stages],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
