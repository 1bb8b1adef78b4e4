"""Runs on a Ray cluster: workers are actors, and files travel through its object store.

Ray starts processes, counts resources, notices what dies and moves bytes; here is only which run goes where.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from cotune.exceptions import InputError, RunError
from cotune.findings.wording import count
from cotune.studies.engine._board import Steps
from cotune.studies.engine._carrying import Hasher, Pieces, Stamps, bring, pieces_of, sources_of
from cotune.studies.engine._deaths import Deaths
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._worker import Job, Worker

if TYPE_CHECKING:
    from cotune.studies.engine._executor import OnJobs
    from cotune.studies.engine._ray_host import Answer, Home, Parcel

_LOOK_SECONDS = 1.0
"""How often is looked how far workers are, and whether nodes have joined."""
_HELD = 1 << 30
"""Bytes of files that are kept in the object store for workers to come."""
_NO_START = 3
"""So many workers after another that die while they start, and the command ends."""


@dataclass(frozen=True, slots=True)
class Share:
    """What of a cluster a worker has for itself.

    Parameters
    ----------
    cpus, gpus : float
        Cores, and accelerators.
    """

    cpus: float
    gpus: float

    def fit(self, nodes: Iterable[dict[str, Any]]) -> int:
        """Count the workers that nodes hold, as Ray lists them."""
        return sum(self._on(node["Resources"]) for node in nodes if node["Alive"])

    def _on(self, resources: dict[str, float]) -> int:
        fitting = int(resources.get("CPU", 0.0) / self.cpus + 1e-6)
        if not self.gpus:
            return fitting
        gpus = resources.get("GPU", 0.0)
        # A part of one is of one: three of 0.4 do not fit on a GPU and a half.
        held = int(gpus) * int(1 / self.gpus + 1e-6) if self.gpus < 1 else int(gpus / self.gpus + 1e-6)
        return min(fitting, held)

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.cpus:g} CPU{gpus}"


@dataclass(eq=False)
class _Hand:
    """A worker on the cluster, and what it is at."""

    actor: Any
    known: Stamps = field(default_factory=dict)
    """Its copies, by path here."""
    started: bool = False
    waits: Any = None
    """The reference of what it was asked last; None while it has nothing to do."""
    at: tuple[int, Job[Any]] | None = None
    parcel: Parcel | None = None
    asked: Any = None
    """The reference of how far it is."""
    steps: Steps | None = None


class RayExecutor(Generic[RunT]):
    """Does jobs in actors that load the model once each; the first starts alone, and so tells a mistake once.

    Parameters
    ----------
    ray : module
        Connected.
    worker : Worker
        Not started; a copy goes to each actor.
    share : Share
        What each has for itself.
    home : Home
        What it has to know.
    most : int or None
        Actors at most; None for as many as the cluster holds, also when it grows.
    max_failures : int
        How often a run is done again whose worker died.
    deaths : Deaths
        Says what becomes of the runs of workers that die.
    """

    def __init__(
        self,
        ray: Any,
        worker: Worker[RunT],
        share: Share,
        home: Home,
        most: int | None,
        max_failures: int,
        deaths: Deaths,
    ) -> None:
        from cotune.studies.engine._ray_host import Host

        self._ray, self._worker, self._home = ray, worker, home
        self._share, self._most, self._max_failures = share, most, max_failures
        self._deaths = deaths
        options = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_restarts": 0, "max_task_retries": 0}
        # How far a job is can be asked while it is done.
        self._cls = ray.remote(concurrency_groups={"told": 1}, **options)(Host)
        self._sent = ray.put(worker)
        self._depot = _Depot(ray)
        self._sources = self._depot.hasher.stamps(sources_of(worker, getattr(worker, "base", Path())))
        self._hands: list[_Hand] = []
        self._lost_starts = 0

    def run(self, jobs: Sequence[Job[RunT]], on_jobs: OnJobs) -> Iterator[list[RunRecord]]:
        """Do jobs on the cluster.

        Raises
        ------
        RunError
            If workers die one after another and nothing comes of any; what finished before was yielded.
        """
        waiting = deque(enumerate(jobs))
        while waiting or any(hand.at is not None for hand in self._hands):
            self._grow(len(waiting))
            for hand in self._hands:
                if waiting and hand.started and hand.waits is None:
                    self._hand_out(hand, *waiting.popleft())
            for hand in self._ended():
                if hand.at is None:
                    self._starts(hand)
                elif records := self._does(hand, waiting):
                    yield records
            on_jobs(self._far())

    def close(self) -> None:
        """End the actors, whatever they are doing."""
        for hand in self._hands:
            if hand.waits is None:
                # What it holds would stay on its machine's disk until another worker starts there.
                with suppress(self._ray.exceptions.RayError):
                    self._ray.get(hand.actor.close.remote(), timeout=5)
            self._ray.kill(hand.actor)
        self._hands.clear()

    def _grow(self, waiting: int) -> None:
        """Ask for as many actors as there is work and room for; the second when the first has started."""
        room = self._share.fit(self._ray.nodes()) if self._most is None else self._most
        if not any(hand.started for hand in self._hands):
            room = min(room, 1)
        at_work = sum(hand.at is not None for hand in self._hands)
        for _ in range(min(room, at_work + waiting) - len(self._hands)):
            hand = _Hand(self._cls.remote())
            hand.waits = hand.actor.lacks.remote(self._sources)
            self._hands.append(hand)

    def _ended(self) -> list[_Hand]:
        by_reference = {hand.waits: hand for hand in self._hands if hand.waits is not None}
        if not by_reference:
            # The cluster has no room now; whoever joins is looked for in a while.
            threading.Event().wait(_LOOK_SECONDS)
            return []
        found, _ = self._ray.wait(list(by_reference), num_returns=1, timeout=_LOOK_SECONDS)
        return [by_reference[reference] for reference in found]

    def _starts(self, hand: _Hand) -> None:
        """Go on with a worker once it has told what it lacks, and once it has started."""
        try:
            answer = self._ray.get(hand.waits)
        except self._ray.exceptions.RayTaskError as error:
            # Errors of the worker's own come as answers; this one could not even be read.
            reason = str(error.cause if hasattr(error, "cause") else error).strip().splitlines()
            raise InputError(
                f"A node of the Ray cluster cannot read what to do ({reason[-1] if reason else error}); "
                "install the same packages on every node."
            ) from error
        except self._ray.exceptions.RayError as error:
            self._leave(hand)
            self._lost_starts += 1
            if self._lost_starts >= _NO_START:
                raise RunError(
                    f"{count(_NO_START, 'worker')} after another ended while they were starting on the Ray "
                    f"cluster, the last {_why(error)}; finished runs are kept, and the same command goes on."
                ) from error
            return
        if hand.parcel is None:
            lacking = {file: self._sources[file] for file in answer}
            hand.known = {file: stamp for file, stamp in self._sources.items() if file not in lacking}
            hand.parcel = self._parcel(hand, self._worker.folders(None), lacking)
            hand.waits = hand.actor.start.remote(self._sent, self._home, hand.parcel)
            return
        self._lost_starts = 0
        self._take(hand, answer)
        hand.started = True

    def _hand_out(self, hand: _Hand, number: int, job: Job[RunT]) -> None:
        hand.at = (number, job)
        hand.parcel = self._parcel(hand, self._worker.folders(job))
        hand.waits = hand.actor.do.remote(number, job, hand.parcel)

    def _does(self, hand: _Hand, waiting: deque[tuple[int, Job[RunT]]]) -> list[RunRecord]:
        """Take what came of a job; if its worker died, let it be done again elsewhere."""
        assert hand.at is not None
        number, job = hand.at
        try:
            answer = self._ray.get(hand.waits)
            self._take(hand, answer)
        except self._ray.exceptions.RayError as error:
            self._leave(hand)
            again, given_up = self._deaths.died(job, _why(error), self._max_failures)
            waiting.extend((number, one) for one in again)
            return given_up
        hand.at = hand.steps = hand.asked = None
        self._deaths.ended()
        records: list[RunRecord] = answer.records
        return records

    def _take(self, hand: _Hand, answer: Answer) -> None:
        """Write what a worker left where it belongs."""
        if answer.error is not None:
            raise answer.error
        assert hand.parcel is not None
        bring(answer.files, self._ray.get)
        own = {file: stamp for file, (stamp, _) in (hand.parcel.pieces | answer.files).items()}
        places = hand.parcel.places
        kept = {file: stamp for file, stamp in own.items() if any(file.is_relative_to(p) for p in places)}
        before = {f: s for f, s in hand.known.items() if not any(f.is_relative_to(p) for p in places)}
        hand.known = before | hand.parcel.has | kept
        hand.waits = None

    def _parcel(self, hand: _Hand, places: Sequence[Path], sources: Stamps | None = None) -> Parcel:
        from cotune.studies.engine._ray_host import Parcel

        wanted = self._depot.hasher.stamps(places)
        has = {file: stamp for file, stamp in wanted.items() if hand.known.get(file) == stamp}
        sent = {file: stamp for file, stamp in wanted.items() if file not in has} | (sources or {})
        return Parcel(tuple(places), has, self._depot.pieces(sent))

    def _leave(self, hand: _Hand) -> None:
        """Be done with a worker that died, or cannot be reached: it must not go on beside its successor."""
        self._ray.kill(hand.actor)
        self._hands.remove(hand)

    def _far(self) -> list[Steps]:
        """Return how far jobs are, as workers said when they were asked last."""
        for hand in self._hands:
            if hand.at is None:
                continue
            if hand.asked is None:
                hand.asked = hand.actor.steps.options(concurrency_group="told").remote()
            elif self._ray.wait([hand.asked], timeout=0)[0]:
                with suppress(self._ray.exceptions.RayError):
                    hand.steps = self._ray.get(hand.asked)
                hand.asked = None
        return [hand.steps for hand in self._hands if hand.steps is not None]


class _Depot:
    """Files as pieces in the object store, kept there for others while they are few."""

    def __init__(self, ray: Any) -> None:
        self._put: Callable[[bytes], Any] = ray.put
        self.hasher = Hasher()
        self._held: dict[str, list[Any]] = {}
        self._bytes = 0

    def pieces(self, files: Stamps) -> Pieces:
        """Return the references of files' pieces."""
        return {file: (stamp, self._of(file, stamp)) for file, stamp in files.items()}

    def _of(self, file: Path, stamp: str) -> list[Any]:
        if stamp not in self._held:
            size = file.stat().st_size
            if self._bytes + size > _HELD:
                self._held.clear()
                self._bytes = 0
            self._held[stamp] = pieces_of(file, self._put)
            self._bytes += size
        return self._held[stamp]


def _why(error: Exception) -> str:
    """Say what ended a worker, to follow the words "A worker"."""
    text = str(error)
    if "OutOfMemory" in type(error).__name__ or "memory usage threshold" in text:
        return "was ended by Ray, whose node ran out of memory"
    if re.search(r"\bnode\b.*\b(died|dead|terminated|unreachable|failed)\b", text, re.IGNORECASE):
        return "was on a node that was lost"
    detail = re.search(r"Worker exit detail: (.*)", text)
    return f"died ({detail[1].rstrip('. ')})" if detail else f"died ({type(error).__name__})"
