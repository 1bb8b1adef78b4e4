"""From wanted runs to records: what the store has is taken, the rest is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cotune.studies._events import Events
from cotune.studies._executor import Executor, available_cores, open_executor
from cotune.studies._runs import AnyRun, FitRun, RunRecord, run_key
from cotune.studies._store import RunStore, open_store
from cotune.studies._study import Study
from cotune.studies._worker import Job, WorkerSetup, adapter_record
from cotune.training.learner import EnsembleLearner


@dataclass
class StageUsage:
    """Runs of one stage: how many were done now, taken from the store, and failed."""

    title: str
    records: list[RunRecord] = field(default_factory=list)
    reused: int = 0


class Runner(Protocol):
    """Gives the records of runs."""

    stages: list[StageUsage]

    def get(
        self, title: str, runs: Sequence[AnyRun], save: Mapping[AnyRun, Path] | None = None
    ) -> dict[AnyRun, RunRecord]:
        """Return the records of runs, keeping what some of them train in folders."""
        ...


class StoredRunner:
    """Gives what the store has and leaves out the rest."""

    def __init__(self, study: Study, store: RunStore) -> None:
        self._study = study
        self._store = store
        self.stages: list[StageUsage] = []

    def get(
        self, title: str, runs: Sequence[AnyRun], save: Mapping[AnyRun, Path] | None = None
    ) -> dict[AnyRun, RunRecord]:
        """Return the records of those runs that are in the store."""
        found = {run: self._store.get(run_key(run, self._study.learner)) for run in dict.fromkeys(runs)}
        records = {run: record for run, record in found.items() if record is not None}
        self.stages.append(StageUsage(title, list(records.values()), len(records)))
        return records


class ExecutingRunner:
    """Does the runs the store has not, storing each as it ends."""

    def __init__(self, study: Study, store: RunStore, executor: Executor, events: Events) -> None:
        self._study = study
        self._store = store
        self._executor = executor
        self._events = events
        self.stages: list[StageUsage] = []

    def get(
        self, title: str, runs: Sequence[AnyRun], save: Mapping[AnyRun, Path] | None = None
    ) -> dict[AnyRun, RunRecord]:
        """Return the records of all runs; a failed run's record carries its error."""
        save = save or {}
        wanted = {run: run_key(run, self._study.learner) for run in dict.fromkeys(runs)}
        records: dict[AnyRun, RunRecord] = {}
        for run, key in wanted.items():
            record = self._store.get(key)
            if record is not None and (record.error or not _adapter_missing(save.get(run), key)):
                records[run] = record
        missing = {run: key for run, key in wanted.items() if run not in records}
        stage = StageUsage(title, list(records.values()), len(records))
        self.stages.append(stage)
        self._events.stage(title, len(wanted), len(records))
        by_key = {key: run for run, key in missing.items()}
        for finished in self._executor.run(self._jobs(missing, save)):
            self._store.put(finished)
            for record in finished:
                records[by_key[record.key]] = record
                stage.records.append(record)
                self._events.finished(record)
        return {run: records[run] for run in wanted}

    def _jobs(self, missing: Mapping[AnyRun, str], save: Mapping[AnyRun, Path]) -> list[Job]:
        """Make jobs of runs: those that train side by side in chunks, the longest first."""
        learner = self._study.learner
        width = learner.ensemble if isinstance(learner, EnsembleLearner) else 1
        jobs = []
        alike: dict[tuple[int, str], list[FitRun]] = {}
        for run, key in missing.items():
            if isinstance(run, FitRun) and run not in save:
                alike.setdefault((run.steps, run.split), []).append(run)
            else:
                jobs.append(Job((run,), (key,), save.get(run)))
        for fits in alike.values():
            for start in range(0, len(fits), width):
                chunk = tuple(fits[start : start + width])
                jobs.append(Job(chunk, tuple(missing[run] for run in chunk)))
        # A long run begun last would leave the other workers idle.
        return sorted(jobs, key=_work, reverse=True)


def _work(job: Job) -> int:
    return sum(run.steps if isinstance(run, FitRun) else run.examples for run in job.runs)


def _adapter_missing(folder: Path | None, key: str) -> bool:
    """Whether a folder that should hold what a run trained holds something else, or nothing."""
    return folder is not None and adapter_record(folder).get("run") != key


@contextmanager
def executing(study: Study, events: Events, *, retry_failed: bool = False) -> Iterator[ExecutingRunner]:
    """Hold the study's folder, its store and its workers while the block does runs."""
    config = study.config.executor
    workers = available_cores() if config.workers == "auto" else config.workers
    shared = study.folder / "shared"
    setup = WorkerSetup(study.config.learner, study.tasks, study.base, shared, config.threads)
    with (
        study.open_folder(),
        open_store(study.folder / "runs.sqlite") as store,
        open_executor(setup, workers) as executor,
    ):
        if retry_failed:
            store.forget([record.key for record in store if record.error is not None])
        study.learner.prepare(shared)
        yield ExecutingRunner(study, store, executor, events)
