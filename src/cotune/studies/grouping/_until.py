"""The comparison stage, look by look where it ends once it is decided.

Which looks there are follows from the file and from stored records alone: a study that was interrupted looks
again at what it has, comes to the same and goes on from there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cotune._files import write_text
from cotune._seals import json_text, read_json
from cotune.exceptions import DamageError
from cotune.findings.comparison import (
    ArmScore,
    Budget,
    Comparison,
    Ending,
    Look,
    Looks,
    choosable,
    compare,
)
from cotune.findings.wording import count, duration
from cotune.studies.engine import Runner, RunRecord
from cotune.studies.grouping._comparison import ArmRuns
from cotune.studies.grouping._design import GroupingDesign
from cotune.studies.grouping._joint_parts import (
    forget_parts,
    joint_part_folder,
    joint_parts,
    wanted_parts,
)
from cotune.studies.grouping._runs import GroupingStudyRun
from cotune.studies.grouping.config import ComparisonConfig
from cotune.tasks import Task
from cotune.training.learner import SeparateLearner

LayOut = Callable[[Mapping[str, int] | None], ArmRuns]
"""Gives the runs of the comparison, with other than the file's number of seeds for the arms named."""

STAGE = "comparison"
_MANY = 8
"""Seeds from which on a look adds an eighth of them, and not one."""
_PLANNED = "looks.json"


@dataclass
class Compared:
    """The runs of a comparison up to now, and what they say.

    Parameters
    ----------
    arms : ArmRuns
        All runs wanted up to now.
    records : dict of run to RunRecord
        Those that are done.
    parts : dict of run to RunRecord
        The parts on all tasks that are done and that some of the runs go on from.
    scores : list of ArmScore
        What they scored.
    comparison : Comparison or None
        None without scores.
    """

    arms: ArmRuns
    records: dict[GroupingStudyRun, RunRecord] = field(default_factory=dict)
    parts: dict[GroupingStudyRun, RunRecord] = field(default_factory=dict)
    scores: list[ArmScore] = field(default_factory=list)
    comparison: Comparison | None = None

    @property
    def wanted(self) -> list[GroupingStudyRun]:
        """All runs wanted, and the parts that they go on from."""
        return [*self.arms.joint_parts, *self.arms.runs]

    @property
    def is_complete(self) -> bool:
        """Whether all runs wanted are done."""
        return len(self.records) == len(self.arms.runs)

    @property
    def minutes(self) -> float:
        """Processor minutes of all runs."""
        return sum(record.cpu_seconds for record in (*self.parts.values(), *self.records.values())) / 60

    @property
    def titles(self) -> list[str]:
        """What the arms are called, that of the groups first."""
        return [arm.title for arm in self.arms.arms]

    @property
    def choice(self) -> list[str]:
        """The arms that a verdict is among."""
        return choosable(self.titles)

    def minutes_a_seed(self, arms: Sequence[str], seeds: int) -> float:
        """Return the most processor minutes that some arms took with one of their first seeds.

        Those of a first seed can be less, where the affinity stage trains the same.
        """
        minutes = []
        for number in range(seeds):
            cells = [self.arms.cells.get((a, b, number), []) for a in arms for b in self.budgets]
            runs = dict.fromkeys(run for cell in cells for run in cell)
            records = [self.records[run] for run in runs]
            records += [self.parts[part] for part in joint_parts(runs) if part in self.parts]
            minutes.append(sum(record.cpu_seconds for record in records) / 60)
        return max(minutes)

    @property
    def budgets(self) -> list[Budget]:
        """The budgets of the comparison."""
        return list(dict.fromkeys(budget for _, budget, _ in self.arms.cells))

    def note(self, sentence: str) -> None:
        """Add to what the comparison says of itself."""
        if self.comparison is not None:
            self.comparison = replace(self.comparison, notes=(*self.comparison.notes, sentence))

    def get(
        self, arms: ArmRuns, study: GroupingDesign, runner: Runner[GroupingStudyRun], note: str = ""
    ) -> None:
        """Take over what is wanted now, and get what of it is new."""
        self.arms = arms
        kept = arms.kept(study.folder / "adapters")
        new = [run for run in arms.runs if run not in self.records]
        folders: dict[GroupingStudyRun, Path] = {
            part: joint_part_folder(study.shared, part, study.learner)
            for part in wanted_parts(runner, new, kept, study.key)
        }
        parts = [part for part in arms.joint_parts if part not in self.parts]
        if parts:
            self.parts |= runner.get(STAGE, parts, folders, note=note)
        self.records |= runner.get(STAGE, new, kept, note="" if parts else note)

    def apart(self, study: GroupingDesign) -> list[str]:
        """Return the arms whose runs have nothing in common with one another under a seed."""
        if not isinstance(study.learner, SeparateLearner):
            return []
        # Where a part on all tasks comes first, it is the beginning of the joint run.
        return [arm.title for arm in self.arms.arms if arm.share is None]

    def compare(self, study: GroupingDesign, look: Look | None = None) -> None:
        """Read all scores."""
        self.scores = self.arms.scores(self.records, study.tasks)
        if self.scores and len(self.titles) > 1:
            self.comparison = compare(
                self.scores, self.titles, look=look, apart=self.apart(study), left_out=left_out(study.tasks)
            )


