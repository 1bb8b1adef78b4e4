"""What a grouping study will cost, before anything is spent."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cotune.studies._plan import Plan, StagePlan
from cotune.studies._runner import workers_of
from cotune.studies._worker import peak_memory
from cotune.studies.grouping._comparison import ArmRuns
from cotune.studies.grouping._runs import AnyRun, FeatureRun, FitRun
from cotune.training.learner import EnsembleLearner, FeatureLearner, Learner

if TYPE_CHECKING:
    from cotune.studies.grouping._study import GroupingStudy


@dataclass(frozen=True)
class _Speed:
    """What a probe measured: seconds a token (or step) of training, a scored task by split, a feature run."""

    training: float
    scoring: dict[str, float]
    features: float
    adapter_bytes: int
    peak_bytes: int


def plan_grouping(study: GroupingStudy, *, measure: bool = True) -> Plan:
    """Count runs, steps and tokens, and measure on one task what they take."""
    study.check_folder()
    config, learner = study.config, study.learner
    notes = [f"{task}: {note}" for task, of_task in study.check().items() for note in of_task]
    wanted: dict[str, Sequence[AnyRun]] = {"affinity": config.affinity.runs(learner, config.seed)}
    k = 0
    if config.comparison is not None:
        names = tuple(learner.tasks)
        k = config.grouping.n_clusters if isinstance(config.grouping.n_clusters, int) else 0
        if not k:
            k = max(2, round(math.sqrt(len(names))))
            notes.append(f"The comparison is counted for {k} groups; the number is known after grouping.")
        labels = tuple(i * k // len(names) for i in range(len(names)))
        wanted["comparison"] = ArmRuns.plan(names, labels, config.comparison, config.seed).runs
    every = [run for runs in wanted.values() for run in runs]
    speed = _measure(learner, every) if measure else None
    stages = tuple(_stage(title, runs, learner, speed) for title, runs in wanted.items())
    workers = max(1, workers_of(study))
    wall = memory = disk = None
    if speed is not None:
        wall = sum(stage.cpu_seconds or 0.0 for stage in stages) / workers
        memory = speed.peak_bytes * (workers + 1)
        features = sum(2 * 4 * run.dimension for run in every if isinstance(run, FeatureRun))
        disk = k * speed.adapter_bytes + features + 20_000 * len(every)
    return Plan(config.name, len(learner.tasks), tuple(notes), stages, workers, wall, memory, disk)


def _stage(title: str, runs: Sequence[AnyRun], learner: Learner, speed: _Speed | None) -> StagePlan:
    fits = [run for run in runs if isinstance(run, FitRun)]
    expected = [learner.expected_tokens(run.subset, run.steps) for run in fits]
    tokens = sum(t for t in expected if t is not None) if None not in expected else None
    seconds = None
    if speed is not None:
        work = sum(e if e is not None else run.steps for e, run in zip(expected, fits, strict=True))
        scored = sum(speed.scoring[run.split] * len(run.subset) for run in fits)
        seconds = work * speed.training + scored + speed.features * (len(runs) - len(fits))
    return StagePlan(title, len(runs), sum(run.steps for run in fits), tokens, seconds)


def _measure(learner: Learner, runs: Sequence[AnyRun]) -> _Speed:
    """Do a feature run, and fits of one and of three steps; the difference is training, the rest scoring."""
    features = next((run for run in runs if isinstance(run, FeatureRun)), None)
    feature_seconds = 0.0
    if features is not None and isinstance(learner, FeatureLearner):
        options = {"examples": features.examples, "seed": features.seed, "dimension": features.dimension}
        learner.gradient_features(features.subset[0], **{**options, "examples": 1})
        begin = time.perf_counter()
        learner.gradient_features(features.subset[0], **options)
        feature_seconds = time.perf_counter() - begin
    fits = [run for run in runs if isinstance(run, FitRun)]
    scoring: dict[str, float] = {}
    training, adapter = 0.0, 0
    for split in dict.fromkeys(run.split for run in fits):
        probe = min((run for run in fits if run.split == split), key=lambda run: len(run.subset))
        _timed(learner, probe, 1)
        short, _ = _timed(learner, probe, 1)
        long, adapter = _timed(learner, probe, 3)
        step = max(long - short, 0.0) / 2
        scoring[split] = max(short - step, 0.0) / len(probe.subset)
        tokens = learner.expected_tokens(probe.subset, 1)
        training = step / (tokens or 1)
    return _Speed(training, scoring, feature_seconds, adapter, peak_memory())


def _timed(learner: Learner, run: FitRun, steps: int) -> tuple[float, int]:
    """Seconds of one fit (its share of a pass, where many are trained at once) and bytes of what it saves."""
    begin = time.perf_counter()
    if isinstance(learner, EnsembleLearner):
        copies = learner.ensemble
        seeds = [run.seed + copy for copy in range(copies)]
        learner.fit_many([run.subset] * copies, seeds, steps=[steps] * copies, split=run.split)
        return (time.perf_counter() - begin) / copies, 0
    with tempfile.TemporaryDirectory() as folder:
        learner.fit(run.subset, run.seed, steps=steps, split=run.split, save_to=Path(folder))
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return time.perf_counter() - begin, size
