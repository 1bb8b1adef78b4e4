"""What a study still costs, and what it took beside what was planned."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any

from cotune.exceptions import InputError
from cotune.findings.wording import size
from cotune.models.config import ModelConfig
from cotune.studies.engine._account import KeptPlan, StageAccount, hash_of
from cotune.studies.engine._devices import visible_devices
from cotune.studies.engine._kind import ConfigT, Kind
from cotune.studies.engine._memory import check_memory, said_of_memory, shortage
from cotune.studies.engine._plan import Costs, Plan
from cotune.studies.engine._results import StudyResult
from cotune.studies.engine._runner import StageUsage
from cotune.studies.engine._runs import RunT
from cotune.studies.engine._store import open_store
from cotune.studies.engine._tracking import check_trackers


@dataclass(frozen=True)
class Planned(Kind[ConfigT, RunT]):
    """A study that is planned before it is run, and told afterwards how far the plan was right."""

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

    def _accounted(self, result: StudyResult) -> StudyResult:
        result.accounts = self.accounts(result.stages)
        return result
