"""From wanted runs to records: what the store has is taken, the rest is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, Protocol

from cotune._repr import Brief
from cotune.studies.engine._board import Steps
from cotune.studies.engine._events import Events, StepEvents, UnderWay
from cotune.studies.engine._executor import Executor
from cotune.studies.engine._kept_status import MANY
from cotune.studies.engine._rows import StoredRows
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._store import RunStore
from cotune.studies.engine._tracking import Tracking
from cotune.studies.engine._worker import Job, artefact_lack


class Design(Protocol[RunT]):
    """What a runner asks of a study about its runs."""

    def key(self, run: RunT) -> str:
        """Hash everything that determines a run; its key in the store."""
        ...

    def batches(self, runs: Sequence[RunT]) -> list[Sequence[RunT]]:
        """Say which runs one worker does in one pass."""
        ...

    def stored(self, record: RunRecord) -> None:
        """Tidy up after a run whose record is in the store."""
        ...


@dataclass
class StageUsage(Brief):
    """Runs of one stage: the records of all, and how many of them were taken from the store."""

    title: str
    records: list[RunRecord] = field(default_factory=list)
    reused: int = 0

    def reuse(self, records: Iterable[RunRecord]) -> None:
        """Count runs taken from the store."""
        before = len(self.records)
        self.records.extend(records)
        self.reused += len(self.records) - before


class Runner(ABC, Generic[RunT]):
    """Gives the records of runs.

    Parameters
    ----------
    design : Design
        Knows the runs' keys.
    store : RunStore
        Has those that are done.
    """

    executes: ClassVar[bool]
    """Whether runs the store has not are done."""

    def __init__(self, design: Design[RunT], store: RunStore) -> None:
        self._design, self._store = design, store
        self._keys: dict[RunT, str] = {}
        self.stages: list[StageUsage] = []

    @abstractmethod
    def get(
        self,
        title: str,
        runs: Sequence[RunT],
        save: Mapping[RunT, Path] | None = None,
        *,
        leave: Mapping[RunT, Path] | None = None,
        note: str = "",
    ) -> dict[RunT, RunRecord]:
        """Return the records of runs; a failed run's record carries its error.

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

    def key(self, run: RunT) -> str:
        """Return the key of a run, which is hashed once."""
        if run not in self._keys:
            self._keys[run] = self._design.key(run)
        return self._keys[run]

    def stored(self, runs: Iterable[RunT]) -> set[RunT]:
        """Return those runs that the store has."""
        known = self._store.keys()
        return {run for run in runs if self.key(run) in known}

    def rows(self) -> StoredRows:
        """Return what stands for each row of the store that is whole, all of them checked."""
        return self._store.rows()

    def _stage(self, title: str) -> StageUsage:
        """Return the stage of a title, begun if it is new."""
        found = next((stage for stage in self.stages if stage.title == title), None)
        if found is None:
            found = StageUsage(title)
            self.stages.append(found)
        return found


class StoredRunner(Runner[RunT]):
    """Gives what the store has and leaves out the rest."""

    executes: ClassVar[bool] = False

    def __init__(self, design: Design[RunT], store: RunStore) -> None:
        super().__init__(design, store)
        self._read: dict[str, RunRecord] = {}
        self._rows: StoredRows | None = None

    def rows(self) -> StoredRows:
        """Return what stands for each row that is whole; they are gone through once."""
        if self._rows is None:
            self._rows = self._store.rows()
        return self._rows

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
        keys = {run: self.key(run) for run in runs}
        if len(keys) >= MANY and not self._read:  # one by one they take twice as long
            read, self._rows = self._store.read(set(keys.values()))
            self._read |= read
        found = {run: self._record(key) for run, key in keys.items()}
        records = {run: record for run, record in found.items() if record is not None}
        self._stage(title).reuse(records.values())
        return records

    def _record(self, key: str) -> RunRecord | None:
        """Read a record, each once: stages are gone through more than once."""
        if key not in self._read:
            known = self._rows is None or key in self._rows
            record = self._store.get(key) if known else None
            if record is None:
                return None
            self._read[key] = record
        return self._read[key]


