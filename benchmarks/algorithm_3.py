"""Algorithm 3 of AdaGroup as it is printed, beside cotune's adaptive grouping, on 100 synthetic tasks.

The worlds are those of ``benchmarks/adaptive.py``: planted groups, effects over noise as trained function
classes have them. The paper leaves open how a solution X is cut and what stands for pairs that never met, so
each reading is measured:

- code: as the authors' code has it: Eq. 6 in the tasks' own units, 0 for such pairs, X cut row by row at
  1 / n;
- printed: the same matrix, X cut at c / n and all that are linked together;
- prepared: rows on one scale, such pairs completed, X cut row by row;
- sampling alone: prepared, and cotune's own rounding to exactly k groups, so that only the paper's choice of
  runs is left of it;
- covering: cotune's covering design, grouped as the last: what the same number of runs gives without steps.

    OMP_NUM_THREADS=1 python benchmarks/algorithm_3.py --markdown algorithm-3.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from adaptive import World, adaptive, covering  # the script beside this one
from numpy.typing import NDArray

from cotune.affinity import AdaGroup, higher_order
from cotune.grouping import SDPClustering, prepare
from cotune.studies.grouping.estimators import PaperAdaptive

Found = tuple[float, int, int]
"""The adjusted Rand index, the number of groups found, and the runs it took."""
Way = Callable[[World, int, int, int, int], Found]
"""From a world, k, the size of subsets, the steps and the runs a task."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0")
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--groups", type=int, default=8, help="planted groups")
    parser.add_argument("--sizes", type=int, nargs="+", default=[3, 5, 10], help="tasks in a subset, alpha")
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 5, 3], help="adaptive steps, s")
    parser.add_argument("--budgets", type=int, nargs="+", default=[5, 10, 20, 40], help="runs a task, m / b")
    parser.add_argument(
        "--ks", type=int, nargs="+", default=[5, 10, 15, 20], help="other k that are asked for"
    )
    parser.add_argument("--markdown", type=Path, help="also write the tables to this Markdown file")
    options = parser.parse_args(argv)
    begin = time.process_time()
    worlds = [World.draw(seed, options.tasks, options.groups) for seed in range(options.seeds)]
    lines = [*budgets(worlds, options), "", *settings(worlds, options), "", *numbers(worlds, options)]
    lines += ["", f"{time.process_time() - begin:.0f} s of processor time."]
    print("\n".join(lines))
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


