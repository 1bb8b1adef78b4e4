"""What a grouping study will cost, before anything is spent: counted, and measured by a probe."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from cotune.findings.comparison import CONVERGED, choosable
from cotune.findings.wording import count, duration, size
from cotune.studies.engine import Costs, StagePlan, Usage, peak_memory
from cotune.studies.grouping._comparison import ArmRuns
from cotune.studies.grouping._design import GroupingDesign
from cotune.studies.grouping._detect import detect_note
from cotune.studies.grouping._joint_parts import joint_parts
from cotune.studies.grouping._known import NOTHING, Known
from cotune.studies.grouping._rounds import STAGE
from cotune.studies.grouping._runs import (
    FeatureRun,
    FitRun,
    GroupingStudyRun,
    JointPartRun,
    LinearRun,
    LookaheadRun,
    variation_of,
)
from cotune.studies.grouping._settings import settings_of
from cotune.studies.grouping._sweep import STAGE as SWEEP
from cotune.studies.grouping._sweep import variant
from cotune.studies.grouping._timing import RunTimes
from cotune.studies.grouping._until import most_seeds
from cotune.studies.grouping.arms import BASELINES, learner_of
from cotune.studies.grouping.config import ComparisonConfig
from cotune.training.below import KeptStates, StatesLearner
from cotune.training.learner import Learner
from cotune.training.varied import WarmLearner

_COMPARISON = "comparison"
_STATES = "layers below"
_RECORD_BYTES = 20_000

Runs = Sequence[GroupingStudyRun]


def grouping_costs(study: GroupingDesign, *, measure: bool, known: Known = NOTHING) -> Costs:
    """Count runs, steps and tokens of what is not stored yet, and measure by a few batches what they take.

    Parameters
    ----------
    study : GroupingDesign
        The study.
    measure : bool
        Whether to measure.
    known : Known
        What the store says: which runs are done, which groups they led to, how the arms did.
    """
    config, learner = study.config, study.learner
    proxy = config.affinity.proxy
    notes = [] if proxy is None else [proxy.sentence]
    notes += config.estimator.plan_notes(study.affinity_learner)
    arms: ArmRuns | None = None
    wanted: dict[str, Runs] = {
        STAGE: known.affinity or config.estimator.planned(study.affinity_learner, config.seed)
    }
    if config.comparison is not None:
        arms = known.arms or _made_up_arms(study, config.comparison)
        notes += _assumed(study, config.comparison, known)
        wanted[_COMPARISON] = [*arms.joint_parts, *arms.runs]
    if config.sweep:
        wanted[SWEEP] = _sweep_runs(study, wanted) if known.sweep is None else known.sweep
        notes.append(
            "Runs of the sweep are counted for groups of the numbers that its settings give, and once where "
            "settings share them."
        )
    left = _left(study, wanted, known)
    beside = frozenset(study.also_compared(left[STAGE]))
    if beside:
        notes.append(
            f"{len(beside)} runs of the comparison are trained with those of the affinity and only scored "
            "again."
        )
    every = [run for runs in left.values() for run in runs]
    # A further seed trains what all arms are made of, whether their first is done or not.
    looked = [] if arms is None else wanted[_COMPARISON]
    kept = frozenset[GroupingStudyRun]() if arms is None else frozenset(arms.kept(Path()))
    costs = _Costs(study, [*every, *looked] if measure and every else [], beside, kept)
    stages = tuple(
        costs.stage(title, left[title], stored=len(dict.fromkeys(runs)) - len(left[title]))
        for title, runs in wanted.items()
    )
    if config.comparison is not None and arms is not None:
        most, note = _most(config.comparison, arms, costs, known)
        told = detect_note(config.comparison, study.tasks, most, known.comparison)
        notes += [sentence for sentence in (note, told) if sentence]
    start = costs.alone(study.shared)
    notes += costs.states_notes
    usage = None
    if costs.measured:
        arrays = sum(4 * _numbers(run, len(learner.tasks)) for run in every)
        # Where a joint part stands is its parameters and two moments of each.
        stored = len(kept) + (0 if arms is None else 3 * len(arms.joint_parts))
        usage = Usage(
            process_bytes=peak_memory(),
            processes_beside=1,
            kept_bytes=stored * costs.kept_bytes + arrays + _RECORD_BYTES * len(every) + costs.states_bytes,
            alone_seconds=sum(stage.cpu_seconds or 0.0 for stage in start),
        )
    return Costs(len(learner.tasks), (*start, *stages), usage, tuple(notes))


def _left(study: GroupingDesign, wanted: dict[str, Runs], known: Known) -> dict[str, Runs]:
    """Return by stage the runs that are not stored, each once."""
    if not known.keys:
        return {title: list(dict.fromkeys(runs)) for title, runs in wanted.items()}
    left: dict[str, Runs] = {
        title: [run for run in dict.fromkeys(runs) if study.key(run) not in known.keys]
        for title, runs in wanted.items()
    }
    # Where results decide which runs come next, those done take the place of as many that were foreseen.
    others = len(set(known.done) - set(wanted[STAGE]))
    return {**left, STAGE: left[STAGE][: max(len(left[STAGE]) - others, 0)]}


class _Costs:
    """Counts what runs take, once a probe has told what the work of each kind does.

    Parameters
    ----------
    study : GroupingDesign
        The study.
    measured : sequence of runs
        Runs that a probe has to tell of; none where nothing is measured.
    beside : container of runs
        Those that are only scored, since others train the same.
    kept : container of runs
        Those whose models are kept, with a few answers.
    """

    def __init__(
        self,
        study: GroupingDesign,
        measured: Runs,
        beside: Container[GroupingStudyRun],
        kept: Container[GroupingStudyRun] = (),
    ) -> None:
        self._study, self._beside, self._kept = study, beside, kept
        self._learners = study.learners
        self._times = {
            id(learner): RunTimes(_cold(learner), own, study.tasks)
            for learner in self._learners
            if (own := [run for run in measured if study.learner_of(run) is learner])
        }
        self._ways: dict[tuple[int, str], Learner] = {}
        self.measured = bool(measured)

    @property
    def kept_bytes(self) -> int:
        """Disk that a trained model takes."""
        times = self._times.get(id(self._study.learner))
        return 0 if times is None else times.kept_bytes

    @property
    def states_bytes(self) -> int:
        """Disk that what is computed once takes."""
        return sum(kept.n_bytes for _, kept in self._states)

    def stage(self, title: str, runs: Runs, *, stored: int = 0) -> StagePlan:
        """Count runs that are still to be done; ``stored`` says how many of the stage are."""
        trained = [
            run
            for run in runs
            if isinstance(run, FitRun | JointPartRun | LookaheadRun) and run not in self._beside
        ]
        expected = [self._varied(run).expected_tokens(run.subset, run.steps) for run in trained]
        tokens = sum(t for t in expected if t is not None) if None not in expected else None
        steps = sum(run.steps for run in trained)
        return StagePlan(title, len(runs) + stored, steps, tokens, self.seconds(runs), stored=stored)

    def _varied(self, run: GroupingStudyRun) -> Learner:
        learner, text = self._study.learner_of(run), variation_of(run)
        if (id(learner), text) not in self._ways:
            self._ways[id(learner), text] = learner_of(learner, text)
        return self._ways[id(learner), text]

    def seconds(self, runs: Runs) -> float | None:
        """Return the processor seconds of runs; None where nothing was measured."""
        if not self.measured:
            return None if runs else 0.0
        seconds = 0.0
        for run in runs:
            times = self._times[id(self._study.learner_of(run))]
            seconds += times.of(run, only_scored=run in self._beside)
            if isinstance(run, FitRun) and run in self._kept:
                seconds += times.keeping(run)
        return seconds

    @cached_property
    def _states(self) -> list[tuple[Learner, KeptStates]]:
        """What is computed once of the layers below all that is trained, by the learner."""
        parted = [one for one in self._learners if isinstance(one, StatesLearner)]
        return [(learner, kept) for learner in parted if (kept := learner.kept_states) is not None]

    @property
    def states_notes(self) -> list[str]:
        """Say what of the layers below is computed once."""
        return [
            f"What {kept.n_below} of {kept.n_layers} layers make of {count(kept.n_examples, 'example')} is "
            f"computed once and takes {size(kept.n_bytes)}"
            + (
                f"; there is no room for {kept.n_left_out:,} more, which every run computes anew."
                if kept.n_left_out
                else "."
            )
            for _, kept in self._states
        ]

    def alone(self, shared: Path) -> tuple[StagePlan, ...]:
        """Count what one process does before all others: what lies below, and what runs start from."""
        return (*self._below(shared), *self._starts(shared))

    def _below(self, shared: Path) -> Iterator[StagePlan]:
        for learner, kept in self._states:
            times = self._times.get(id(learner))
            if kept.stored(shared):
                yield StagePlan(_STATES, 1, 0, 0, 0.0, stored=1)
            elif times is not None or not self.measured:
                yield StagePlan(_STATES, 1, 0, 0, None if times is None else times.below)

    def _starts(self, shared: Path) -> Iterator[StagePlan]:
        """Count the run that all others start from: it is not scored, and only one process trains it."""
        for learner in self._learners:
            if not isinstance(learner, WarmLearner) or learner.start is None:
                continue
            tasks, steps = learner.start
            times = self._times.get(id(learner))
            if learner.has_started(shared):
                yield StagePlan("warm start", 1, 0, 0, 0.0, stored=1)
            else:
                seconds = None if times is None else times.training(tasks, steps)
                yield StagePlan("warm start", 1, steps, learner.expected_tokens(tasks, steps), seconds)


def _cold(learner: Learner) -> Learner:
    """Return a learner whose runs cost the same: one from a warm start costs what one from none does."""
    return learner.cold() if isinstance(learner, WarmLearner) and learner.start is not None else learner


def _assumed(study: GroupingDesign, config: ComparisonConfig, known: Known) -> list[str]:
    """Say what the figures of a comparison assume."""
    notes = []
    if known.arms is None and not isinstance(study.config.grouping.n_clusters, int):
        k = _number_of_groups(study)
        notes.append(f"The comparison is counted for {k} groups; the number is known after grouping.")
    if CONVERGED in config.budgets:
        notes.append(
            f"Models of the budget {CONVERGED!r} are counted with all of their {config.converged.most} steps "
            "a task; they end where their validation loss stops falling."
        )
    return notes


def _choice_runs(config: ComparisonConfig, arms: ArmRuns) -> list[GroupingStudyRun]:
    """Return the runs of the first seeds of the arms that get further ones."""
    choice = choosable([arm.title for arm in config.every_arm])
    cells = [of for (arm, _, number), of in arms.cells.items() if arm in choice and number < config.seeds]
    runs = dict.fromkeys(run for of_cell in cells for run in of_cell)
    return [*joint_parts(runs), *runs]


def _most(config: ComparisonConfig, arms: ArmRuns, costs: _Costs, known: Known) -> tuple[int, str]:
    """Return the most seeds of an arm, and what the looks at the comparison may cost."""
    if config.until is None:
        return config.seeds, ""
    course = None if known.comparison is None else known.comparison.course
    if course is not None:
        most = course.planned[-1]
        return most, (
            f"The comparison is counted up to its next look; its looks are planned for {count(most, 'seed')} "
            "at most."
        )
    first, choice = costs.seconds([*arms.joint_parts, *arms.runs]), costs.seconds(_choice_runs(config, arms))
    if first is None or choice is None:
        seconds = "" if config.max_cost is None else "; how many max_cost allows is not measured"
        return config.max_seeds, f"The comparison is counted for its first look{seconds}."
    begin, each = first / 60, choice / 60 / config.seeds
    most = most_seeds(config, begin, each)
    limit = "max_cost" if most < config.max_seeds else "max_seeds"
    return most, (
        f"The comparison is counted for its first look, about {duration(60 * begin)} of processor time; a "
        f"further seed of all arms that may be the best takes about {duration(60 * each)}, and {limit} "
        f"allows {count(most, 'seed')}, {duration(60 * (begin + (most - config.seeds) * each))} in all."
    )


def _number_of_groups(study: GroupingDesign) -> int:
    """Return the number of groups that the file gives, or about as many as there are tasks in each."""
    k = study.config.grouping.n_clusters
    return k if isinstance(k, int) else max(2, round(math.sqrt(len(study.learner.tasks))))


def _made_up_arms(study: GroupingDesign, config: ComparisonConfig) -> ArmRuns:
    """Lay out the comparison as if groups of one size had been found."""
    n, k = len(study.learner.tasks), _number_of_groups(study)
    labels = tuple(i * k // n for i in range(n))
    # As if the others found groups of the same sizes with other tasks in them.
    shifted = {name: np.roll(labels, at) for at, name in enumerate(BASELINES, start=1)}
    return study.compared(config, labels, {name: tuple(map(int, found)) for name, found in shifted.items()})


def _sweep_runs(study: GroupingDesign, wanted: Mapping[str, Runs]) -> list[GroupingStudyRun]:
    """Lay out the further runs of a sweep as if groups of one size had been found at every setting."""
    before = {run for runs in wanted.values() for run in runs}
    found: dict[GroupingStudyRun, None] = {}
    for setting in settings_of(study.config, str(study.path)):
        there = variant(study, setting)
        if setting.measures_otherwise:
            found |= dict.fromkeys(there.config.estimator.planned(there.affinity_learner, there.config.seed))
        if there.config.comparison is not None:
            found |= dict.fromkeys(_made_up_arms(there, there.config.comparison).runs)
    return [run for run in found if run not in before]


def _numbers(run: GroupingStudyRun, n: int) -> int:
    """Count the numbers that a run which trains no subset leaves in the store."""
    match run:
        case FeatureRun():
            return 2 * run.dimension
        case LinearRun():
            return 2 * run.examples * run.dimension
        case LookaheadRun():
            return 2 * math.ceil(run.steps / run.every) * n * (n + 1)
        case _:
            return 0
