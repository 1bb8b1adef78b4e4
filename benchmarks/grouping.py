"""Time and quality of the grouping engine against a generic conic solver and one eigendecomposition.

Every ratio compares CPU seconds of this process, measured one after the other on one thread, so that other
work on the machine does not count. SCS is called through cvxpy on Eq. 5 as written, at eps 1e-5;
``scs_over_ours`` counts the call without cvxpy's translation of the problem. ``numpy.linalg.eigh`` is called
on a symmetric matrix of the same order.

    python benchmarks/grouping.py --seeds 10 --largest 1000
    python benchmarks/grouping.py --only speed
    python benchmarks/grouping.py --out grouping.json --markdown grouping.md
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from cotune.benchmark.planted import Planted, block_model, fig2, noise
from cotune.benchmark.structures import OTHERS, STRUCTURES
from cotune.grouping import (
    LloydGrouping,
    SDPClustering,
    SpectralGrouping,
    choose_k,
    default_k_rule,
    objective,
    prepare,
)
from cotune.grouping.exact import exact_partitions

Row = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    seeds: int
    largest: int

    def draws(self, count: int) -> range:
        """Seeds of a case that the whole benchmark draws so often."""
        return range(min(count, self.seeds))

    def hold(self, n: int) -> bool:
        """Whether instances of n tasks are measured; tell where they are not."""
        if n > self.largest:
            print(f"  left out: n={n}", flush=True)
        return n <= self.largest


def main(argv: Sequence[str] | None = None) -> None:
    with threadpool_limits(1):
        compare(options_of(argv))


def options_of(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50, help="at most so many instances of a kind")
    parser.add_argument(
        "--largest", type=int, default=5000, help="leave larger instances out of speed and conic"
    )
    parser.add_argument("--only", default="", choices=["", *SECTIONS], help="run one section")
    parser.add_argument("--out", type=Path, help="also write the rows to this JSON file")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this Markdown file")
    return parser.parse_args(argv)


def compare(arguments: argparse.Namespace) -> None:
    """Run the sections, print their rows and write them where asked for."""
    sizes = Sizes(arguments.seeds, arguments.largest)
    rows: dict[str, list[Row]] = {}
    for name, section in SECTIONS.items():
        if arguments.only not in ("", name):
            continue
        print(f"\n{name}: {section.__doc__}")
        started = time.perf_counter()
        rows[name] = []
        for row in section(sizes):
            rows[name].append(row)
            print("  " + "  ".join(f"{column} {_text(value)}" for column, value in row.items()), flush=True)
        print(f"  ({time.perf_counter() - started:.0f} s)")
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(_markdown(*entry) for entry in rows.items()))


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _markdown(name: str, rows: list[Row]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_text(row.get(column, "")) for column in columns] for row in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"## {name.capitalize()}\n\n{SECTIONS[name].__doc__}\n\n{table}\n"


def _verdict(target: str, held: bool) -> Row:
    return {"target": target, "verdict": "held" if held else "NOT HELD"}


def _timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    best, result = np.inf, None
    for _ in range(repeats):
        started = time.process_time()
        result = work()
        best = min(best, time.process_time() - started)
    return best, result


def scs(T: np.ndarray, k: int) -> float:
    """CPU seconds of SCS on Eq. 5, without the translation by cvxpy."""
    import cvxpy as cp

    n = len(T)
    X = cp.Variable((n, n), PSD=True)
    goal = cp.Maximize(cp.trace(((T + T.T) / 2) @ X))
    problem = cp.Problem(goal, [X @ np.ones(n) == 1, cp.trace(X) == k, X >= 0])
    data, chain, _ = problem.get_problem_data(cp.SCS)
    options = {"eps_abs": 1e-5, "eps_rel": 1e-5, "max_iters": 50_000}
    with threadpool_limits(1):
        started = time.process_time()
        chain.solve_via_data(problem, data, solver_opts=options)
        return time.process_time() - started


def _measured(name: str, T: np.ndarray, k: int, conic: bool, **options: Any) -> Row:
    n = len(T)
    repeats = 5 if n <= 200 else 2 if n <= 1000 else 1
    seconds, model = _timed(lambda: SDPClustering(k, **options).fit(T), repeats)
    A = (T + T.T) / 2
    eigh, _ = _timed(lambda: np.linalg.eigh(A), min(repeats, 2))
    row: Row = {"instance": name, "seconds": seconds, "status": model.status_, "gap": model.gap_}
    row |= {"sdp_gap": model.sdp_gap_, "n_iter": model.n_iter_, "in_eigh": seconds / eigh}
    if conic:
        conic_seconds = scs(T, k)
        row |= {"scs_seconds": conic_seconds, "scs_over_ours": conic_seconds / seconds}
    row["peak_GiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return row


def _against_scs(name: str, T: np.ndarray, k: int, ratio: float, *, certified: bool = False) -> Row:
    row = _measured(name, T, k, conic=True)
    closed = row["gap"] if certified else row["sdp_gap"]
    what = "certified to 1e-5" if certified else "SDP gap 1e-5"
    held = closed <= 1e-5 and row["scs_over_ours"] >= ratio
    return row | _verdict(f"{what} in <= 1/{ratio:g} of SCS", held)


def _against_eigh(name: str, T: np.ndarray, k: int, most: float, gap: float = 1e-5) -> Row:
    row = _measured(name, T, k, conic=False, tol=gap)
    held = row["gap"] <= gap and row["in_eigh"] <= most
    return row | _verdict(f"gap {gap:g} in <= {most:g} eigh", held)


def speed(sizes: Sizes) -> Iterator[Row]:
    """Speed: certified groups or a solved relaxation. Memory is the peak of the process so far."""
    seeds = sizes.draws(3)
    for seed in seeds:
        planted = block_model(seed, 100, 5).matrix
        yield _against_scs(f"planted n=100 k=5 #{seed}", planted, 5, 50, certified=True)
    for n in filter(sizes.hold, (100, 150)):
        for seed in seeds:
            yield _against_scs(f"Fig. 2 n={n} #{seed}", fig2(seed, n).matrix, 3, 25)
    for seed in seeds:
        yield _against_scs(f"noise n=100 k=4 #{seed}", noise(seed, 100), 4, 3)
    if sizes.hold(1000):
        yield _against_eigh("planted n=1000 k=20", block_model(0, 1000, 20).matrix, 20, 3)
    if sizes.hold(2000):
        row = _against_eigh("planted n=2000 k=40", block_model(0, 2000, 40).matrix, 40, 4)
        yield row | _verdict(row["target"] + ", 1 GiB", row["verdict"] == "held" and row["peak_GiB"] <= 1)
        weak = block_model(0, 2000, 10, snr=1.3).matrix
        row = _measured("weak signal (snr 1.3) n=2000 k=10", weak, 10, False, tol=1e-4, time_limit=120.0)
        yield row | _verdict("gap 1e-4 within 120 s", row["gap"] <= 1e-4 and row["seconds"] <= 120)
    if sizes.hold(5000):
        yield _against_eigh("planted n=5000 k=50", block_model(0, 5000, 50).matrix, 50, 10, gap=1e-2)


def conic(sizes: Sizes) -> Iterator[Row]:
    """Speed beside SCS where SCS takes long."""
    if sizes.hold(500):
        yield _against_scs("Fig. 2 n=500", fig2(0, 500).matrix, 3, 300, certified=True)
    for n in filter(sizes.hold, (300, 500)):
        yield _against_scs(f"noise n={n} k=4", noise(0, n), 4, 3)


def recovery(sizes: Sizes) -> Iterator[Row]:
    """Recovery on Fig. 2, n = 150, k = 3 given."""
    seeds = sizes.draws(50)
    for mirrored in (False, True):
        at_least, scores = 0, {"sdp": [], "spectral": [], "lloyd": []}
        for seed in seeds:
            planted = fig2(seed, mirrored=mirrored)
            model = SDPClustering(3).fit(planted.matrix)
            at_least += int(model.objective_ >= objective(planted.matrix, planted.labels) - 1e-6)
            scores["sdp"].append(adjusted_rand_score(planted.labels, model.labels_))
            for name, grouper in (("spectral", SpectralGrouping), ("lloyd", LloydGrouping)):
                labels = grouper(3).fit(planted.matrix).labels_
                scores[name].append(adjusted_rand_score(planted.labels, labels))
        row: Row = {
            "noise": "mirrored" if mirrored else "iid",
            "at_least_planted": f"{at_least} of {len(seeds)}",
        }
        for name, values in scores.items():
            row |= {
                f"{name}_ari": float(np.mean(values)),
                f"{name}_exact": int(np.sum(np.array(values) == 1.0)),
            }
        least = 0.98 if mirrored else 0.998
        held = at_least == len(seeds) and row["sdp_ari"] >= least
        yield row | _verdict(f"all at least planted, mean ARI >= {least}", held)


def number_of_groups(sizes: Sizes) -> Iterator[Row]:
    """How often each rule finds the planted number of groups, beside what was published of the default."""
    for mirrored in (False, True):
        draws = [fig2(seed, mirrored=mirrored) for seed in sizes.draws(50)]
        yield _k_row(f"Fig. 2 {'mirrored' if mirrored else 'iid'}", draws)
    shapes = [(n, k) for n in (60, 80, 100) for k in (5, 6)]
    for constant in (0.0, 10.0, -0.5):
        draws = [block_model(seed, n, k, constant=constant) for n, k in shapes for seed in sizes.draws(5)]
        yield _k_row(f"blocks n=60..100 k=5, 6 {constant:+}", draws)


def _k_row(name: str, draws: list[Planted]) -> Row:
    """Count the draws in which rules find k; the default was right in all of them on 2026-11-21."""
    right: Counter[str] = Counter()
    for seed, planted in enumerate(draws):
        T = planted.matrix
        default = choose_k(T, len(T) - 1, np.random.default_rng(seed)).chosen[default_k_rule(len(T))]
        others = choose_k(T, 10, np.random.default_rng(seed), rule="bic").chosen
        for rule, k in {"default": default, **others}.items():
            right[rule] += int(k == planted.n_clusters)
    row = {"case": name, "draws": len(draws), "published": len(draws), **right}
    return row | _verdict("no fewer than published", right["default"] >= len(draws))


def structures(sizes: Sizes) -> Iterator[Row]:
    """Choose k of structures of all kinds: right, mean ARI of the groups, changes under orders and seeds."""
    for name, structure in STRUCTURES.items():
        orders = min(5 if sum(structure.groups) <= 40 else 2, sizes.seeds)  # 100 of small ones, 40 of large
        right, changed, taken, scores = 0, 0, 0, []
        draws = sizes.draws(20)
        for seed in draws:
            planted, _ = structure.draw(seed)
            T, n = planted.matrix, len(planted.matrix)
            model = SDPClustering().fit(T)
            right += int(model.n_clusters_ == planted.n_clusters)
            taken += int(model.partition_ == "likelihood")
            scores.append(adjusted_rand_score(planted.labels, model.labels_))
            for again in range(orders):
                order = np.random.default_rng([seed, again]).permutation(n)
                path = choose_k(T[np.ix_(order, order)], n - 1, np.random.default_rng(again))
                changed += int(path.chosen["evidence"] != model.n_clusters_)
        row = {"case": name, "k": len(structure.groups), "seeds": len(draws), "right": right}
        row |= {"ari": float(np.mean(scores)), "by_likelihood": taken}
        row |= {"orders": orders * len(draws), "k_changed": changed}
        yield row | _verdict("right in >= 90 %, no change", right >= 0.9 * len(draws) and changed == 0)


def others(sizes: Sizes) -> Iterator[Row]:
    """Choose k of structures that the rule was not written for, beside entry cross-validation."""
    for name, structure in OTHERS.items():
        right: Counter[str] = Counter()
        scores: dict[str, list[float]] = {"evidence": [], "entry_cv": []}
        draws = sizes.draws(10)
        for seed in draws:
            planted, counts = structure.draw(seed)
            T, weights = planted.matrix, counts
            if np.isnan(T).any():
                weights = (~np.isnan(T)).astype(float)
                T = prepare(T, scale="none", missing="complete").matrix
            for rule, found in scores.items():
                model = SDPClustering(k_rule=rule).fit(T, weights=weights)
                right[rule] += int(model.n_clusters_ == planted.n_clusters)
                found.append(adjusted_rand_score(planted.labels, model.labels_))
        row: Row = {"case": name, "k": len(structure.groups), "seeds": len(draws)}
        for rule, found in scores.items():
            row |= {f"{rule}_right": right[rule], f"{rule}_ari": float(np.mean(found))}
        yield row


def scales(sizes: Sizes) -> Iterator[Row]:
    """Heterogeneous rows, n = 60, k = 4, snr 1.5: exact recoveries by preparation."""
    count = len(sizes.draws(20))
    cases: dict[str, dict[str, float]] = {
        "none": {},
        "offsets sd 20": {"row_offset": 20.0},
        "lognormal(1) rows": {"row_scale": 1.0},
        "lognormal(1) + offsets": {"row_scale": 1.0, "row_offset": 20.0},
        "group scales e^+-1.5": {"group_scale": 1.5},
        "lognormal(1) + both offsets": {"row_scale": 1.0, "row_offset": 20.0, "column_offset": 5.0},
    }
    for name, options in cases.items():
        row: Row = {"case": name, "seeds": count}
        for scale in ("none", "row_zscore", "two_way"):
            row[scale] = 0
            for seed in range(count):
                planted = block_model(seed, 60, 4, snr=1.5, **options)
                labels = SDPClustering(4).fit(prepare(planted.matrix, scale=scale).matrix).labels_
                row[scale] += int(adjusted_rand_score(planted.labels, labels) == 1.0)
        z_scorable = "column_offset" not in options
        held = row["row_zscore"] >= 0.95 * count
        yield row | (_verdict("default (row_zscore) exact in >= 95 %", held) if z_scorable else {})


def exactness(sizes: Sizes) -> Iterator[Row]:
    """Default partition against exact search, n = 8 to 18, random and planted, k = 2 to 4."""
    rng = np.random.default_rng(0)
    equal = heuristic = violated = 0
    count = 4 * len(sizes.draws(50))
    for case in range(count):
        n = int(rng.integers(8, 19))
        T = noise(case, n) if case % 2 else block_model(case, n, 3, snr=1.0).matrix
        best = exact_partitions(T, 4)
        k = int(rng.integers(2, 5))
        model, plain = SDPClustering(k).fit(T), SDPClustering(k, exact_max=0).fit(T)
        margin = 1e-9 * max(abs(best[k].objective), 1.0)
        equal += int(model.objective_ >= best[k].objective - margin)
        heuristic += int(plain.objective_ >= best[k].objective - margin)
        violated += int(min(model.upper_bound_, plain.upper_bound_) < best[k].objective - margin)
    row = {
        "instances": count,
        "default_optimal": equal,
        "without_exact_search": heuristic,
        "bound_violated": violated,
    }
    held = equal >= 0.95 * count and violated == 0
    yield row | _verdict("default optimal in >= 95 %, no bound violated", held)


SECTIONS = {
    "speed": speed,
    "conic": conic,
    "recovery": recovery,
    "k": number_of_groups,
    "structures": structures,
    "others": others,
    "scales": scales,
    "exactness": exactness,
}


if __name__ == "__main__":
    main()
