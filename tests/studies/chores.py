"""Jobs that try what an executor promises: they square, fail, die, and read and leave files."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cotune._files import new_folder
from cotune.exceptions import InputError, PackageError, RunError
from cotune.studies.engine import Job, Worker, write_artefact_record
from cotune.training.steps import tell_step


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do, and what with."""

    kind: ClassVar[str] = "chore"
    what: str
    value: str = ""

    @property
    def size(self) -> int:
        return 1


@dataclass(kw_only=True)
class ChoreWorker(Worker[Chore]):
    """Does chores."""

    shared: Path
    states: Path
    base: Path
    starts: int = 0

    def use_threads(self, threads: int) -> None:
        self.threads = threads  # no numerical library is loaded

    def start(self) -> None:
        self.starts += 1
        begun = self.shared / "begun.txt"
        if not begun.exists():
            self.shared.mkdir(parents=True, exist_ok=True)
            begun.write_text(f"by {os.getpid()}")

    def folders(self, job: Job[Chore] | None) -> Sequence[Path]:
        return (self.shared,)

    def scratch(self) -> Sequence[Path]:
        return (self.states,)

    def outcomes(self, job: Job[Chore]) -> Sequence[Mapping[str, Any]]:
        return [{"payload": {"answer": self._do(run, job)}} for run in job.runs]

    def _do(self, run: Chore, job: Job[Chore]) -> Any:
        match run.what:
            case "square":
                return int(run.value) ** 2
            case "fail":
                raise RunError("It diverged.")
            case "refuse":
                raise PackageError(f"The file {run.value} holds nothing.", "nothing")
            case "break":
                raise InputError(f"The file {run.value} is broken.")
            case "where":
                visible = os.environ.get("CUDA_VISIBLE_DEVICES")
                time.sleep(float(run.value or 0))
                threads = os.environ.get("OMP_NUM_THREADS")
                here = {"pid": os.getpid(), "visible": visible, "threads": threads}
                return {**here, "starts": self.starts}
            case "read":
                return (self.shared / run.value).read_text()
            case "leave":
                self.states.mkdir(parents=True, exist_ok=True)
                (self.states / "state.bin").write_bytes(b"0" * 10)
                with new_folder(self.shared / run.value) as folder:
                    (folder / "part.bin").write_bytes(run.value.encode() * 3)
                    (folder / "empty.bin").touch()
                return [str(path.relative_to(self.shared)) for path in sorted(self.shared.rglob("*"))]
            case "keep":
                assert job.save_to is not None
                with new_folder(job.save_to) as folder:
                    (folder / "adapter.bin").write_bytes(b"weights")
                    (folder / "deep").mkdir()
                    (folder / "deep" / "config.json").write_text("{}")
                    write_artefact_record(folder, {"run": job.keys[0]})
                return None
            case "step":
                for step in range(1, 4):
                    tell_step(step, 3)
                    time.sleep(float(run.value))
                return None
            case "die":
                return self._die(run.value)
        raise AssertionError(run)

    def _die(self, marks: str) -> int:
        """Be killed as often as a file has letters to take, and then live."""
        file = Path(marks)
        left = file.read_text()
        if left:
            file.write_text(left[1:])
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()
