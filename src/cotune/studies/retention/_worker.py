from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotune._files import new_folder
from cotune.exceptions import RunError
from cotune.findings.retention import RetentionCheckpoint
from cotune.studies.engine._seen import seen
from cotune.studies.engine._worker import Job, Worker, WorkerSetup, write_artefact_record
from cotune.studies.retention._design import AnyRun, PretrainedRun, TuneRun, tuning
from cotune.studies.retention._measure import Measure
from cotune.studies.retention._payload import checkpoint_to_dict
from cotune.studies.retention._selection import Selection
from cotune.studies.retention._watcher import MEASURED, RunWatcher
from cotune.studies.retention.config import RetentionConfig
from cotune.tasks import Task, get_metric

if TYPE_CHECKING:
    from cotune.models import LanguageModel
    from cotune.training.methods import Stage
    from cotune.training.tuning import TuningConfig


@dataclass(frozen=True, kw_only=True)
class RetentionSetup(WorkerSetup[AnyRun]):
    """What a process needs to tune and measure.

    Parameters
    ----------
    config : RetentionConfig
        The study's configuration.
    targets, evaluation : tuple of Task
        The tasks tuned on, and those only evaluated on.
    base : Path
        Folder that a relative model path starts from.
    states : Path
        Folder for the states of runs in flight.
    stages : Path
        Folder for stages that several runs have in common.
    threads : int
        Threads of numerical libraries.
    """

    config: RetentionConfig
    targets: tuple[Task, ...]
    evaluation: tuple[Task, ...]
    base: Path
    states: Path
    stages: Path
    threads: int

    def make(self) -> RetentionWorker:
        """Load the model."""
        return RetentionWorker(self, self.config.load(self.base))


class RetentionWorker(Worker[AnyRun]):
    """Tunes and measures one model, loaded once; every run leaves it as it was."""

    def __init__(self, setup: RetentionSetup, model: LanguageModel) -> None:
        self._setup = setup
        self._model = model
        self._measure = Measure(
            model,
            setup.targets,
            setup.evaluation,
            setup.config.in_context,
            seed=setup.config.seed,
            gradient_examples=setup.config.gradient_examples,
        )

    def outcomes(self, job: Job[AnyRun]) -> Sequence[Mapping[str, Any]]:
        """Measure the pretrained model, or tune it and measure it along the way."""
        (run,), (key,) = job.runs, job.keys
        if isinstance(run, PretrainedRun):
            return [self._pretrained()]
        if job.save_to is None:
            return [self._tune(run, key)]
        with new_folder(job.save_to) as folder:
            outcome = self._tune(run, key, folder)
            content = {"run": key, "method": run.method, "rate": run.learning_rate, "seed": run.seed}
            write_artefact_record(folder, content)
        return [outcome]

    def _pretrained(self) -> dict[str, Any]:
        measure = self._measure
        scores = measure.in_context_scores(self._model.base)
        checkpoint = RetentionCheckpoint(
            stage="pretrained",
            step=0,
            targets=measure.target_scores(self._model.base),
            in_context=measure.in_context_values(scores),
        )
        cut: dict[str, int] = {}
        for score in scores:
            cut[score.task] = max(cut.get(score.task, 0), score.n_cut)
        return {"payload": {"checkpoints": [checkpoint_to_dict(checkpoint)], "cut": cut}}

    def _tune(self, run: TuneRun, key: str, save_to: Path | None = None) -> dict[str, Any]:
        from cotune.training.tuning import tune

        setup = self._setup
        method, config = tuning(run, setup.config)
        names = [task.name for task in setup.targets]
        stages = method.stages(config.steps, config.training, names)
        state = setup.states / key
        watcher = RunWatcher(
            self._measure,
            Selection(get_metric(setup.targets[0].metric).higher_is_better),
            stages,
            demonstrations=method.demonstrations,
            gradient_steps=setup.config.gradient_steps,
            notebooks={
                **{
                    stage.name: setup.stages / f"{_stage_key(run, config, stages[: at + 1], setup.base)}.json"
                    for at, stage in enumerate(stages)
                },
                stages[-1].name: state / MEASURED,
            },
        )
        options: dict[str, Any] = {"state": state / "tuning", "shared": setup.stages, "base": setup.base}
        try:
            with tune(
                self._model, method, setup.targets, config, seed=run.seed, watch=watcher, **options
            ) as tuned:
                if save_to is not None:
                    tuned.attached.save(save_to)
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
        "stages": [{**asdict(stage), "training": stage.training.content(base)} for stage in stages],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
