"""Runs that adaptive grouping needs, against uniform sampling, on 100 synthetic tasks with planted groups.

A task's score is its level plus, in its own unit, ``ratio * (share of its group in its company) + noise``.
The ratios are those measured on trained function classes (84 triples of nine classes,
``benchmarks/functions.py``): 2.7 to 13.4 standard deviations of what the share does not explain. Half of
that variance is fixed to the company (two tasks may suit each other without being of one group), half is
drawn anew in every run; how it divides in truth is not known.

Four ways to groups are compared by their adjusted Rand index (ARI) after a number of runs:

- uniform: subsets drawn uniformly at random, as in the paper, Eq. 6, missing pairs completed, SDPClustering
  with k chosen by itself;
- covering: the same on a covering design, which spreads the meetings of pairs evenly: the default of a study;
- evidence: the covering design's runs, grouped by ``group_runs``: what the inference alone gains;
- adaptive: ``AdaptiveGrouping``: what choosing the runs gains on top.

    OMP_NUM_THREADS=1 python benchmarks/adaptive.py
    OMP_NUM_THREADS=1 python benchmarks/adaptive.py --markdown adaptive.md --figure adaptive.svg
    OMP_NUM_THREADS=1 python benchmarks/adaptive.py --scale

``benchmarks/algorithm_3.py`` sets the paper's own algorithm beside it, on the same worlds.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import adjusted_rand_score

from cotune.affinity import AdaptiveGrouping, cover_pairs, group_runs, higher_order
from cotune.grouping import SDPClustering, prepare

Matrix = NDArray[np.float64]
Membership = NDArray[np.bool_]
Curve = dict[int, float]

RATIOS = np.array([8.07, 13.38, 7.20, 3.81, 3.86, 4.68, 4.67, 2.73, 4.12])
"""Effect of a company of the same type over the residual deviation, by function class."""
FIXED = 0.5
LINES = {
    "adaptive": ("#0072B2", "adaptive grouping"),
    "evidence": ("#009E73", "covering design, grouped by the evidence"),
    "covering": ("#E69F00", "covering design, Eq. 6 and SDP"),
    "uniform": ("#D55E00", "uniform sampling, Eq. 6 and SDP"),
}
"""Colour and name of each way in the figure."""
MOST = 25
"""Runs a task after which sampling that does not look at scores is given up."""
LEVELS = (0.8, 0.9, 0.95, 0.99)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0")
    parser.add_argument("--size", type=int, default=3, help="tasks in a subset")
    parser.add_argument("--tasks", type=int, help="100 by default, or 1,000 to time the planner with")
    parser.add_argument("--groups", type=int, help="planted groups, 8 by default, or 10 with --scale")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this Markdown file")
    parser.add_argument("--figure", type=Path, help="also draw ARI against runs to this SVG file")
    parser.add_argument("--scale", action="store_true", help="only time the planner")
    options = parser.parse_args(argv)
    if options.scale:
        print(scale(options.size, options.tasks or 1000, options.groups or 10))
        return
    tables = []
    for seed in range(options.seeds):
        world = World.draw(seed, options.tasks or 100, options.groups or 8)
        measured = {
            "uniform": at_once(world, drawn_uniformly(world, options.size), by_evidence=False),
            "covering": at_once(world, covering(world, options.size), by_evidence=False),
            "evidence": at_once(world, covering(world, options.size), by_evidence=True),
            "adaptive": adaptive(world, options.size),
        }
        tables.append({name: timed(curve) for name, curve in measured.items()})
        print(
            f"seed {seed}: " + ", ".join(f"{k} {s:.0f} CPU s" for k, (_, s) in tables[-1].items()), flush=True
        )
    lines = [*curves(tables), "", *needed(tables)]
    print("\n".join(lines))
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")
    if options.figure:
        draw(tables, options.figure)


@dataclass(frozen=True)
class World:
    """Planted groups and what a run on any subset scores."""

    labels: NDArray[np.intp]
    level: Matrix
    unit: Matrix
    ratio: Matrix
    liking: Matrix
    seed: int

    @classmethod
    def draw(cls, seed: int, n: int, k: int) -> World:
        rng = np.random.default_rng(seed)
        labels = np.sort(rng.choice(k, n, p=rng.dirichlet(np.full(k, 8.0))))
        level, unit = 3.0 * rng.normal(size=n), np.exp(0.5 * rng.normal(size=n))
        return cls(labels, level, unit, rng.choice(RATIOS, n), rng.normal(size=(n, n)), seed)

    def train(self, subsets: Membership, rng: np.random.Generator) -> Matrix:
        member = subsets.astype(float)
        others = np.maximum(member.sum(1, keepdims=True) - 1.0, 1.0)
        share = (member @ (self.labels[:, None] == self.labels) - 1.0) / others
        liking = member @ (self.liking - np.diag(np.diag(self.liking))).T / np.sqrt(others)
        noise = np.sqrt(FIXED) * liking + np.sqrt(1.0 - FIXED) * rng.normal(size=subsets.shape)
        scores = self.level + self.unit * (self.ratio * share + noise)
        return np.where(subsets, scores, np.nan)

    def ari(self, labels: ArrayLike) -> float:
        return float(adjusted_rand_score(self.labels, labels))


def propose(matrix: Matrix, labels: NDArray[np.intp], k_min: int, k_max: int) -> Iterator[ArrayLike]:
    """The relaxation of Procedure 1, warm-started; a few iterations, since proposals need no proof."""
    prepared = prepare(matrix, scale="none").matrix
    iterations = 20 if len(matrix) <= 200 else 1
    for k in range(k_min, k_max + 1):
        yield SDPClustering(k, warm_start=labels, max_iter=iterations, exact_max=0).fit(prepared).labels_


def covering(world: World, size: int) -> Membership:
    """The covering design, until every pair has met."""
    return _members(len(world.labels), cover_pairs(len(world.labels), size, None, world.seed))


def drawn_uniformly(world: World, size: int) -> Membership:
    """Subsets drawn uniformly at random, none twice."""
    rng, n = np.random.default_rng(3000 + world.seed), len(world.labels)
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < MOST * n:
        drawn[tuple(sorted(rng.choice(n, size, replace=False).tolist()))] = None
    return _members(n, np.array(list(drawn)))


def _members(n: int, design: NDArray[np.integer]) -> Membership:
    subsets = np.zeros((len(design), n), dtype=bool)
    np.put_along_axis(subsets, design, True, axis=1)
    return subsets


def at_once(world: World, subsets: Membership, *, by_evidence: bool) -> Iterator[tuple[int, float]]:
    """ARI after every run a task from three on, until all groups have been right twice in a row."""
    scores = world.train(subsets, np.random.default_rng(1000 + world.seed))
    all_right, n = 0, len(world.labels)
    for m in range(3 * n, min(len(subsets), MOST * n) + 1, n):
        if by_evidence:
            labels, _ = group_runs(subsets[:m], scores[:m], propose)
        else:
            matrix = higher_order(subsets[:m], scores[:m]).matrix
            labels = SDPClustering(max_iter=500).fit(prepare(matrix, missing="complete").matrix).labels_
        found = world.ari(labels)
        yield m, found
        all_right = all_right + 1 if found > 0.999 else 0
        if all_right == 2:
            return


def adaptive(world: World, size: int) -> Iterator[tuple[int, float]]:
    planner = AdaptiveGrouping(len(world.labels), propose, size=size, seed=world.seed)
    rng = np.random.default_rng(2000 + world.seed)
    while not planner.finished:
        planner.tell(world.train(planner.ask(), rng))
        yield planner.n_runs_, world.ari(planner.labels_)


def timed(curve: Iterator[tuple[int, float]]) -> tuple[Curve, float]:
    begin = time.process_time()
    return dict(curve), time.process_time() - begin


def runs_for(curve: Curve, ari: float) -> float:
    """Runs from which on the index stays at or above a level."""
    below = [m for m, found in curve.items() if found < ari]
    enough = [m for m in curve if m > max(below, default=0)]
    return min(enough, default=np.nan)


def curves(tables: Sequence[dict[str, tuple[Curve, float]]]) -> list[str]:
    """ARI against runs, as mean and range over seeds; ways that have ended at the last value before."""
    names = list(tables[0])
    lines = [f"| runs | {' | '.join(names)} |", f"|{' ---: |' * (len(names) + 1)}"]
    for m in sorted({m for t in tables for name in names if name != "adaptive" for m in t[name][0]}):
        cells = []
        for name in names:
            last = [[found for runs, found in t[name][0].items() if runs <= m] for t in tables]
            values = [found[-1] for found in last if found]
            cells.append(f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        lines.append(f"| {m} | " + " | ".join(cells) + " |")
    ends = ", ".join(
        f"{list(t['adaptive'][0])[-1]} runs, ARI {list(t['adaptive'][0].values())[-1]:.3f}" for t in tables
    )
    return [*lines, "", f"Adaptive grouping stopped by itself, by seed: {ends}."]


def needed(tables: Sequence[dict[str, tuple[Curve, float]]]) -> list[str]:
    """Runs for an ARI, by seed, and the shares of them that adaptive sampling needs."""
    names, others = list(tables[0]), ("uniform", "covering")
    head = [*names, *(f"adaptive / {other}" for other in others)]
    lines = [f"| ARI | {' | '.join(head)} |", f"|{' ---: |' * (len(head) + 1)}"]
    for level in LEVELS:
        by_name = {name: [runs_for(t[name][0], level) for t in tables] for name in names}
        cells = [", ".join(f"{m:.0f}" for m in found) for found in by_name.values()]
        for other in others:
            ratios = np.divide(by_name["adaptive"], by_name[other])
            cells.append(", ".join(f"{r:.2f}" for r in ratios))
        lines.append(f"| {level} | {' | '.join(cells)} |")
    return lines


def draw(tables: Sequence[dict[str, tuple[Curve, float]]], path: Path) -> None:
    """Draw ARI against runs: a thin line a seed, and a thick one through their mean."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "adaptive", "font.size": 9})
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    first = min(tables[0]["uniform"][0]) // 3
    for name, (colour, said) in LINES.items():
        grid = np.arange(first, max(m for table in tables for m in table["uniform"][0]) + 1, 5)
        seen = []
        for table in tables:
            runs, found = (np.array(v, dtype=float) for v in zip(*table[name][0].items(), strict=True))
            axes.plot(runs, found, color=colour, alpha=0.35, linewidth=0.8)
            seen.append(np.interp(grid, runs, found, left=np.nan))
        axes.plot(grid, np.mean(seen, axis=0), color=colour, linewidth=2.0, label=said)
    axes.set(
        xlabel="runs of three tasks", ylabel="adjusted Rand index", ylim=(-0.02, 1.03), xlim=(first, None)
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def scale(size: int, n: int, groups: int) -> str:
    world = World.draw(0, n, groups)
    curve, seconds = timed(adaptive(world, size))
    runs, ari = list(curve.items())[-1]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    cost = f"{seconds:.0f} CPU s, {memory:.2f} GiB"
    return f"{n} tasks, {groups} groups: {runs} runs in {len(curve)} rounds, ARI {ari:.3f}, {cost}"


if __name__ == "__main__":
    main()
