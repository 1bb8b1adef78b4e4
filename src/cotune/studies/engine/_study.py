"""A study made ready: its configuration and tasks, its folder, and the way every kind goes."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from cotune._config import Config, did_you_mean, parse
from cotune._html import paragraphs, table
from cotune._repr import Brief
from cotune.exceptions import CotuneError, InputError
from cotune.findings.wording import count, size
from cotune.models.config import ModelConfig
from cotune.models.precision import ChosenPrecision
from cotune.studies.engine._account import KeptPlan, StageAccount, hash_of
from cotune.studies.engine._config import StudyConfig, read_study_file
from cotune.studies.engine._deaths import Deaths
from cotune.studies.engine._devices import visible_devices
from cotune.studies.engine._events import Events, Silent, tell_notes
from cotune.studies.engine._folder import StudyFolder, known_of, study_file_of
from cotune.studies.engine._kept_status import MANY, KeptStatus
from cotune.studies.engine._memory import check_memory, said_of_memory, shortage
from cotune.studies.engine._mending import damaged, seal_all
from cotune.studies.engine._plan import Costs, Plan
from cotune.studies.engine._prompting import Prompting
from cotune.studies.engine._results import StudyResult
from cotune.studies.engine._runner import ExecutingRunner, Runner, StageUsage, StoredRunner
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._status import Counted, Standing, Status
from cotune.studies.engine._store import RunStore, damaged_rows, is_older, open_store
from cotune.studies.engine._tracking import Tracking, check_trackers, tracking
from cotune.studies.engine._worker import Worker
from cotune.tasks import Task, check_tasks
from cotune.training.memory_plan import MemoryPlan

_NO_SOURCE = ("include", "exclude", "max_examples", "instructions", "stops", "reader", "max_rows")
"""Options of readers that choose from a source, or are younger than studies that are to go on, and so may
change while the study stays the same."""

_OUTPUTS = (".lock", "study.json", "plan.json", "runs.sqlite*", "shared", "tracked", "report.html")
"""What studies of all kinds leave in their folders."""

ConfigT = TypeVar("ConfigT", bound=StudyConfig)


@dataclass(frozen=True)
class Study(Brief, ABC, Generic[ConfigT, RunT]):
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

    config: ConfigT
    path: Path
    folder: Path

    config_class: ClassVar[type[StudyConfig]]
    """What the kind's file says."""
    outputs: ClassVar[tuple[str, ...]] = ()
    """Patterns of the files that a study of the kind leaves in its folder, beside those of all kinds."""

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

    def __post_init__(self) -> None:
        """Take over what the folder knows of the machine, on which the keys of its runs depend."""
        if isinstance(self.model, ModelConfig):
            self.model.recall_precision(ChosenPrecision.from_dict(known_of(self.folder).get("precision")))

    @property
    def precision(self) -> ChosenPrecision | None:
        """What the precision ``auto`` of the model means; None where the file says which, or has no model."""
        return self.model.chosen_precision(self.base) if isinstance(self.model, ModelConfig) else None

    @property
    def base(self) -> Path:
        """Folder that relative paths in the study start from."""
        return self.path.resolve().parent

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks as read, in the order of the study file.

        Raises
        ------
        InputError
            If a source is not usable, or two tasks have one name.
        """
        tasks = [
            task
            for reader in self.config.tasks
            for task in reader.read(base=self.base, seed=self.config.seed)
        ]
        check_tasks(tasks)
        if isinstance(self.model, ModelConfig):
            return tuple(self.model.reads(task, self.base) for task in tasks)
        return tuple(task.without_turns for task in tasks)

    @property
    def model(self) -> Config:
        """The part of the configuration that says which model the runs share; by default all of it."""
        return self.config

    @abstractmethod
    def check(self) -> dict[str, tuple[str, ...]]:
        """Check all that can be checked before compute is spent.

        Returns
        -------
        dict of str to tuple of str
            By task, one sentence for everything that was cut or dropped.

        Raises
        ------
        InputError
            If a task, the model or a number does not fit.
        """

    @property
    def prompting(self) -> Prompting:
        """How tasks are put to the model; needs the tokenizer alone.

        Raises
        ------
        InputError
            If no model of the study reads text, as by default.
        """
        raise InputError(f"{self.path}: no language model reads the tasks of this study: it has no prompts.")

    @abstractmethod
    def key(self, run: RunT) -> str:
        """Hash everything that determines a run; its key in the store."""

    def batches(self, runs: Sequence[RunT]) -> list[Sequence[RunT]]:
        """Say which runs one worker does in one pass; by default each by itself."""
        return [(run,) for run in runs]

    @abstractmethod
    def worker(self) -> Worker[RunT]:
        """Return what does the study's runs, not started yet."""

    def prepare(self) -> None:
        """Make what all runs share, in the study's folder, before the first of them; by default nothing."""

    def tidy(self, store: RunStore) -> None:
        """Take away what runs that are stored left when they were killed; by default there is nothing."""

    def stored(self, record: RunRecord) -> None:
        """Tidy up after a run whose record is in the store; by default there is nothing to tidy."""

    @abstractmethod
    def follow(self, runner: Runner[RunT], notes: Mapping[str, tuple[str, ...]]) -> StudyResult:
        """Go from stage to stage as far as the runs allow, and write what follows from their records.

        Parameters
        ----------
        runner : Runner
            Gives the records, of those runs that are done or can be.
        notes : mapping of str to tuple of str
            What :meth:`check` returned.
        """

    @abstractmethod
    def standing(self, runner: Runner[RunT]) -> Standing[RunT]:
        """Say which runs are wanted by stage, and what is known already; writes nothing.

        Parameters
        ----------
        runner : Runner
            Gives the records of those runs that are done.
        """

    @abstractmethod
    def costs(self, *, measure: bool) -> Costs:
        """Count runs, steps and tokens; ``measure`` says whether a probe tells what they take."""

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

    def builds_upon(self, place: Path) -> Sequence[Path]:
        """Return what may rely on a file or folder of the study, and is worth nothing without it."""
        return ()

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

    def decides_status(self) -> dict[str, Any] | None:
        """Return all that decides the status beside what is stored, as plain JSON types.

        None, as by default, of a kind that tells it in a moment however many runs there are.
        """
        return None

    def plan(self, *, measure: bool = True, keep: bool = False) -> Plan:
        """Tell what the study still costs; see :func:`cotune.studies.plan_study`."""
        self.home.check()
        check_trackers(self.config.executor.track)
        notes = self.check()
        with self.config.executor.crowded() if measure else nullcontext():
            costs = self.costs(measure=measure)
        if self.precision is not None:
            costs = replace(costs, notes=(*costs.notes, f"Precision {self.precision}."))
        costs = replace(costs, notes=(*costs.notes, *self._said_of_memory()))
        if keep and costs.usage is not None:
            self._keep(costs)
        plan, room = (
            Plan.of(self.config.name, notes, costs, self.config.executor.count()),
            self.config.executor.room(),
        )
        if room is None or room.gpu or (plan.memory_bytes or 0) <= room.bytes:
            return plan
        short = f"This machine has {size(room.bytes)} of memory, less than that: lower executor.workers."
        return replace(plan, notes=(*plan.notes, short))

    def memory(self, *, passes: bool = True) -> MemoryPlan | None:
        """Count what a run takes of its device's memory; None where no model is trained, as by default.

        Parameters
        ----------
        passes : bool
            Whether what passes take is counted as well.
        """
        return None

    def _said_of_memory(self, *, shortages: bool = False) -> list[str]:
        """Say what a run takes of memory, or only what is short of it; nothing where there is plenty.

        Raises
        ------
        InputError
            If no run fits.
        """
        room = self.config.executor.room()
        if room is None and (shortages or not visible_devices()):
            return []
        machine = None if room is None or room.gpu else room
        if machine and isinstance(self.model, ModelConfig) and machine.is_ample(self.model, self.base):
            return []
        memory = self.memory(passes=not (shortages and machine))
        if memory is None:
            return []
        check_memory(memory, room)
        return shortage(memory, room) if shortages else [said_of_memory(memory, room)]

    def _keep(self, costs: Costs) -> None:
        """Keep a plan for the report, unless runs were already done under an earlier one of the same file."""
        before, stored = KeptPlan.read(self.folder), self.stored_keys()
        if before is not None and before.asked == self._asked and stored - before.stored:
            return
        with suppress(InputError), self.home.hold(self._machine):  # of a study under way it is not kept
            KeptPlan(self._asked, stored, costs.stages).write(self.folder)

    @property
    def _machine(self) -> dict[str, Any]:
        """What was found out of the machine that keys of runs depend on."""
        return {} if self.precision is None else {"precision": self.precision.to_dict()}

    def stored_keys(self) -> frozenset[str]:
        """Return the keys of the runs that are done."""
        if not self.home.store.is_file():
            return frozenset()
        with open_store(self.home.store, writable=False) as store:
            return frozenset(store.keys())

    @property
    def _asked(self) -> str:
        return hash_of(self.config.plain())

    def accounts(self, stages: Sequence[StageUsage]) -> list[StageAccount]:
        """Set what stages took beside what ``cotune plan`` had said, if it was asked about the same file."""
        plan = KeptPlan.read(self.folder)
        return [] if plan is None or plan.asked != self._asked else plan.accounts(stages, self.unpaid(stages))

    def unpaid(self, stages: Sequence[StageUsage]) -> Collection[str]:
        """Return the keys of runs whose training is another's, which cost nothing; by default none."""
        return ()

    def _accounted(self, result: StudyResult) -> StudyResult:
        result.accounts = self.accounts(result.stages)
        return result

    @cached_property
    def home(self) -> StudyFolder:
        """The folder with what makes it this study's."""
        return StudyFolder(self.folder, self.identity, self.path)

    def owns(self, name: str) -> bool:
        """Whether something in the study's folder is called as what cotune writes there."""
        return any(fnmatchcase(name, pattern) for pattern in (*_OUTPUTS, *self.outputs))

    @property
    def shared(self) -> Path:
        """Folder for what all runs share, and for the state of runs in flight."""
        return self.folder / "shared"

    @cached_property
    def identity(self) -> dict[str, str]:
        """What makes a folder this study's: its name, and where tasks and model come from.

        Everything else may be edited: runs are kept under the hash of all that determines them.
        """
        config = self.config.plain()
        sources = [{k: v for k, v in reader.items() if k not in _NO_SOURCE} for reader in config["tasks"]]
        model = {"class": type(self.model).__name__, "model": getattr(self.model, "model", None)}
        content = json.dumps([sources, model], sort_keys=True, default=str)
        return {"name": self.config.name, "sources": hashlib.sha256(content.encode()).hexdigest()}


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
