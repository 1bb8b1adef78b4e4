"""The process that does the work: jobs in, records out."""

from __future__ import annotations

import json
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from cotune._repr import Brief
from cotune._seals import damage, seal
from cotune.evaluation.saved_model import ARTEFACT_RECORD
from cotune.exceptions import RunError
from cotune.models.memory import telling
from cotune.models.precision import spread_over_devices
from cotune.studies.engine._runs import RunRecord, RunT


@dataclass(frozen=True, slots=True)
class Job(Brief, Generic[RunT]):
    """Runs that one worker does together.

    Parameters
    ----------
    runs : tuple of runs
        More than one only where the kind of study can do many in one pass.
    keys : tuple of str
        Their keys.
    save_to : Path or None
        Where to keep what a single run trained.
    """

    runs: tuple[RunT, ...]
    keys: tuple[str, ...]
    save_to: Path | None = None


class Worker(ABC, Generic[RunT]):
    """Does jobs, with a model loaded once.

    It is made where the study is read and sent to the process that does the work, so until it is started it
    holds no more than what says what to load.
    """

    @abstractmethod
    def start(self) -> None:
        """Load what all jobs need; called once, in the process that does the work."""

    def use_threads(self, threads: int) -> None:
        """Let numerical libraries use so many threads; called once, before the start."""
        import torch

        torch.set_num_threads(threads)

    def folders(self, job: Job[RunT] | None) -> Sequence[Path]:
        """Return the folders within the study's that a job, or the start, reads and leaves files in.

        Where workers share no file system with the command, it is these that travel; ``save_to`` of the job
        comes back besides.
        """
        return ()

    def device_memory(self) -> tuple[int, int]:
        """Return the bytes that runs took of the worker's GPU at most, and those that it has; 0 without."""
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_initialized():
            return (0, 0)
        total = torch.cuda.get_device_properties(0).total_memory
        return (int(torch.cuda.max_memory_reserved(0)), int(total))

    def scratch(self) -> Sequence[Path]:
        """Return the folders within the study's that hold the states of runs in flight."""
        return ()

    def do(self, job: Job[RunT]) -> list[RunRecord]:
        """Do a job; a run that fails by itself becomes a record with its error."""
        wall, cpu = time.perf_counter(), time.process_time()
        results: Sequence[Mapping[str, Any]]
        try:
            with telling() as told:
                results = self.outcomes(job)
        except RunError as error:
            # A diverging model must not take those trained beside it along.
            if len(job.runs) > 1:
                alone = zip(job.runs, job.keys, strict=True)
                return [record for run, key in alone for record in self.do(Job((run,), (key,)))]
            results = [{"error": str(error)}]
        share = len(job.runs)
        usage = {
            "seconds": (time.perf_counter() - wall) / share,
            "cpu_seconds": (time.process_time() - cpu) / share,
            "peak_bytes": peak_memory(),
        }
        if told:
            results = [{**of, "payload": {**(of.get("payload") or {}), "told": told}} for of in results]
        return [
            RunRecord.of(key, run, **{**usage, **result})
            for run, key, result in zip(job.runs, job.keys, results, strict=True)
        ]

    @abstractmethod
    def outcomes(self, job: Job[RunT]) -> Sequence[Mapping[str, Any]]:
        """Do the runs of a job; return by run the fields of its record that tell what came out.

        Raises
        ------
        RunError
            If a run fails by itself.
        """


def start_worker(worker: Worker[Any], threads: int, *, spread: bool = False) -> None:
    """Start a worker in this process, on as many threads as it may use, on one GPU or all that it sees."""
    spread_over_devices(spread)
    worker.use_threads(threads)
    worker.start()


def write_artefact_record(folder: Path, content: Mapping[str, Any]) -> None:
    """Write beside what a run left which run it was, and the checksums of it all; comes last."""
    (folder / ARTEFACT_RECORD).write_text(json.dumps(content, indent=2) + "\n")
    seal(folder)


def artefact_record(folder: Path) -> dict[str, Any]:
    """Read which run a kept artefact came from, and what else was noted; empty where that is not known."""
    try:
        record: dict[str, Any] = json.loads((folder / ARTEFACT_RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record


def artefact_lack(folder: Path, key: str) -> str:
    """Say why a folder does not hold what a run left, whole; nothing if it does."""
    if artefact_record(folder).get("run") == key:
        return damage(folder)
    # What cannot be read is damaged, too: a record that is another run's is whole.
    return damage(folder) if (folder / ARTEFACT_RECORD).is_file() and damage(folder) else "it is missing"


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
