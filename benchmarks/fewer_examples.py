"""Would fewer validation examples do, those that decide: the scores of later runs from some of the examples.

Of every task the first runs say whose scores differ most from run to run. The later runs are then scored on
those examples alone, and beside that on as many drawn at random: task by task the rank correlation of such
scores with those of all examples, and the agreement of the groups. No run is judged by an order that it had a
part in. Called by ``affinity.py --fewer``, which has the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score

from cotune.affinity import higher_order
from cotune.grouping import SDPClustering, prepare

DRAWS = 10
"""Random choices of examples, for each number of them."""
FEWEST = 3
"""Later runs of a task without which nothing is said of it."""

Numbers = NDArray[np.float64]


def fewer_examples(
    tasks: Sequence[str], records: Mapping[Any, Any], first: int, numbers: Sequence[int], k: int
) -> list[str]:
    """Return the lines of a table.

    Parameters
    ----------
    tasks : sequence of str
        All tasks.
    records : mapping
        Runs on subsets of several tasks in the order of the design, with what came of them.
    first : int
        How many of them say which examples decide.
    numbers : sequence of int
        Of examples that are scored.
    k : int
        Number of groups.
    """
    utilities = _utilities(tasks, records)
    n_runs, n_tasks, n_examples = utilities.shape
    spread = np.nanvar(utilities[:first], axis=0)
    deciding = np.argsort(-np.nan_to_num(spread), axis=1, kind="stable")
    rng = np.random.default_rng(0)
    random = [np.stack([rng.permutation(n_examples) for _ in tasks]) for _ in range(DRAWS)]
    reference = _groups(utilities.mean(2), k)
    lines = [
        f"Scores of the {n_runs - first} later runs from some of {n_examples} validation examples: rank "
        f"correlation with those of all, over {n_tasks} tasks, and ARI of the groups of all runs at k = {k}. "
        f"The first {first} runs chose; at random means of {DRAWS} draws.",
        "",
        "| examples | chosen | median | lowest | tasks at 0.95 | ARI with the groups of all |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for number in numbers:
        for name, orders in (("those that differ most", [deciding]), ("at random", random)):
            found = [_judged(utilities, order[:, :number], first, reference, k) for order in orders]
            median, lowest, held, ari = np.nanmean(found, axis=0)
            cells = f"{median:.2f} | {lowest:.2f} | {held:.1f} | {ari:.2f}"
            lines.append(f"| {number} | {name} | {cells} |")
    return lines


def _utilities(tasks: Sequence[str], records: Mapping[Any, Any]) -> Numbers:
    """Return the score of every example, higher is better, of shape (runs, tasks, examples)."""
    runs = [record.scores for run, record in records.items() if len(run.subset) > 1 and record.scores]
    n_examples = min(len(score.per_example) for scores in runs for score in scores.values())
    found = np.full((len(runs), len(tasks), n_examples), np.nan)
    for row, scores in zip(found, runs, strict=True):
        for name, score in scores.items():
            sign = 1 if score.higher_is_better else -1
            row[tasks.index(name)] = sign * np.array(score.per_example[:n_examples])
    return found


def _judged(
    utilities: Numbers, chosen: NDArray[np.intp], first: int, reference: NDArray[np.intp], k: int
) -> tuple[float, float, float, float]:
    """Return of a choice of examples: median and lowest correlation, tasks from 0.95 on, and the ARI."""
    some = np.take_along_axis(utilities, chosen[None], axis=2).mean(2)
    correlations = []
    for few, of_all in zip(some[first:].T, utilities[first:].mean(2).T, strict=True):
        there = np.isfinite(few)
        if there.sum() >= FEWEST:
            correlations.append(float(spearmanr(few[there], of_all[there]).statistic))
    held = sum(value >= 0.95 for value in correlations)
    ari = adjusted_rand_score(reference, _groups(some, k))
    return float(np.nanmedian(correlations)), float(np.nanmin(correlations)), held, float(ari)


def _groups(scores: Numbers, k: int) -> NDArray[np.intp]:
    matrix = higher_order(np.isfinite(scores), scores).matrix
    prepared = prepare(matrix, scale="row_zscore", missing="complete").matrix
    return np.asarray(SDPClustering(k, tol=1e-3, random_state=0).fit(prepared).labels_)
