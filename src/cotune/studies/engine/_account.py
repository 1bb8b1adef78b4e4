"""What was planned beside what was taken."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cotune._files import write_text
from cotune._repr import Brief
from cotune._seals import json_text, read_json
from cotune.findings.wording import count, duration
from cotune.studies.engine._plan import StagePlan
from cotune.studies.engine._runner import StageUsage

_FILE = "plan.json"


@dataclass(frozen=True)
class StageAccount(Brief):
    """A stage as it was planned, and what it took.

    Parameters
    ----------
    title : str
        The stage.
    planned : int
        Runs that were to be done.
    planned_seconds : float
        Processor seconds that they were to take.
    runs : int
        Runs done since.
    seconds : float
        What they took.
    """

    title: str
    planned: int
    planned_seconds: float
    runs: int
    seconds: float

    @property
    def ratio(self) -> float:
        """Seconds taken over those planned; NaN where other runs were done than planned."""
        same = self.runs == self.planned and self.planned_seconds > 0
        return self.seconds / self.planned_seconds if same else math.nan

    def sentence(self) -> str:
        """Say it."""
        planned = f"{count(self.planned, 'run')} in {duration(self.planned_seconds)} of processor time"
        if not self.runs:
            return f"planned {planned}"
        if self.runs == self.planned:
            return f"planned {planned}, taken {duration(self.seconds)} ({self.ratio:.2f} of it)"
        return f"planned {planned}, taken {count(self.runs, 'run')} in {duration(self.seconds)}"


@dataclass(frozen=True)
class KeptPlan(Brief):
    """A measured plan that waits for what comes of it.

    Parameters
    ----------
    asked : str
        Hash of what the file said.
    stored : frozenset of str
        Keys of the runs that were done before it.
    stages : tuple of StagePlan
        What was left then.
    """

    asked: str
    stored: frozenset[str]
    stages: tuple[StagePlan, ...]

    def write(self, folder: Path) -> None:
        """Put it into a study's folder."""
        stages = [asdict(stage) for stage in self.stages]
        content = {"asked": self.asked, "stored": sorted(self.stored), "stages": stages}
        write_text(folder / _FILE, json_text(content, indent=1))

    @classmethod
    def read(cls, folder: Path) -> KeptPlan | None:
        """Return the plan of a folder; None where there is none that can be read."""
        try:
            content = read_json(folder / _FILE)
            stages = tuple(StagePlan(**stage) for stage in content["stages"])
            return cls(content["asked"], frozenset(content["stored"]), stages)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def accounts(self, stages: Iterable[StageUsage], unpaid: Collection[str] = ()) -> list[StageAccount]:
        """Set the records of stages beside it.

        Parameters
        ----------
        stages : iterable of StageUsage
            What was run.
        unpaid : collection of str
            Keys of runs whose training is another's: they count, and cost nothing.
        """
        found = {stage.title: stage.records for stage in stages}
        accounts = []
        for stage in self.stages:
            if stage.cpu_seconds is None or stage.stored == stage.runs:
                continue
            records = {r.key: r for r in found.get(stage.title, ()) if r.key not in self.stored}
            seconds = sum(record.cpu_seconds for key, record in records.items() if key not in unpaid)
            left = stage.runs - stage.stored
            accounts.append(StageAccount(stage.title, left, stage.cpu_seconds, len(records), seconds))
        return accounts


def hash_of(asked: dict[str, Any]) -> str:
    """Hash what a study file says; where its runs happen does not matter."""
    content = {key: value for key, value in asked.items() if key != "executor"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
