"""Whether the types of the paper's function classes are recovered, and from what (Section 5.1, App. B.1).

For every set of laws and every seed, every three of nine classes are trained together, and the affinity
(Eq. 6) of their losses is grouped. For Fig. 4, models are trained from random weights on one class, or on two
together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from cotune._config import did_you_mean
from cotune.affinity import higher_order
from cotune.exceptions import InputError
from cotune.grouping import GROUPERS, prepare
from cotune.lab.function_classes import FUNCTION_CLASSES, LAW_SETS, FunctionClassConfig, FunctionClassLearner
from cotune.studies.engine import WorkerPool

Matrix = NDArray[np.float64]

TARGETS = ("linear-1.0", "tree-1.0", "relu-1.0")
"""One class of each type, for Fig. 4."""

EXPLAINED = 0.5
"""Adjusted Rand index with the types above which the loss at the first position alone explains them."""


@dataclass(frozen=True)
class AlgorithmGroups:
    """Groups that an algorithm made of a matrix.

    Parameters
    ----------
    algorithm : str
        A key of :data:`cotune.grouping.GROUPERS`.
    matrix : {"raw", "prepared"}
        The losses as they are, or on one scale.
    positions : {"all", "first"}
        Whether the losses are means over the prompt, or those before any example.
    labels : tuple of int
        The groups.
    agreement : float
        Adjusted Rand index with the types.
    """

    algorithm: str
    matrix: str
    positions: str
    labels: tuple[int, ...]
    agreement: float


@dataclass(frozen=True, eq=False)
class LawsRun:
    """One set of laws with one seed.

    Parameters
    ----------
    laws : str
        A key of :data:`cotune.lab.function_classes.LAW_SETS`.
    seed : int
        Sets everything: base model, runs, prompts scored on.
    tasks, families : tuple of str
        The classes and their types.
    affinity : ndarray of shape (9, 9)
        Eq. 6 of the negated losses.
    by_position : mapping of str to ndarray of shape (points,)
        By type, the mean squared error at every position, over all triples.
    found : tuple of AlgorithmGroups
        The groups of every algorithm.
    cpu_seconds : float
        Processor time.
    """

    laws: str
    seed: int
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    affinity: Matrix
    by_position: Mapping[str, Matrix]
    found: tuple[AlgorithmGroups, ...]
    cpu_seconds: float

    def agreement(self, algorithm: str, matrix: str, positions: str = "all") -> float:
        """Return the adjusted Rand index of some groups."""
        wanted = (algorithm, matrix, positions)
        return next(f.agreement for f in self.found if (f.algorithm, f.matrix, f.positions) == wanted)


@dataclass(frozen=True, eq=False)
class CurvesRun:
    """Fig. 4 with one seed.

    Parameters
    ----------
    seed : int
        Of weights and prompts.
    errors : mapping of (str, str) to ndarray of shape (points,)
        Test error by the number of examples, by target type and the type it was trained with, itself where it
        was trained alone.
    cpu_seconds : float
        Processor time.
    """

    seed: int
    errors: Mapping[tuple[str, str], Matrix]
    cpu_seconds: float


@dataclass(frozen=True)
class FunctionsResult:
    """All runs of the benchmark."""

    laws: tuple[LawsRun, ...]
    curves: tuple[CurvesRun, ...]

    @property
    def cpu_seconds(self) -> float:
        """Processor time of everything that was trained and grouped."""
        return sum(run.cpu_seconds for run in self.laws) + sum(run.cpu_seconds for run in self.curves)

    def of_laws(self, laws: str) -> tuple[LawsRun, ...]:
        """Return the runs of a set of laws, by seed."""
        return tuple(run for run in self.laws if run.laws == laws)

    def explained(self, laws: str) -> bool:
        """Whether the loss before any example gives the types away, for the SDP in any seed."""
        runs = self.of_laws(laws)
        return any(
            run.agreement("sdp", matrix, "first") > EXPLAINED
            for run in runs
            for matrix in ("raw", "prepared")
        )


def run_functions(
    *,
    seeds: int = 3,
    laws: Sequence[str] = tuple(LAW_SETS),
    workers: int = 2,
    config: FunctionClassConfig | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> FunctionsResult:
    """Run the benchmark.

    Parameters
    ----------
    seeds : int
        How many, from 0.
    laws : sequence of str
        Keys of :data:`cotune.lab.function_classes.LAW_SETS`.
    workers : int
        Processes, of one thread each; 0 for this one.
    config : FunctionClassConfig, optional
        Model and recipe; classes and seed are set by the benchmark.
    progress : callable, optional
        Called after every run with how many are done and how many there are.

    Returns
    -------
    FunctionsResult

    Raises
    ------
    InputError
        If a set of laws is unknown or there is no seed.
    """
    for name in laws:
        if name not in LAW_SETS:
            near = did_you_mean(name, LAW_SETS)
            raise InputError(f"laws must be of: {', '.join(LAW_SETS)}; got {name!r}{near}.")
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}.")
    config = config or FunctionClassConfig()
    jobs = [(name, seed) for name in (*laws, "") for seed in range(seeds)]
    done: dict[tuple[str, int], LawsRun | CurvesRun] = {}

    def keep(job: tuple[str, int], run: LawsRun | CurvesRun) -> None:
        done[job] = run
        if progress is not None:
            progress(len(done), len(jobs))

    if workers:
        with WorkerPool(workers, 1, partial(_run, config=config)) as pool:
            for job, run in pool.results(jobs):
                keep(job, run)
    else:
        for job in jobs:
            keep(job, _run(job, config))
    runs = [done[job] for job in jobs]
    return FunctionsResult(
        tuple(run for run in runs if isinstance(run, LawsRun)),
        tuple(run for run in runs if isinstance(run, CurvesRun)),
    )


def _run(job: tuple[str, int], config: FunctionClassConfig) -> LawsRun | CurvesRun:
    import torch

    laws, seed = job
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    begin = time.process_time()
    try:
        return _laws_run(laws, seed, config, begin) if laws else _curves_run(seed, config, begin)
    finally:
        torch.set_num_threads(threads)


def _laws_run(laws: str, seed: int, config: FunctionClassConfig, begin: float) -> LawsRun:
    learner = FunctionClassLearner(config.model_copy(update={"classes": LAW_SETS[laws], "base_seed": seed}))
    subsets = list(combinations(learner.tasks, 3))
    errors = learner.squared_errors(subsets, [seed] * len(subsets))
    families = tuple(learner.families.values())
    # (runs, classes, positions), NaN where a class was not in the run
    by_run = np.full((len(subsets), len(learner.tasks), config.points), np.nan)
    for row, of_run in enumerate(errors):
        for name, squared in of_run.items():
            by_run[row, learner.tasks.index(name)] = squared.mean(0)
    whole, first = _affinity(by_run.mean(2)), _affinity(by_run[:, :, 0])
    found = [
        _found(algorithm, matrix, positions, T, families)
        for positions, T in (("all", whole), ("first", first))
        for matrix in ("raw", "prepared")
        for algorithm in GROUPERS
    ]
    of_type = {family: [i for i, own in enumerate(families) if own == family] for family in families}
    by_position = {family: np.nanmean(by_run[:, at], axis=(0, 1)) for family, at in of_type.items()}
    spent = time.process_time() - begin
    return LawsRun(laws, seed, learner.tasks, families, whole, by_position, tuple(found), spent)


def _affinity(losses: Matrix) -> Matrix:
    return higher_order(~np.isnan(losses), -losses).matrix


def _found(
    algorithm: str, matrix: str, positions: str, T: Matrix, families: Sequence[str]
) -> AlgorithmGroups:
    ready = T if matrix == "raw" else prepare(T).matrix
    labels = GROUPERS[algorithm](n_clusters=len(set(families))).fit(ready).labels_
    agreement = float(adjusted_rand_score(families, labels))
    return AlgorithmGroups(algorithm, matrix, positions, tuple(int(label) for label in labels), agreement)


def _curves_run(seed: int, config: FunctionClassConfig, begin: float) -> CurvesRun:
    from cotune.lab.function_classes.scratch import errors_from_scratch

    config = config.model_copy(update={"base_seed": seed})
    alone = [(name,) for name in TARGETS]
    pairs = list(combinations(TARGETS, 2))
    errors: dict[tuple[str, str], Matrix] = {}
    for subsets in (alone, pairs):
        for subset, of_subset in zip(subsets, errors_from_scratch(config, subsets), strict=True):
            for name, squared in of_subset.items():
                company = next((other for other in subset if other != name), name)
                errors[_family(name), _family(company)] = squared
    return CurvesRun(seed, errors, time.process_time() - begin)


def _family(name: str) -> str:
    return FUNCTION_CLASSES[name].family
