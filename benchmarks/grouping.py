"""Time and quality of the grouping engine against a generic conic solver and one eigendecomposition.

Every ratio compares CPU seconds of this process, measured one after the other on one thread, so that other
work on the machine does not count. SCS is called through cvxpy on Eq. 5 as written, at eps 1e-5;
``scs_over_ours`` counts the call without cvxpy's translation of the problem. ``numpy.linalg.eigh`` is called
on a symmetric matrix of the same order.

    python benchmarks/grouping.py --quick
    python benchmarks/grouping.py --out grouping.json
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from cotune.benchmark.planted import block_model, fig2, noise
from cotune.grouping import LloydGrouping, SDPClustering, SpectralGrouping, choose_k, objective, prepare
from cotune.grouping.exact import exact_partitions

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small instances and few seeds, about a minute")
    parser.add_argument("--out", type=Path, help="also write the rows to this JSON file")
    parser.add_argument("--only", default="", help="run the sections whose name contains this")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for section in (speed, recovery, number_of_groups, scales, exactness):
        if arguments.only in section.__name__:
            print(f"\n{section.__doc__}")
            for row in section(arguments.quick):
                rows.append({"section": section.__name__, **row})
                print("  " + "  ".join(f"{name} {_text(value)}" for name, value in row.items()), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


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


def _speed_row(name: str, T: np.ndarray, k: int, conic: bool, **options: Any) -> Row:
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


def speed(quick: bool) -> Iterator[Row]:
    """Speed: certified groups or a solved relaxation, to 1e-5."""
    for seed in range(3):
        yield _speed_row(f"planted n=100 k=5 #{seed}", block_model(seed, 100, 5).matrix, 5, True)
    for seed in range(3):
        yield _speed_row(f"Fig. 2 n=100 #{seed}", fig2(seed, 100).matrix, 3, True)
    for seed in range(1 if quick else 3):
        yield _speed_row(f"Fig. 2 n=150 #{seed}", fig2(seed, 150).matrix, 3, True)
        yield _speed_row(f"noise n=100 k=4 #{seed}", noise(seed, 100), 4, True)
    yield _speed_row("planted n=1000 k=20", block_model(0, 1000, 20).matrix, 20, False)
    if quick:
        return
    yield _speed_row("noise n=300 k=4", noise(0, 300), 4, True)
    yield _speed_row("Fig. 2 n=300", fig2(0, 300).matrix, 3, True)
    yield _speed_row("Fig. 2 n=500", fig2(0, 500).matrix, 3, True)
    yield _speed_row("noise n=500 k=4", noise(0, 500), 4, True)
    yield _speed_row("planted n=2000 k=40", block_model(0, 2000, 40).matrix, 40, False)
    weak = block_model(0, 2000, 10, snr=1.3).matrix
    yield _speed_row("weak signal (snr 1.3) n=2000 k=10", weak, 10, False, tol=1e-4, time_limit=120.0)
    yield _speed_row("planted n=5000 k=50", block_model(0, 5000, 50).matrix, 50, False, tol=1e-2)


def recovery(quick: bool) -> Iterator[Row]:
    """Recovery on Fig. 2, n = 150, k = 3 given."""
    seeds = range(10 if quick else 50)
    for mirrored in (False, True):
        at_least, scores = 0, {"sdp": [], "spectral": [], "lloyd": []}
        for seed in seeds:
            planted = fig2(seed, mirrored=mirrored)
            model = SDPClustering(3).fit(planted.matrix)
            at_least += model.objective_ >= objective(planted.matrix, planted.labels) - 1e-6
            scores["sdp"].append(adjusted_rand_score(planted.labels, model.labels_))
            for name, grouper in (("spectral", SpectralGrouping), ("lloyd", LloydGrouping)):
                labels = grouper(3).fit(planted.matrix).labels_
                scores[name].append(adjusted_rand_score(planted.labels, labels))
        row: Row = {
            "noise": "mirrored" if mirrored else "iid",
            "at_least_planted": f"{at_least}/{len(seeds)}",
        }
        for name, values in scores.items():
            row |= {
                f"{name}_ari": float(np.mean(values)),
                f"{name}_exact": int(np.sum(np.array(values) == 1.0)),
            }
        yield row


def number_of_groups(quick: bool) -> Iterator[Row]:
    """k = auto: how often each rule finds the planted number of groups."""
    cases = {
        "Fig. 2 iid": (lambda seed: fig2(seed), 10 if quick else 50),
        "Fig. 2 mirrored": (lambda seed: fig2(seed, mirrored=True), 10 if quick else 50),
    }
    for constant in (0.0, 10.0, -0.5):
        cases[f"n=100 k=5 {constant:+}"] = (
            lambda seed, c=constant: block_model(seed, 100, 5, constant=c),
            4 if quick else 20,
        )
    cases["n=60 k=6 snr 1.5"] = (lambda seed: block_model(seed, 60, 6, snr=1.5), 4 if quick else 20)
    for name, (draw, count) in cases.items():
        right: dict[str, int] = {}
        for seed in range(count):
            planted = draw(seed)
            path = choose_k(planted.matrix, 10, np.random.default_rng(seed), cross_validate=True)
            for rule, k in path.chosen.items():
                right[rule] = right.get(rule, 0) + (k == planted.n_clusters)
        yield {"case": name, "seeds": count, **right}


def scales(quick: bool) -> Iterator[Row]:
    """Heterogeneous rows, n = 60, k = 4, snr 1.5: exact recoveries by preparation."""
    count = 5 if quick else 20
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
                row[scale] += adjusted_rand_score(planted.labels, labels) == 1.0
        yield row


def exactness(quick: bool) -> Iterator[Row]:
    """Default partition against exact search, n = 8 to 18, random and planted, k = 2 to 4."""
    rng = np.random.default_rng(0)
    equal = heuristic = violated = 0
    count = 40 if quick else 200
    for case in range(count):
        n = int(rng.integers(8, 15 if quick else 19))
        T = noise(case, n) if case % 2 else block_model(case, n, 3, snr=1.0).matrix
        best = exact_partitions(T, 4)
        k = int(rng.integers(2, 5))
        model, plain = SDPClustering(k).fit(T), SDPClustering(k, exact_max=0).fit(T)
        margin = 1e-9 * max(abs(best[k].objective), 1.0)
        equal += model.objective_ >= best[k].objective - margin
        heuristic += plain.objective_ >= best[k].objective - margin
        violated += min(model.upper_bound_, plain.upper_bound_) < best[k].objective - margin
    yield {
        "instances": count,
        "default_optimal": equal,
        "without_exact_search": heuristic,
        "bound_violated": violated,
    }


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
