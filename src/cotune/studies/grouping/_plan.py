"""What a grouping study will cost, before anything is spent."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cotune.findings.comparison import CONVERGED, Comparison, choosable
from cotune.findings.wording import count, duration
from cotune.studies.engine import Costs, StagePlan, Usage, peak_memory
from cotune.studies.grouping._comparison import ArmRuns
from cotune.studies.grouping._design import GroupingDesign
from cotune.studies.grouping._detect import detect_note
from cotune.studies.grouping._joint_parts import joint_parts
from cotune.studies.grouping._rounds import STAGE
from cotune.studies.grouping._runs import (
    FeatureRun,
    FitRun,
    GroupingStudyRun,
    JointPartRun,
    LinearRun,
    LookaheadRun,
    patience_of,
    variation_of,
)
from cotune.studies.grouping._until import most_seeds
from cotune.studies.grouping._worker import measure
from cotune.studies.grouping.arms import BASELINES, learner_of
from cotune.studies.grouping.config import ComparisonConfig
from cotune.training.learner import Learner, SideBySideLearner, Subset
from cotune.training.parts import Part, PartLearner, Patience
from cotune.training.varied import WarmLearner

_RECORD_BYTES = 20_000


@dataclass(frozen=True)
class _Speed:
    """Measured processor seconds: a token (or step) of training, a scored task by split, other runs by kind.

    The first two, and a look at a task's validation loss, by the variation of the learner that is trained.
    """

    training: dict[str, float]
    scoring: dict[tuple[str, str], float]
    looking: dict[str, float]
    others: dict[str, float]
    adapter_bytes: int
    peak_bytes: int


def grouping_costs(study: GroupingDesign, *, measure: bool, measured: Comparison | None = None) -> Costs:
    """Count runs, steps and tokens, and measure on one task what they take.

    Parameters
    ----------
    study : GroupingDesign
        The study.
    measure : bool
        Whether to measure.
    measured : Comparison or None
        What runs that are stored say of the arms.
    """
    config, learner = study.config, study.learner
    notes = [*config.estimator.plan_notes(learner)]
    wanted: dict[str, Sequence[GroupingStudyRun]] = {STAGE: config.estimator.planned(learner, config.seed)}
    k = kept = 0
    if config.comparison is not None:
        names = tuple(learner.tasks)
        k = config.grouping.n_clusters if isinstance(config.grouping.n_clusters, int) else 0
        if not k:
            k = max(2, round(math.sqrt(len(names))))
            notes.append(f"The comparison is counted for {k} groups; the number is known after grouping.")
        if CONVERGED in config.comparison.budgets:
            notes.append(
                f"Models of the budget {CONVERGED!r} are counted with all of their "
                f"{config.comparison.converged.most} steps a task; they end where their validation loss "
                "stops falling."
            )
        arms = _made_up_arms(study, config.comparison, k)
        wanted["comparison"] = [*arms.joint_parts, *arms.runs]
        # Where a joint part stands is its parameters and two moments of each.
        kept = len(arms.kept(Path())) + 3 * len(arms.joint_parts)
    every = [run for runs in wanted.values() for run in runs]
    beside = frozenset(study.also_compared(wanted[STAGE]))
    if beside:
        notes.append(
            f"{len(beside)} runs of the comparison are trained with those of the affinity and only scored "
            "again."
        )
    start = learner.start if isinstance(learner, WarmLearner) else None
    cold = learner.cold() if isinstance(learner, WarmLearner) and start is not None else learner
    speed = _measure(cold, every) if measure else None
    stages = tuple(_stage(title, runs, learner, speed, beside) for title, runs in wanted.items())
    if config.comparison is not None:
        choice = _choice_runs(config.comparison, arms)
        most, note = _most(config.comparison, stages[-1], _stage("comparison", choice, learner, speed, []))
        notes += [note] if note else []
        told = detect_note(config.comparison, study.tasks, most, measured)
        notes += [told] if told else []
    if start is not None:
        stages = (_start_stage(learner, start, speed), *stages)
    usage = None
    if speed is not None:
        arrays = sum(4 * _numbers(run, len(learner.tasks)) for run in every)
        usage = Usage(
            process_bytes=speed.peak_bytes,
            processes_beside=1,
            kept_bytes=kept * speed.adapter_bytes + arrays + _RECORD_BYTES * len(every),
            alone_seconds=(stages[0].cpu_seconds or 0.0) if start is not None else 0.0,
        )
    return Costs(len(learner.tasks), stages, usage, tuple(notes))


def _choice_runs(config: ComparisonConfig, arms: ArmRuns) -> list[GroupingStudyRun]:
    """Return the runs of the arms that get further seeds."""
    choice = choosable([arm.title for arm in config.every_arm])
    runs = dict.fromkeys(run for (arm, _, _), of in arms.cells.items() for run in of if arm in choice)
    return [*joint_parts(runs), *runs]


def _most(config: ComparisonConfig, first: StagePlan, choice: StagePlan) -> tuple[int, str]:
    """Return the most seeds of an arm, and what the looks at the comparison may cost."""
    if config.until is None:
        return config.seeds, ""
    if first.cpu_seconds is None or choice.cpu_seconds is None:
        seconds = "" if config.max_cost is None else "; how many max_cost allows is not measured"
        return config.max_seeds, f"The comparison is counted for its first look{seconds}."
    begin, each = first.cpu_seconds / 60, choice.cpu_seconds / 60 / config.seeds
    most = most_seeds(config, begin, each)
    limit = "max_cost" if most < config.max_seeds else "max_seeds"
    return most, (
        f"The comparison is counted for its first look, about {duration(60 * begin)} of processor time; a "
        f"further seed of all arms that may be the best takes about {duration(60 * each)}, and {limit} "
        f"allows {count(most, 'seed')}, {duration(60 * (begin + (most - config.seeds) * each))} in all."
    )


def _made_up_arms(study: GroupingDesign, config: ComparisonConfig, k: int) -> ArmRuns:
    """Lay out the comparison as if k groups of one size had been found."""
    n = len(study.learner.tasks)
    labels = tuple(i * k // n for i in range(n))
    # As if the others found groups of the same sizes with other tasks in them.
    shifted = {name: np.roll(labels, at) for at, name in enumerate(BASELINES, start=1)}
    return study.compared(config, labels, {name: tuple(map(int, found)) for name, found in shifted.items()})


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


def _stage(
    title: str,
    runs: Sequence[GroupingStudyRun],
    learner: Learner,
    speed: _Speed | None,
    only_scored: Container[GroupingStudyRun],
) -> StagePlan:
    fits = [run for run in runs if isinstance(run, FitRun)]
    training = [run for run in runs if isinstance(run, FitRun | JointPartRun | LookaheadRun)]
    trained = [run for run in training if run not in only_scored]
    learners = {text: learner_of(learner, text) for text in map(variation_of, trained)}
    expected = [learners[variation_of(run)].expected_tokens(run.subset, run.steps) for run in trained]
    tokens = sum(t for t in expected if t is not None) if None not in expected else None
    seconds = None
    if speed is not None:
        work = sum(
            speed.training[variation_of(run)] * (e if e is not None else run.steps)
            for e, run in zip(expected, trained, strict=True)
        )
        scored = sum(speed.scoring[variation_of(run), run.split] * len(run.subset) for run in fits)
        others = sum(speed.others[run.kind] * _measurements(run) for run in runs if run.kind in speed.others)
        looked = sum(speed.looking[variation_of(run)] * _looks(run) * len(run.subset) for run in trained)
        seconds = work + scored + looked + others
    return StagePlan(title, len(runs), sum(run.steps for run in trained), tokens, seconds)


def _start_stage(learner: Learner, start: tuple[Subset, int], speed: _Speed | None) -> StagePlan:
    """Count the run that all others start from: it is not scored, and only one process trains it."""
    tasks, steps = start
    tokens = learner.expected_tokens(tasks, steps)
    work = tokens if tokens is not None else steps
    seconds = None if speed is None else speed.training[""] * work
    return StagePlan("warm start", 1, steps, tokens, seconds)


def _looks(run: GroupingStudyRun) -> int:
    """Count the looks of a run at its validation loss, if it does all its steps."""
    patience = patience_of(run)
    return 0 if patience is None else 1 + math.ceil(run.size / patience.every)


def _measurements(run: GroupingStudyRun) -> int:
    return math.ceil(run.steps / run.every) if isinstance(run, LookaheadRun) else 1


def _measure(learner: Learner, runs: Sequence[GroupingStudyRun]) -> _Speed:
    """Do fits of one and of three steps, whose difference is training and the rest scoring, and one other."""
    fits = [run for run in runs if isinstance(run, FitRun)]
    scoring: dict[tuple[str, str], float] = {}
    # A joint run that only looks ahead is trained as the learner trains.
    training, looking, adapter = {"": 0.0}, {"": 0.0}, 0
    for variation, split in dict.fromkeys((variation_of(run), run.split) for run in fits):
        alike = (run for run in fits if (variation_of(run), run.split) == (variation, split))
        probe = min(alike, key=lambda run: len(run.subset))
        varied = learner_of(learner, variation)
        _timed(varied, probe, 1)
        short, _ = _timed(varied, probe, 1)
        long, bytes_ = _timed(varied, probe, 3)
        adapter = adapter if variation else bytes_
        # Where three steps came out no longer than one, the machine was busy: a third of them is the most
        # that a step can take, and a plan that says nothing is to pay would be wrong whatever happens.
        step = (long - short) / 2 if long > short else long / 3
        scoring[variation, split] = max(short - step, 0.0) / len(probe.subset)
        tokens = varied.expected_tokens(probe.subset, 1)
        training[variation] = step / (tokens or 1)
        looking[variation] = 0.0
        if any(patience_of(run) and variation_of(run) == variation for run in fits):
            looking[variation] = max(_timed_looks(varied, probe) - short, 0.0) / 2 / len(probe.subset)
    others = {
        run.kind: run for run in reversed(runs) if isinstance(run, FeatureRun | LinearRun | LookaheadRun)
    }
    seconds = {kind: _timed_other(learner, run) for kind, run in others.items()}
    return _Speed(training, scoring, looking, seconds, adapter, peak_memory())


def _timed_other(learner: Learner, run: FeatureRun | LinearRun | LookaheadRun) -> float:
    """Processor seconds of a run that trains no subset, of a lookahead run those of one measurement."""
    if isinstance(run, LookaheadRun):
        run = replace(run, steps=1)
    else:
        measure(learner, replace(run, examples=1))  # what is loaded and compiled first is not to count
    begin = time.process_time()
    measure(learner, run)
    return time.process_time() - begin


def _timed_looks(learner: Learner, run: FitRun) -> float:
    """Processor seconds of one fit of one step that looks at the validation loss before and after it."""
    assert isinstance(learner, PartLearner), "the check has asked"
    part = Part(run.subset, run.seed, 1, patience=Patience(1, 1))
    begin = time.process_time()
    learner.fit_parts([part], split=run.split)
    return time.process_time() - begin


def _timed(learner: Learner, run: FitRun, steps: int) -> tuple[float, int]:
    """Processor seconds of one fit (its share, where many are trained at once) and bytes of what it saves."""
    begin = time.process_time()
    if isinstance(learner, SideBySideLearner) and learner.side_by_side > 1:
        copies = learner.side_by_side
        seeds = [run.seed + copy for copy in range(copies)]
        learner.fit_many([run.subset] * copies, seeds, steps=[steps] * copies, split=run.split)
        seconds = (time.process_time() - begin) / copies
        return seconds, _saved(learner, run, 1) if steps > 1 else 0
    size = _saved(learner, run, steps)
    return time.process_time() - begin, size


def _saved(learner: Learner, run: FitRun, steps: int) -> int:
    """Do a fit, and return the bytes of what it saves."""
    with tempfile.TemporaryDirectory() as folder:
        learner.fit(run.subset, run.seed, steps=steps, split=run.split, save_to=Path(folder))
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