class ExecutingRunner(Runner[RunT]):
    """Does the runs the store has not, storing each as it ends.

    Parameters
    ----------
    design : Design
        Knows the runs' keys, and which are done together.
    store : RunStore
        Where records go.
    executor : Executor
        Does them.
    events : Events
        Is told how it goes.
    tracking : Tracking
        Is told what became of the runs.
    """

    executes: ClassVar[bool] = True

    def __init__(
        self,
        design: Design[RunT],
        store: RunStore,
        executor: Executor[RunT],
        events: Events,
        tracking: Tracking,
    ) -> None:
        super().__init__(design, store)
        self._executor, self._events, self._tracking = executor, events, tracking

    @property
    def n_stored(self) -> int:
        """How many runs the store holds."""
        return len(self._store)

    def get(
        self,
        title: str,
        runs: Sequence[RunT],
        save: Mapping[RunT, Path] | None = None,
        *,
        leave: Mapping[RunT, Path] | None = None,
        note: str = "",
    ) -> dict[RunT, RunRecord]:
        """Return the records of all runs."""
        save = save or {}
        wanted = {run: self.key(run) for run in runs}
        records: dict[RunT, RunRecord] = {}
        for run, key in wanted.items():
            record = self._store.get(key)
            if record is not None and (record.error or not self._lacks(save.get(run), key)):
                records[run] = record
        missing = {run: key for run, key in wanted.items() if run not in records}
        stage = self._stage(title)
        begun = bool(stage.records)
        stage.reuse(records.values())
        if missing and note:
            self._events.note(note)
        if missing or not begun:
            self._events.stage(title, len(stage.records) + len(missing), len(stage.records))
        by_key = {key: run for run, key in missing.items()}
        jobs = self._jobs(missing, {**(leave or {}), **save})
        work = _Work(jobs, self._events)
        for finished in self._executor.run(jobs, work.tell):
            self._store.put(finished)
            work.done([by_key[record.key] for record in finished])
            for record in finished:
                records[by_key[record.key]] = record
                stage.records.append(record)
                self._design.stored(record)
                self._events.finished(record)
                self._tracking.finished(title, record)
            # Runs that were done together have been told the same.
            for sentence in dict.fromkeys(
                told for r in finished for told in (r.payload or {}).get("told", ())
            ):
                self._events.note(sentence)
        return {run: records[run] for run in wanted}

    def _lacks(self, folder: Path | None, key: str) -> bool:
        """Whether a folder does not hold what a run left; that it is damaged is said."""
        lack = "" if folder is None else artefact_lack(folder, key)
        if lack and folder is not None and folder.is_dir() and lack != "it is missing":
            self._events.note(f"{folder} is damaged: {lack}; what it held is trained again.")
        return bool(lack)

    def _jobs(self, missing: Mapping[RunT, str], folders: Mapping[RunT, Path]) -> list[Job[RunT]]:
        """Make jobs of runs, the longest first: one begun last would leave the other workers idle."""
        jobs = [Job((run,), (key,), folders[run]) for run, key in missing.items() if run in folders]
        for together in self._design.batches([run for run in missing if run not in folders]):
            jobs.append(Job(tuple(together), tuple(missing[run] for run in together)))
        return sorted(jobs, key=lambda job: sum(run.size for run in job.runs), reverse=True)


class _Work(Generic[RunT]):
    """Tells how far jobs are, by the length of their runs.

    Parameters
    ----------
    jobs : sequence of Job
        As they are handed out.
    events : Events
        Who may want to know.
    """

    def __init__(self, jobs: Sequence[Job[RunT]], events: Events) -> None:
        self._jobs, self._events = jobs, events if isinstance(events, StepEvents) else None
        self._all = sum(run.size for job in jobs for run in job.runs)
        self._done, self._ended = 0, set[RunT]()

    def done(self, runs: Sequence[RunT]) -> None:
        """Take note of the runs of a job that has ended."""
        self._ended.update(runs)
        self._done += sum(run.size for run in runs)
        self.tell(())

    def tell(self, under_way: Sequence[Steps]) -> None:
        """Say how far the jobs are that are under way."""
        if self._events is None:
            return
        done = float(self._done)
        for job, step, steps in under_way:
            runs = self._jobs[job].runs
            # Of several stages it is not known how much of the run they are: it counts when it has ended.
            if steps == runs[0].size and runs[0] not in self._ended:
                done += sum(run.size for run in runs) * step / steps
        share = min(done / self._all, 1.0) if self._all else 1.0
        self._events.under_way(UnderWay([(step, steps) for _, step, steps in under_way], share))
