"""A study made ready, and the way every kind goes: run, collected, looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cotune._config import did_you_mean, parse
from cotune._html import paragraphs, table
from cotune.exceptions import CotuneError, InputError
from cotune.findings.wording import count
from cotune.studies.engine._config import StudyConfig, read_study_file
from cotune.studies.engine._deaths import Deaths
from cotune.studies.engine._events import Events, Silent, tell_notes
from cotune.studies.engine._folder import study_file_of
from cotune.studies.engine._kept_status import MANY, KeptStatus
from cotune.studies.engine._kind import ConfigT
from cotune.studies.engine._mending import damaged, seal_all
from cotune.studies.engine._planned import Planned
from cotune.studies.engine._results import StudyResult
from cotune.studies.engine._runner import ExecutingRunner, StoredRunner
from cotune.studies.engine._runs import RunT
from cotune.studies.engine._status import Counted, Standing, Status
from cotune.studies.engine._store import RunStore, damaged_rows, is_older, open_store
from cotune.studies.engine._tracking import Tracking, check_trackers, tracking


@dataclass(frozen=True)
class Study(Planned[ConfigT, RunT]):
    """A study file that has been read and checked; the base of every kind of study.

    A kind gives its configuration, its runs (:meth:`key`, :meth:`batches`), the worker that does them, and
    what follows from their records (:meth:`follow`, :meth:`standing`, :meth:`costs`).

    Parameters
    ----------
    config : StudyConfig
        What the file says, as the kind reads it.
    path : Path
        The file; relative paths in it start from its folder.
    folder : Path
        Where runs and results go.

    Examples
    --------
    Of a study of six planted tasks:

    >>> study = cotune.Study.load("study.yaml")
    >>> study.plan(measure=False).tasks
    6
    >>> result = study.run()
    >>> [len(group) for group in result.groups.members]
    [3, 3]
    >>> study.status().complete
    True
    """

    def _repr_html_(self) -> str:
        rows = [["kind", str(self.config.plain().get("kind", ""))], ["file", str(self.path)]]
        model = getattr(self.model, "model", None)
        rows += [["model", str(model)]] if model else []
        rows += [
            ["tasks", ", ".join(str(reader.path) for reader in self.config.tasks if hasattr(reader, "path"))]
        ]
        rows += [["folder", f"{self.folder}{'' if self.folder.exists() else ' (not run yet)'}"]]
        return paragraphs([], f"study {self.config.name}") + table(["", ""], [row for row in rows if row[1]])

    @staticmethod
    def load(path: str | Path, folder: str | Path | None = None) -> Study[Any, Any]:
        """Read a study file of any kind, or the study a study folder belongs to.

        Parameters
        ----------
        path : str or Path
            A YAML file, or the folder of a study that was run.
        folder : str or Path, optional
            Where runs and results go, by default beside the file under its name without the ending.

        Raises
        ------
        InputError
            If the file is not a valid study.
        """
        path = Path(path)
        if path.is_dir():
            folder, path = folder or path, study_file_of(path)
        config = load_config(path)
        return KINDS[config.kind](config, path, Path(folder or path.with_suffix("")).resolve())

    def run(self, events: Events | None = None, *, retry_failed: bool = False) -> StudyResult:
        """Do what the study still lacks and write its results; see :func:`cotune.studies.run_study`."""
        events = events or Silent()
        self.home.check()
        check_trackers(self.config.executor.track)
        notes = self.check()
        tell_notes(events, notes)
        for sentence in self._said_of_memory(shortages=True):
            events.note(sentence)
        deaths = Deaths(events.note)
        with self._executing(events, deaths, retry_failed=retry_failed) as runner:
            result = self._accounted(self.follow(runner, notes))
            many = runner.n_stored >= MANY
        result.incidents = deaths.sentences()
        if many:
            with suppress(CotuneError):  # it is only told sooner: the run is done
                self.status()
        return result

    @contextmanager
    def _executing(
        self, events: Events, deaths: Deaths, *, retry_failed: bool
    ) -> Iterator[ExecutingRunner[RunT]]:
        """Hold the folder, the store and the workers while the block does runs."""
        with self.home.hold(self._machine), self._doing(events, deaths, retry_failed=retry_failed) as runner:
            yield runner

    @contextmanager
    def _doing(
        self, events: Events, deaths: Deaths, *, retry_failed: bool
    ) -> Iterator[ExecutingRunner[RunT]]:
        """Open the store and the workers, of a folder that is held and mended."""
        if is_older(self.home.store):
            seal_all(self.folder, self.owns)
            events.note("What the study had done before had no checksums; it gets them as it is.")
        self._mend(events)
        with (
            open_store(self.home.store) as store,
            self._tracking(store, events) as told,
            self.config.executor.open(self.worker(), deaths) as executor,
        ):
            self._drop_damaged(store, events)
            if retry_failed:
                store.forget([record.key for record in store if record.error is not None])
            self.prepare()
            yield ExecutingRunner(self, store, executor, events, told)

    def _mend(self, events: Events) -> None:
        """Take away what is not what was written, first what may build upon it: it is done again."""
        for fault in damaged(self.folder, self.owns):
            events.note(f"{fault.path} is damaged: {fault.why}; it is taken away and done again.")
            fault.take_away(self.folder, self.builds_upon(fault.unit))

    def _drop_damaged(self, store: RunStore, events: Events) -> None:
        """Drop rows that are not what was written: their runs are done again."""
        damaged = store.unsound()
        store.drop(damaged)
        if damaged:
            of, runs = count(len(damaged), "row"), "its run is" if len(damaged) == 1 else "their runs are"
            events.note(
                f"{of} of {store.path} {'is' if len(damaged) == 1 else 'are'} damaged: {runs} done again."
            )
        self.tidy(store)

    def _tracking(self, store: RunStore, events: Events) -> AbstractContextManager[Tracking]:
        """Return the trackers that the file asks for."""
        return tracking(
            self.config.executor.track,
            self.config.name,
            self.folder / "tracked",
            self.config.plain(),
            step=lambda: sum(len(record.losses) for record in store),
            note=events.note,
        )

    def collect(self) -> StudyResult:
        """Put together what the store holds, running nothing; see :func:`cotune.studies.collect_study`."""
        self.home.require()
        notes = self.check()
        with open_store(self.home.store, writable=False) as store:
            result = self._accounted(self.follow(StoredRunner(self, store), notes))
            result.incidents = damaged_rows(store)
        return result

    def status(self) -> Status:
        """Look up what is done; see :func:`cotune.studies.study_status`."""
        self.home.require()
        with open_store(self.home.store, writable=False) as store:
            decided_by = self.decides_status() if len(store) >= MANY else None
            runner = StoredRunner(self, store)
            if decided_by is None:
                return self._status(runner, store, self.standing(runner))
            kept = KeptStatus(self.shared, runner.rows(), decided_by)
            known = None if store.damaged else kept.read()
            if known is not None:
                return replace(known, name=self.config.name, folder=str(self.folder))
            standing = self.standing(runner)
            found = self._status(runner, store, standing)
            if standing.lasts and not store.damaged:
                kept.keep(found)
            return found

    def _status(self, runner: StoredRunner[RunT], store: RunStore, standing: Standing[RunT]) -> Status:
        found = {
            title: tuple(runner.get(title, runs).values())
            for title, runs in standing.stages.items()
            if runs is not None and not isinstance(runs, Counted)
        }
        standing = replace(standing, sentences=[*standing.sentences, *damaged_rows(store)])
        return Status.of(self.config.name, str(self.folder), standing, found)


KINDS: dict[str, type[Study[Any, Any]]] = {}
"""The kinds by the name a study file writes; :mod:`cotune.studies.kinds` fills the table, so that the engine
knows none of them. A file that writes none is of the first."""


def load_config(path: Path) -> StudyConfig:
    """Read a study file of any kind.

    Parameters
    ----------
    path : Path
        The YAML file.

    Raises
    ------
    InputError
        If the file is missing, is not YAML, or a key or value is not valid; names file and key.
    """
    data = read_study_file(path)
    kind = data.get("kind", next(iter(KINDS), None))
    if not isinstance(kind, str) or kind not in KINDS:
        names = ", ".join(KINDS)
        near = did_you_mean(str(kind), KINDS)
        raise InputError(f"{path}: kind: must be one of: {names}; got {kind!r}{near}.")
    config = parse(KINDS[kind].config_class, data, str(path))
    config.check(str(path))
    return config