def printed(rounding: str, c: float, matrix: str) -> Way:
    """Algorithm 3 as the estimator ``paper_adaptive`` of a study has it."""

    def group(world: World, k: int, size: int, steps: int, runs: int) -> Found:
        options = {
            "rounding": rounding,
            "c": c,
            "matrix": matrix,
            "subset_size": size,
            "adaptive_steps": steps,
        }
        n = len(world.labels)
        estimator = PaperAdaptive(k=k, subsets=runs * n // steps, **options)
        return followed(estimator.planner(n, world.seed), world)

    return group


def sampling(world: World, k: int, size: int, steps: int, runs: int) -> Found:
    """Algorithm 3 with cotune's own Procedure 1, which always gives k groups."""
    n = len(world.labels)
    options = {"k": k, "size": size, "adaptive_steps": steps, "subsets": runs * n // steps}
    return followed(AdaGroup(n, relaxed, seed=world.seed, **options), world)


def relaxed(
    matrix: NDArray[np.float64], start: NDArray[np.float64], k: int
) -> tuple[NDArray[np.intp], float]:
    """Procedure 1 with rounding that keeps to k, improved by moves."""
    known = np.where(np.isnan(matrix).all(1)[:, None], 0.0, matrix)
    model = SDPClustering(k, warm_start=start, tol=1e-4, max_iter=2000, exact_max=0)
    model.fit(prepare(known, missing="complete").matrix)
    return model.labels_, model.sdp_value_


def followed(planner: AdaGroup, world: World) -> Found:
    rng = np.random.default_rng(4000 + world.seed)
    while not planner.finished:
        planner.tell(world.train(planner.ask(), rng))
    return world.ari(planner.labels_), int(planner.labels_.max()) + 1, planner.n_runs_


def at_once(world: World, k: int, size: int, steps: int, runs: int) -> Found:
    """As many runs of the covering design, grouped once."""
    subsets = covering(world, size)[: runs * len(world.labels)]
    scores = world.train(subsets, np.random.default_rng(4000 + world.seed))
    labels, _ = relaxed(higher_order(subsets, scores).matrix, np.eye(len(world.labels)), k)
    return world.ari(labels), int(labels.max()) + 1, len(subsets)


WAYS: dict[str, Way] = {
    "code (c = 1)": printed("row_threshold", 1.0, "raw"),
    "printed (c = 1)": printed("threshold", 1.0, "raw"),
    "printed (c = 1.5)": printed("threshold", 1.5, "raw"),
    "prepared (c = 1.5)": printed("row_threshold", 1.5, "prepared"),
    "prepared (c = 2)": printed("row_threshold", 2.0, "prepared"),
    "sampling alone": sampling,
    "covering": at_once,
}
COMPARED = ("code (c = 1)", "prepared (c = 1.5)", "sampling alone")
"""Ways that are measured at every setting."""


def budgets(worlds: Sequence[World], options: argparse.Namespace) -> list[str]:
    """ARI of every way by the runs a task, with the first size and number of steps."""
    size, steps = options.sizes[0], options.steps[0]
    lines = [
        f"Runs of {size} tasks, s = {steps}, k = {options.groups} (the planted number):",
        "",
        "| way | " + " | ".join(f"m = {b} b" for b in options.budgets) + " | groups at the first |",
        "|---|" + "---:|" * (len(options.budgets) + 1),
    ]
    for name, way in WAYS.items():
        found = [[way(w, options.groups, size, steps, b) for w in worlds] for b in options.budgets]
        groups = ", ".join(str(k) for _, k, _ in found[0])
        lines.append(f"| {name} | " + " | ".join(cell(of, runs=True) for of in found) + f" | {groups} |")
    ours = [list(adaptive(world, size))[-1] for world in worlds]
    runs = ", ".join(str(m) for m, _ in ours)
    ari = spread([found for _, found in ours])
    return [*lines, "", f"`adaptive` stops by itself after {runs} runs with an ARI of {ari}."]


def settings(worlds: Sequence[World], options: argparse.Namespace) -> list[str]:
    """ARI by size of subsets and number of steps, at the paper's budget."""
    most = {size: options.tasks // size for size in options.sizes}
    lines = [
        f"The paper's settings at its budget, m = 5 b, k = {options.groups}:",
        "",
        "| alpha | s | " + " | ".join(COMPARED) + " |",
        "|---:|---:|" + "---:|" * len(COMPARED),
    ]
    for size in options.sizes:
        for steps in (s for s in options.steps if s <= most[size]):
            found = [
                cell([WAYS[name](w, options.groups, size, steps, 5) for w in worlds]) for name in COMPARED
            ]
            lines.append(f"| {size} | {steps} | " + " | ".join(found) + " |")
    return lines


def numbers(worlds: Sequence[World], options: argparse.Namespace) -> list[str]:
    """ARI by the number of groups asked for, at the paper's budget."""
    size, steps = options.sizes[0], options.steps[0]
    lines = [
        f"Other numbers of groups, runs of {size} tasks, s = {steps}, m = 5 b:",
        "",
        "| k | " + " | ".join(COMPARED) + " |",
        "|---:|" + "---:|" * len(COMPARED),
    ]
    for k in options.ks:
        found = [cell([WAYS[name](w, k, size, steps, 5) for w in worlds]) for name in COMPARED]
        lines.append(f"| {k} | " + " | ".join(found) + " |")
    return lines


def cell(found: Sequence[Found], *, runs: bool = False) -> str:
    said = spread([ari for ari, *_ in found])
    return f"{said}, {found[0][2]:,} runs" if runs else said


def spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
