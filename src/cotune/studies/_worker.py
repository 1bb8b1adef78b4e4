from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotune._files import new_folder
from cotune.exceptions import InputError, RunError
from cotune.studies._runs import AnyRun, FeatureRun, FitRun, RunRecord
from cotune.tasks import Task
from cotune.training.learner import EnsembleLearner, FeatureLearner, Fit
from cotune.training.learner_config import LearnerConfig

ADAPTER_RECORD = "cotune.json"
"""File beside a kept adapter that names the run it came from."""


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What a process needs to do runs; small enough to be sent to it.

    Parameters
    ----------
    learner : LearnerConfig
        The learner's options.
    tasks : tuple of Task
        The study's tasks.
    base : Path
        Folder that relative paths in the options start from.
    shared : Path
        Folder for what all runs share.
    threads : int
        Threads of numerical libraries.
    """

    learner: LearnerConfig
    tasks: tuple[Task, ...]
    base: Path
    shared: Path
    threads: int


@dataclass(frozen=True, slots=True)
class Job:
    """Runs that one worker does together.

    Parameters
    ----------
    runs : tuple of runs
        More than one only for fits of a learner that trains many subsets in one pass.
    keys : tuple of str
        Their keys.
    save_to : Path or None
        Where to keep what a single fit trained.
    """

    runs: tuple[AnyRun, ...]
    keys: tuple[str, ...]
    save_to: Path | None = None


class Worker:
    """Does jobs with one learner, made and prepared once."""

    def __init__(self, setup: WorkerSetup) -> None:
        import torch

        torch.set_num_threads(setup.threads)
        self.learner = setup.learner.build(setup.tasks, setup.base)
        self.learner.prepare(setup.shared)

    def do(self, job: Job) -> list[RunRecord]:
        """Do a job; a run that fails by itself becomes a record with its error."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            results = self._results(job)
        except RunError as error:
            # A diverging model must not take those trained beside it along.
            if len(job.runs) > 1:
                alone = zip(job.runs, job.keys, strict=True)
                return [record for run, key in alone for record in self.do(Job((run,), (key,)))]
            results = [str(error)]
        share = len(job.runs)
        usage = {
            "seconds": (time.perf_counter() - wall) / share,
            "cpu_seconds": (time.process_time() - cpu) / share,
            "peak_bytes": peak_memory(),
        }
        records = []
        for run, key, result in zip(job.runs, job.keys, results, strict=True):
            if isinstance(result, Fit):
                records.append(RunRecord.of_fit(key, run, result, **usage))
            elif isinstance(result, str):
                records.append(RunRecord.of(key, run, error=result, **usage))
            else:
                records.append(RunRecord.of(key, run, features=result, **usage))
        return records

    def _results(self, job: Job) -> Sequence[object]:
        first = job.runs[0]
        if isinstance(first, FeatureRun):
            if not isinstance(self.learner, FeatureLearner):
                raise InputError("This learner has no gradients.")
            options = {"examples": first.examples, "seed": first.seed, "dimension": first.dimension}
            return [self.learner.gradient_features(first.subset[0], **options)]
        if len(job.runs) > 1 and isinstance(self.learner, EnsembleLearner):
            fits = [run for run in job.runs if isinstance(run, FitRun)]
            return self.learner.fit_many(
                [run.subset for run in fits],
                [run.seed for run in fits],
                steps=[run.steps for run in fits],
                split=first.split,
            )
        if job.save_to is None:
            return [self.learner.fit(first.subset, first.seed, steps=first.steps, split=first.split)]
        with new_folder(job.save_to) as folder:
            fit = self.learner.fit(
                first.subset, first.seed, steps=first.steps, split=first.split, save_to=folder
            )
            content = {"run": job.keys[0], "tasks": first.subset, "steps": first.steps, "seed": first.seed}
            (folder / ADAPTER_RECORD).write_text(json.dumps(content, indent=2) + "\n")
        return [fit]


def adapter_record(folder: Path) -> dict[str, Any]:
    """Read which run, tasks, steps and seed a kept adapter came from; empty where that is not known."""
    try:
        record: dict[str, Any] = json.loads((folder / ADAPTER_RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
