"""Recovery of the types of nine function classes from raw losses, and the speed of training in one pass.

Prints the tables of ``docs/function_classes.md``. One thread; three seeds take a few minutes.

    OMP_NUM_THREADS=1 python benchmarks/functions.py
    OMP_NUM_THREADS=1 python benchmarks/functions.py --seeds 1 --rounds 1
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from cotune._config import parse
from cotune.affinity import Affinity, higher_order
from cotune.cli._settings import nested
from cotune.grouping import GROUPERS, SDPClustering, prepare
from cotune.lab import FunctionClassConfig, FunctionClassLearner
from cotune.training.learner import Subset

PROTOTYPE_SECONDS = 29
"""CPU seconds recorded for the prototype, all in all."""

Matrix = NDArray[np.float64]
Errors = Mapping[str, Matrix]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0")
    parser.add_argument(
        "--rounds", type=int, default=5, help="one pass and one run at a time in turn, so often"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="options of the learner: base_steps=100"
    )
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} cores, one thread, torch {torch.__version__}\n")
    config = parse(FunctionClassConfig, nested(options.set), "--set")
    measured = [measure(config, seed) for seed in range(options.seeds)]
    print_recovery(measured)
    print_number_of_groups(measured)
    print_losses(measured)
    print_seconds(measured)
    print_speed(config, options.rounds)


@dataclass(frozen=True)
class Measured:
    """All 84 triples of one seed."""

    learner: FunctionClassLearner
    subsets: Sequence[Subset]
    errors: Sequence[Errors]
    base_seconds: float
    run_seconds: float

    def affinity(self, positions: slice) -> Affinity:
        """Eq. 6 on the losses at some positions of the prompts."""
        tasks = self.learner.tasks
        membership = np.array([[name in subset for name in tasks] for subset in self.subsets])
        scores = np.array([[utility(errors, name, positions) for name in tasks] for errors in self.errors])
        return higher_order(membership, scores)

    @property
    def families(self) -> list[str]:
        return list(self.learner.families.values())


def utility(errors: Errors, name: str, positions: slice) -> float:
    return -float(errors[name][:, positions].mean()) if name in errors else np.nan


def measure(config: FunctionClassConfig, seed: int) -> Measured:
    """Train the base model and all triples; the seed sets the base, the training and the scored prompts."""
    learner = FunctionClassLearner(config.model_copy(update={"base_seed": seed}))
    subsets = list(itertools.combinations(learner.tasks, 3))
    # One step of one run, to have the base model trained before the runs are timed.
    begin = time.process_time()
    learner.fit_score(subsets[0], seed, steps=1)
    middle = time.process_time()
    errors = learner.squared_errors(subsets, [seed] * len(subsets))
    return Measured(learner, subsets, errors, middle - begin, time.process_time() - middle)


def double_centred(T: Matrix) -> Matrix:
    """J sym(T) J, which the SDP at fixed k does not tell from T."""
    J = np.eye(len(T)) - 1 / len(T)
    return np.asarray(J @ (T + T.T) @ J / 2)


def prepared(T: Matrix) -> Matrix:
    return prepare(T).matrix


ALL, FIRST, REST = slice(None), slice(0, 1), slice(1, None)
ROWS: list[tuple[str, str, slice, Callable[[Matrix], Matrix]]] = [
    ("sdp", "raw losses", ALL, np.asarray),
    ("spectral", "raw losses", ALL, np.asarray),
    ("lloyd", "raw losses", ALL, np.asarray),
    ("spectral", "double-centred", ALL, double_centred),
    ("lloyd", "double-centred", ALL, double_centred),
    ("sdp", "prepared", ALL, prepared),
    ("spectral", "prepared", ALL, prepared),
    ("lloyd", "prepared", ALL, prepared),
    ("sdp", "raw, positions 2 to 11", REST, np.asarray),
    ("sdp", "raw, position 1 alone", FIRST, np.asarray),
    ("sdp", "prepared, position 1 alone", FIRST, prepared),
]


def print_recovery(measured: Sequence[Measured]) -> None:
    """Adjusted Rand index of three groups against the three types of function."""
    seeds = [str(m.learner.config.base_seed) for m in measured]
    print_header(["grouping", "matrix", *(f"seed {seed}" for seed in seeds)])
    for grouping, matrix, positions, transform in ROWS:
        cells = []
        for one in measured:
            fitted = GROUPERS[grouping](n_clusters=3).fit(transform(one.affinity(positions).matrix))
            certified = isinstance(fitted, SDPClustering) and fitted.certified_
            index = adjusted_rand_score(one.families, fitted.labels_)
            cells.append(f"{index:.2f}{' certified' * certified}")
        print_row([grouping, matrix, *cells])
    print()


def print_number_of_groups(measured: Sequence[Measured]) -> None:
    """How many groups every rule chooses on the prepared matrix."""
    print_header(["k chosen by", *(f"seed {m.learner.config.base_seed}" for m in measured)])
    choices = [
        SDPClustering(n_clusters="auto").fit(prepared(one.affinity(ALL).matrix)).k_choices_
        for one in measured
    ]
    for rule in choices[0]:
        print_row([rule, *(str(choice[rule]) for choice in choices)])
    print()


def print_losses(measured: Sequence[Measured]) -> None:
    """Mean loss by type and position, and by company, over all triples and seeds."""
    print_header(["type", "position 1", "position 6", "position 11", "with its type", "with others only"])
    for family in dict.fromkeys(measured[0].families):
        by_position = np.mean([curve(one, family, None) for one in measured], axis=0)
        inside = np.mean([curve(one, family, True) for one in measured])
        outside = np.mean([curve(one, family, False) for one in measured])
        print_row([family, *(f"{v:.3f}" for v in (*by_position[[0, 5, 10]], inside, outside))])
    print()


def curve(one: Measured, family: str, accompanied: bool | None) -> Matrix:
    """Mean loss of a type by position, in all triples or those with (without) another class of the type."""
    families = one.learner.families
    curves = [
        errors[name].mean(0)
        for subset, errors in zip(one.subsets, one.errors, strict=True)
        for name in subset
        if families[name] == family
        and (accompanied is None or accompanied == (sum(families[n] == family for n in subset) > 1))
    ]
    return np.asarray(np.mean(curves, axis=0))


def print_seconds(measured: Sequence[Measured]) -> None:
    base = statistics.median(one.base_seconds for one in measured)
    runs = statistics.median(one.run_seconds for one in measured)
    print(
        f"CPU seconds, median over seeds: base model {base:.1f}, 84 triples {runs:.1f}, "
        f"together {base + runs:.1f}; the prototype took {PROTOTYPE_SECONDS}\n"
    )


def print_speed(config: FunctionClassConfig, rounds: int) -> None:
    """Fourteen triples in one pass against one after the other."""
    print_header(["width", "one pass, s", "one by one, s", "ratio", "largest relative difference"])
    for width in (16, 32):
        learner = FunctionClassLearner(config.model_copy(update={"width": width}))
        subsets = list(itertools.combinations(learner.tasks, 3))[::6]
        seeds = [0] * len(subsets)
        learner.fit_score(subsets[0], 0, steps=1)
        times = []
        for _ in range(rounds):
            begin = time.process_time()
            together = learner.fit_score_many(subsets, seeds)
            middle = time.process_time()
            apart = [learner.fit_score(subset, 0) for subset in subsets]
            times.append((middle - begin, time.process_time() - middle))
        one_pass, one_by_one = (statistics.median(part) for part in zip(*times, strict=True))
        ratio = statistics.median(slow / fast for fast, slow in times)
        differences = [
            abs(t[name].value / a[name].value - 1) for t, a in zip(together, apart, strict=True) for name in t
        ]
        cells = [f"{one_pass:.2f}", f"{one_by_one:.2f}", f"{ratio:.2f}", f"{max(differences):.0e}"]
        print_row([str(width), *cells])


def print_header(cells: Sequence[str]) -> None:
    print_row(cells)
    print_row(["---"] * len(cells))


def print_row(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