def compared(
    study: GroupingDesign, lay_out: LayOut, config: ComparisonConfig, runner: Runner[GroupingStudyRun]
) -> Compared:
    """Get the runs of a comparison, as many as the file or the looks at them ask for.

    Parameters
    ----------
    study : GroupingDesign
        Has tasks and folders.
    lay_out : callable
        Gives the runs of so many seeds.
    config : ComparisonConfig
        Says whether there are looks.
    runner : Runner
        Gives records, of those runs that are done or can be.
    """
    found = Compared(lay_out(None))
    found.get(found.arms, study, runner)
    if config.until is None:
        found.compare(study)
    elif found.is_complete:
        planned = _planned(found, config, study.shared / _PLANNED, writable=runner.executes)
        _look_on(found, _Looks(study, lay_out, config, runner, planned.seeds))
        if planned.note:
            found.note(planned.note)
    else:
        first = Look(1, seeds_at_looks(config.seeds, config.max_seeds), dict.fromkeys(found.choice, 1))
        found.compare(study, first)
        found.note("Runs of the first look are missing: the margins are those of a look that has all.")
    if runner.executes:
        forget_parts(study.shared)
    return found


@dataclass(frozen=True)
class _Looks:
    study: GroupingDesign
    lay_out: LayOut
    config: ComparisonConfig
    runner: Runner[GroupingStudyRun]
    planned: tuple[int, ...]


def _look_on(found: Compared, to: _Looks) -> None:
    """Look, and get further seeds of the arms that may be the best, until there is an ending."""
    looks = Looks(found.titles, to.planned, found.apart(to.study), left_out(to.study.tasks))
    ending: Ending | None = None
    why = ""
    while ending is None:
        found.scores = found.arms.scores(found.records, to.study.tasks)
        if not found.scores or len(found.titles) < 2:
            return
        ending = looks.take(found.scores, found.minutes)
        if ending is None:
            why = _too_dear(found, looks, to.config)
            ending = "most cost" if why else None
        if ending is None:
            found.get(to.lay_out(looks.seeds), to.study, to.runner, _announced(looks))
            ending = None if found.is_complete else "under way"
    assert looks.comparison is not None
    found.comparison = replace(looks.comparison, course=looks.course(ending, why))


def left_out(tasks: Sequence[Task]) -> dict[str, int]:
    """Return how many test examples the data have beyond those scored, of the tasks that say."""
    return {task.name: task.left_out["test"] for task in tasks if "test" in task.left_out}


def _announced(looks: Looks) -> str:
    look = looks.look
    more = "a further seed" if look.seeds == looks.taken[-1].seeds + 1 else "further seeds"
    return (
        f"Look {look.number} of at most {len(look.planned)}: {more} ({look.seeds} in all) of "
        f"{', '.join(looks.training)}."
    )


def _too_dear(found: Compared, looks: Looks, config: ComparisonConfig) -> str:
    """Say what the next look would cost if that is too much, nothing if it is not."""
    if config.max_cost is None:
        return ""
    seeds = looks.taken[-1].seeds
    minutes = found.minutes_a_seed(looks.training, seeds) * (looks.look.seeds - seeds)
    left = max(config.max_cost - found.minutes, 0.0)
    if minutes <= left:
        return ""
    return f", about {duration(60 * minutes)} where {duration(60 * left)} are left"


def seeds_at_looks(first: int, most: int) -> tuple[int, ...]:
    """Return the seeds at every look: one more each time, an eighth of them more where they are many."""
    seeds = [first]
    while seeds[-1] < most:
        seeds.append(min(most, seeds[-1] + max(1, seeds[-1] // _MANY)))
    return tuple(seeds)


def most_seeds(config: ComparisonConfig, first_minutes: float, seed_minutes: float) -> int:
    """Return the most seeds that the file allows.

    Parameters
    ----------
    config : ComparisonConfig
        Says how many, and what they may cost.
    first_minutes : float
        Processor minutes of the first look.
    seed_minutes : float
        Those of a further seed of all arms that the verdict is among.
    """
    if config.max_cost is None or not seed_minutes > 0:
        return config.max_seeds
    more = max(math.floor((config.max_cost - first_minutes) / seed_minutes), 0)
    return min(config.max_seeds, config.seeds + more)


@dataclass(frozen=True)
class _Plan:
    """Seeds at all looks, and what they were to be when earlier looks were taken under another file."""

    seeds: tuple[int, ...]
    earlier: tuple[tuple[int, ...], ...] = ()

    @property
    def note(self) -> str:
        """Say that looks were planned anew after some had been taken; empty where they were not."""
        if not self.earlier:
            return ""
        return (
            f"The looks were planned anew, for at most {count(self.seeds[-1], 'seed')} where it were "
            f"{self.earlier[0][-1]}: margins hold as if that had been planned before the first look."
        )


def _planned(found: Compared, config: ComparisonConfig, file: Path, *, writable: bool) -> _Plan:
    """Return the seeds of all looks: those noted, or else what the first look's cost allows.

    They are noted, since they have to stay what they were when the first look was taken.
    """
    sets = sorted({run.subset for run in found.arms.runs})
    asked = json.dumps([config.model_dump(mode="json", exclude={"until"}), sets])
    noted: dict[str, Any] = {}
    with suppress(OSError, DamageError):
        noted = read_json(file)
    earlier = tuple(tuple(seeds) for seeds in noted.get("earlier", ()))
    if noted.get("asked") == asked:
        return _Plan(tuple(noted["seeds"]), earlier)
    most = most_seeds(config, found.minutes, found.minutes_a_seed(found.choice, config.seeds))
    planned = seeds_at_looks(config.seeds, most)
    if not noted or json.loads(noted["asked"])[1] != [list(names) for names in sets]:
        earlier = ()  # other groups are another comparison
    elif tuple(noted["seeds"]) != planned:
        earlier = (*earlier, tuple(noted["seeds"]))
    if writable:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json_text({"seeds": planned, "earlier": earlier, "asked": asked}))
    return _Plan(planned, earlier)
