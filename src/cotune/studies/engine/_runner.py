"""From wanted runs to records: what the store has is taken, the rest is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol

from cotune.studies.engine._events import Events
from cotune.studies.engine._executor import Executor, available_cores, open_executor
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._store import RunStore, open_store
from cotune.studies.engine._study import Study
from cotune.studies.engine._worker import Job, artefact_record


@dataclass
class StageUsage:
    """Runs of one stage: the records of all, and how many of them were taken from the store."""

    title: str
    records: list[RunRecord] = field(default_factory=list)
    reused: int = 0

    def reuse(self, records: Iterable[RunRecord]) -> None:
        """Count runs taken from the store."""
        before = len(self.records)
        self.records.extend(records)
        self.reused += len(self.records) - before


class Runner(Protocol[RunT]):
    """Gives the records of runs."""

    stages: list[StageUsage]

    def get(
        self,
        title: str,
        runs: Sequence[RunT],
        save: Mapping[RunT, Path] | None = None,
        *,
        leave: Mapping[RunT, Path] | None = None,
        note: str = "",
    ) -> dict[RunT, RunRecord]:
        """Return the records of runs.

        Parameters
        ----------
        title : str
            The stage; asked for again, the stage grows by these runs.
        runs : sequence of runs
            What is wanted.
        save : mapping of run to Path, optional
            Folders that have to hold what these runs train; a run whose folder is gone is done again.
        leave : mapping of run to Path, optional
            Folders for what these runs train if they are done now.
        note : str
            Said first if some of these runs are done now.
        """
        ...

    def stored(self, runs: Iterable[RunT]) -> set[RunT]:
        """Return those runs that the store has."""
        ...


class StoredRunner(Generic[RunT]):
    """Gives what the store has and leaves out the rest."""

    def __init__(self, study: Study[Any, RunT], store: RunStore) -> None:
        self._study = study
        self._store = store
        self.stages: list[StageUsage] = []

    def get(
        self,
        title: str,
        runs: Sequence[RunT],
        save: Mapping[RunT, Path] | None = None,
        *,
        leave: Mapping[RunT, Path] | None = None,
        note: str = "",
    ) -> dict[RunT, RunRecord]:
        """Return the records of those runs that are in the store."""
        found = {run: self._store.get(self._study.key(run)) for run in dict.fromkeys(runs)}
        records = {run: record for run, record in found.items() if record is not None}
        _stage(self.stages, title).reuse(records.values())
        return records

    def stored(self, runs: Iterable[RunT]) -> set[RunT]:
        """Return those runs that the store has."""
        return _stored(self._study, self._store, runs)


class ExecutingRunner(Generic[RunT]):
    """Does the runs the store has not, storing each as it ends."""

    def __init__(
        self, study: Study[Any, RunT], store: RunStore, executor: Executor[RunT], events: Events
    ) -> None:
        self._study = study
        self._store = store
        self._executor = executor
        self._events = events
        self.stages: list[StageUsage] = []

    def get(
        self,
        title: str,
        runs: Sequence[RunT],
        save: Mapping[RunT, Path] | None = None,
        *,
        leave: Mapping[RunT, Path] | None = None,
        note: str = "",
    ) -> dict[RunT, RunRecord]:
        """Return the records of all runs; a failed run's record carries its error."""
        save = save or {}
        wanted = {run: self._study.key(run) for run in dict.fromkeys(runs)}
        records: dict[RunT, RunRecord] = {}
        for run, key in wanted.items():
            record = self._store.get(key)
            if record is not None and (record.error or not _artefact_missing(save.get(run), key)):
                records[run] = record
        missing = {run: key for run, key in wanted.items() if run not in records}
        stage = _stage(self.stages, title)
        begun = bool(stage.records)
        stage.reuse(records.values())
        if missing and note:
            self._events.note(note)
        if missing or not begun:
            self._events.stage(title, len(stage.records) + len(missing), len(stage.records))
        by_key = {key: run for run, key in missing.items()}
        for finished in self._executor.run(self._jobs(missing, {**(leave or {}), **save})):
            self._store.put(finished)
            for record in finished:
                records[by_key[record.key]] = record
                stage.records.append(record)
                self._study.stored(record)
                self._events.finished(record)
        return {run: records[run] for run in wanted}

    def stored(self, runs: Iterable[RunT]) -> set[RunT]:
        """Return those runs that the store has."""
        return _stored(self._study, self._store, runs)

    def _jobs(self, missing: Mapping[RunT, str], folders: Mapping[RunT, Path]) -> list[Job[RunT]]:
        """Make jobs of runs, the longest first: one begun last would leave the other workers idle."""
        jobs = [Job((run,), (key,), folders[run]) for run, key in missing.items() if run in folders]
        for together in self._study.batches([run for run in missing if run not in folders]):
            jobs.append(Job(tuple(together), tuple(missing[run] for run in together)))
        return sorted(jobs, key=lambda job: sum(run.size for run in job.runs), reverse=True)


def _stored(study: Study[Any, RunT], store: RunStore, runs: Iterable[RunT]) -> set[RunT]:
    known = store.keys()
    return {run for run in runs if study.key(run) in known}


def _stage(stages: list[StageUsage], title: str) -> StageUsage:
    """Return the stage of a title, begun if it is new."""
    found = next((stage for stage in stages if stage.title == title), None)
    if found is None:
        found = StageUsage(title)
        stages.append(found)
    return found


def _artefact_missing(folder: Path | None, key: str) -> bool:
    """Whether a folder that should hold what a run trained holds something else, or nothing."""
    return folder is not None and artefact_record(folder).get("run") != key


@contextmanager
def executing(
    study: Study[Any, RunT], events: Events, *, retry_failed: bool = False
) -> Iterator[ExecutingRunner[RunT]]:
    """Hold the study's folder, its store and its workers while the block does runs."""
    with (
        study.open_folder(),
        open_store(study.store_path) as store,
        open_executor(study.worker_setup(), workers_of(study)) as executor,
    ):
        if retry_failed:
            store.forget([record.key for record in store if record.error is not None])
        study.prepare()
        yield ExecutingRunner(study, store, executor, events)


def workers_of(study: Study[Any, RunT]) -> int:
    """Return the number of worker processes of a study; 0 means the command's own."""
    workers: int | str = study.config.executor.workers
    return available_cores() if isinstance(workers, str) else workers
