"""The affinity stage: rounds of runs, as many as the estimator asks for.

In which order the tasks came into the study is noted: what was found without the later ones is built upon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from cotune._files import write_text
from cotune._seals import json_text, read_json
from cotune.exceptions import DamageError, RunError
from cotune.studies.engine import Runner, RunRecord
from cotune.studies.grouping._asked import KeptAsked
from cotune.studies.grouping._design import GroupingDesign
from cotune.studies.grouping._runs import GroupingStudyRun
from cotune.studies.grouping._warm import judge_start
from cotune.studies.grouping.estimators import Estimate, Memory

STAGE = "affinity"
"""The stage's title."""

_ARRIVALS = "arrivals.json"

Records: TypeAlias = Mapping[GroupingStudyRun, RunRecord]


@dataclass
class Gathered:
    """What the runs for the affinity gave so far.

    Parameters
    ----------
    records : dict of run to RunRecord
        The runs that are done.
    wanted : dict of run to None
        Runs asked for up to now, each once; after the last of a round there may be further rounds.
    estimate : Estimate or None
        The affinity, when no more runs are asked for.
    known : mapping of run to RunRecord
        Records that are there already, and are not asked for.
    stage : str
        The title under which the others are.
    asked : KeptAsked, optional
        Where runs that are done are noted before they are, for those who look on.
    """

    records: dict[GroupingStudyRun, RunRecord] = field(default_factory=dict)
    wanted: dict[GroupingStudyRun, None] = field(default_factory=dict)
    estimate: Estimate | None = None
    known: Mapping[GroupingStudyRun, RunRecord] = field(default_factory=dict)
    stage: str = STAGE
    asked: KeptAsked | None = None

    def gather(self, study: GroupingDesign, runner: Runner[GroupingStudyRun]) -> None:
        """Get round after round of runs, up to one that is not complete.

        Raises
        ------
        RunError
            If all runs failed, or so many that the estimator can say nothing.
        """
        learner, shared, config = study.affinity_learner, study.shared, study.config
        # What is worked out between rounds is kept of the file's own setting alone.
        memory = Memory(shared / "rounds.npz", writable=runner.executes) if self.stage == STAGE else None
        rounds = config.estimator.rounds(learner, config.seed, arrivals(shared, learner.tasks), memory)
        try:
            asked = next(rounds)
            while True:
                self._note(runner, asked.runs)
                beside = study.also_compared(asked.runs)
                got = self._get(runner, [*asked.runs, *beside], asked.note)
                found = {run: got[run] for run in dict.fromkeys(asked.runs) if run in got}
                self.records |= found
                if len(self.records) < len(self.wanted):
                    return
                _require_some(self.records)
                asked = rounds.send(found)
        except StopIteration as end:
            self.estimate = judge_start(learner, end.value, self.records)
            if config.affinity.proxy is not None:
                notes = (config.affinity.proxy.sentence, *self.estimate.notes)
                self.estimate = replace(self.estimate, notes=notes)

    def _note(self, runner: Runner[GroupingStudyRun], runs: Sequence[GroupingStudyRun]) -> None:
        further = bool(self.wanted)
        self.wanted |= dict.fromkeys(runs)
        if self.asked is not None and further:
            self.asked.ask_further()
        elif self.asked is not None:
            self.asked.ask(self.keys(runner))

    def keys(self, runner: Runner[GroupingStudyRun]) -> list[str]:
        """Return the keys of all runs asked for."""
        return [runner.key(run) for run in self.wanted]

    def _get(self, runner: Runner[GroupingStudyRun], runs: Sequence[GroupingStudyRun], note: str) -> Records:
        new = [run for run in runs if run not in self.known]
        if self.known and not new:
            return self.known
        return {**self.known, **runner.get(self.stage, new, note=note)}


def _require_some(records: dict[GroupingStudyRun, RunRecord]) -> None:
    errors = [record.error for record in records.values() if record.error is not None]
    if errors and len(errors) == len(records):  # an estimator may need no runs at all
        raise RunError(f"All {len(records)} runs for the affinity failed, the first so: {errors[0]}")


def arrivals(folder: Path, tasks: Sequence[str]) -> list[list[str]]:
    """Return the tasks in the order of their arrival, those that came at one time together.

    Parameters
    ----------
    folder : Path
        What the study's runs share.
    tasks : sequence of str
        All tasks of the study now. Those that no earlier run of the study knew are the last to arrive; where
        a task was taken out of the study, all arrive together, as for a new one.
    """
    earlier = _read(folder / _ARRIVALS)
    known = {task for batch in earlier for task in batch}
    if not known <= set(tasks):
        return [list(tasks)]
    new = [task for task in tasks if task not in known]
    return [*earlier, new] if new else earlier


def note_arrivals(folder: Path, batches: Sequence[Sequence[str]]) -> None:
    """Write down the order of arrival, for later runs of the study."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _ARRIVALS, json_text({"arrivals": batches}))


def _read(file: Path) -> list[list[str]]:
    try:
        batches: list[list[str]] = read_json(file, listed="arrivals")["arrivals"]
    except (OSError, DamageError):
        return []
    return batches
