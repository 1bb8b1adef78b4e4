"""How many groups: five rules, and the curve of each.

The default compares partitions into every number of groups by their evidence under one block model
(:mod:`cotune.grouping.block_model`), labels included. Neither the order of the tasks nor a seed changes it.
The others judge dense partitions into k = 1, 2, ... groups. The paper's, the largest average density (Eq. 2),
is biased: adding a constant c to T adds n c / k to it, so it measures the offset of T, too.
Entry cross-validation asks which k predicts affinities that the grouping has not seen; BIC charges a block
model with a free mean for every pair of groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.grouping._partition import Labels, Matrix, density_sum, indicator, symmetrised
from cotune.grouping._problem import CentredProblem
from cotune.grouping.evidence import choose_by_evidence
from cotune.grouping.propose import Embedding, propose, spectral_embedding, split_starts

K_RULES = ("evidence", "entry_cv", "bic", "average_density", "summed_density")
"""Rules by name."""

FOLDS = 10
"""Folds of the cross-validation; with fewer, what is left of a weak signal no longer shows the groups."""

CROSS_VALIDATE_UP_TO = 100
"""Tasks up to which entry cross-validation takes seconds; beyond, only where it is asked for."""

BIC_BESIDE_UP_TO = 1000
"""Tasks up to which BIC is computed beside the evidence of each k; beyond, it would take longer than that."""

PATIENCE = 6
"""Stop when so many consecutive k have improved neither criterion."""


@dataclass(frozen=True, slots=True)
class KPath(Brief):
    """Every k tried under every rule.

    Parameters
    ----------
    chosen : dict of str to int
        The k each rule selects, of those that were computed.
    records : list of dict
        One a k: ``k``, ``summed_density`` (Eq. 3), ``average_density`` (Eq. 2), ``bic``; under the rule
        ``evidence`` its ``evidence`` (minus twice the logarithm, less that of k = 1; lower is better) and
        ``weight`` (share of the evidence of this k); where entries were held out, ``entry_cv`` (mean
        held-out squared error over that of k = 1) and ``entry_cv_se`` (standard error of its difference
        from the best k).
    labels : dict of int to ndarray of shape (n,)
        The partition found for each k.
    precision : ndarray of shape (n, n) or None
        Under ``evidence``, what entries are worth beside the others, where that differs: by the weights
        given, by noisy tasks or groups, or because they are far out.
    """

    chosen: dict[str, int]
    records: list[dict[str, Any]]
    labels: dict[int, Labels]
    precision: Matrix | None = None

    @property
    def weights(self) -> dict[int, float]:
        """Share of the evidence of each k, from the largest down; empty under rules without one."""
        found = {int(r["k"]): float(r["weight"]) for r in self.records if "weight" in r}
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def default_k_rule(n: int) -> str:
    """Return the rule that chooses k for n tasks unless told otherwise."""
    return "evidence"


def default_k_max(n: int, rule: str = "bic") -> int:
    """Largest k tried unless told otherwise: n - 1 by evidence, else 10 or 1.5 sqrt(n), at most n - 1."""
    return max(1, n - 1 if rule == "evidence" else min(n - 1, max(10, round(1.5 * math.sqrt(n)))))


def choose_k(
    T: Matrix,
    k_max: int,
    rng: np.random.Generator,
    *,
    rule: str = "evidence",
    weights: Matrix | None = None,
    progress: Callable[[int, float], object] | None = None,
) -> KPath:
    """Partition into 1, 2, ... groups and score each k.

    Parameters
    ----------
    T : ndarray of shape (n, n)
        Finite affinities; only sym(T) matters.
    k_max : int
        Largest k to try; fewer are tried when neither criterion improves any more.
    rng : numpy.random.Generator
        For folds and starts of the rules that draw some; ``evidence`` draws nothing.
    rule : str
        ``evidence`` scores the partitions of its own search by every rule but entry cross-validation. The
        others all score dense partitions, entry cross-validation up to ``CROSS_VALIDATE_UP_TO`` tasks or
        where it is the rule.
    weights : ndarray of shape (n, n), optional
        Precision of the entries of T, for ``evidence``; 0 where there is none.
    progress : callable, optional
        Called after every k with k and the summed density.

    Returns
    -------
    KPath
        The curve of every rule and what it selects.
    """
    S = symmetrised(T)
    n = len(S)
    problem = CentredProblem.from_affinity(S, 1)
    if n < 3 or problem.flat:
        return _single_group(S, rule)
    if rule == "evidence":
        return _by_evidence(S, k_max, weights, progress)
    cross_validate = rule == "entry_cv" or n <= CROSS_VALIDATE_UP_TO
    path = KPath({}, [], {})
    errors: list[list[float]] = []
    full = _Partitions(problem.C, k_max, rng)
    folds = [_Fold(S, held, k_max, rng) for held in _folds(n, rng)] if cross_validate else []
    for k in range(1, k_max + 1):
        labels = full.next()
        errors.append([fold.next_error() for fold in folds])
        summed = density_sum(S, labels, k)
        path.labels[k] = labels
        path.records.append(
            {"k": k, "summed_density": summed, "average_density": summed / k, "bic": bic(S, labels, k)}
        )
        if progress is not None:
            progress(k, summed)
        if k - _last_improvement(path.records, errors) >= PATIENCE:
            break
    _select(path, np.array(errors))
    return path


def _single_group(S: Matrix, rule: str) -> KPath:
    """Fewer than three tasks, or no structure at all: one group under every rule."""
    mean = float(S.sum()) / len(S)
    record = {"k": 1, "summed_density": mean, "average_density": mean, "bic": 0.0}
    record |= (
        {"evidence": 0.0, "weight": 1.0} if rule == "evidence" else {"entry_cv": 1.0, "entry_cv_se": 0.0}
    )
    rules = [name for name in K_RULES if name in record]
    return KPath(dict.fromkeys(rules, 1), [record], {1: np.zeros(len(S), dtype=np.intp)})


def _by_evidence(
    S: Matrix, k_max: int, weights: Matrix | None, progress: Callable[[int, float], object] | None
) -> KPath:
    """Search by evidence and set what the other rules say of the same partitions beside it."""
    heard: set[int] = set()

    def first_time(k: int, labels: Labels) -> None:
        if progress is not None and k not in heard:
            heard.add(k)
            progress(k, _density_sum(S, labels, k))

    found = choose_by_evidence(S, k_max, weights=weights, progress=first_time)
    shares = found.weights
    path = KPath({"evidence": found.k}, [], found.labels, found.precision)
    for k, labels in found.labels.items():
        summed = _density_sum(S, labels, k)
        record = {"k": k, "evidence": found.costs[k] - found.costs[1], "weight": shares[k]}
        record |= {"summed_density": summed, "average_density": summed / k}
        if len(S) <= BIC_BESIDE_UP_TO:
            record["bic"] = bic(S, labels, k)
        path.records.append(record)
    _select(path, np.empty((0, 0)))
    return path


def _density_sum(S: Matrix, labels: Labels, k: int) -> float:
    """Sum the densities of many groups as fast as of few."""
    order = np.argsort(labels, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(labels, minlength=k))[:-1])
    return float(sum(S[part[:, None], part].sum() / len(part) for part in parts))


def _last_improvement(records: list[dict[str, Any]], errors: list[list[float]]) -> int:
    best = 1 + int(np.argmin([record["bic"] for record in records]))
    return max(best, 1 + int(np.argmin(np.mean(errors, axis=1)))) if errors[0] else best


def _select(path: KPath, errors: Matrix) -> None:
    """Add the cross-validation to the records and let every rule choose."""
    records = path.records
    if "bic" in records[0]:
        path.chosen["bic"] = int(min(records, key=lambda record: record["bic"])["k"])
    path.chosen["average_density"] = int(max(records, key=lambda record: record["average_density"])["k"])
    path.chosen["summed_density"] = int(max(records, key=lambda record: record["summed_density"])["k"])
    if not errors.size:
        return
    mean = errors.mean(axis=1)
    excess = errors - errors[int(mean.argmin())]
    spread = excess.std(axis=1, ddof=1) / np.sqrt(errors.shape[1])
    for record, error, se in zip(records, mean, spread, strict=True):
        record["entry_cv"] = float(error / max(mean[0], 1e-300))
        record["entry_cv_se"] = float(se / max(mean[0], 1e-300))
    within = excess.mean(axis=1) <= spread + 1e-12 * mean[0]
    path.chosen["entry_cv"] = int(records[int(np.argmax(within))]["k"])


def refuse_bad_rule(rule: str) -> str:
    """Return the rule's name if it is one of :data:`K_RULES`."""
    if rule not in K_RULES:
        raise InputError(f"The 'k_rule' parameter must be one of {list(K_RULES)}, got {rule!r} instead.")
    return rule


class _Partitions:
    """Good partitions for k = 1, 2, ..., each also started from splits of the one before."""

    def __init__(self, C: Matrix, k_max: int, rng: np.random.Generator) -> None:
        self.C, self.rng, self.k = C, rng, 0
        self.embedding: Embedding = spectral_embedding(C, k_max - 1, rng)
        self.labels: Labels = np.zeros(len(C), dtype=np.intp)

    def next(self) -> Labels:
        """Return the partition into one group more than last time."""
        self.k += 1
        if self.k > 1:
            extra = split_starts(self.C, self.labels, self.k, keep=3)
            self.labels = propose(
                self.C, self.k, self.rng, embedding=self.embedding, restarts=2, extra=extra
            )[1]
        return self.labels


def _folds(n: int, rng: np.random.Generator) -> list[Matrix]:
    """Symmetric boolean masks, disjoint, that together hold every off-diagonal entry out once."""
    upper = np.triu_indices(n, 1)
    fold_of = rng.permutation(len(upper[0])) % min(FOLDS, len(upper[0]))
    masks = []
    for fold in range(int(fold_of.max()) + 1):
        mask = np.zeros((n, n), dtype=bool)
        chosen = fold_of == fold
        mask[upper[0][chosen], upper[1][chosen]] = True
        masks.append(mask | mask.T)
    return masks


class _Fold:
    """One set of held-out entries: cluster what is left, predict them by block means."""

    def __init__(self, S: Matrix, held: Matrix, k_max: int, rng: np.random.Generator) -> None:
        self.S, self.held = S, held
        n = len(S)
        self.seen = (~(held | np.eye(n, dtype=bool))).astype(np.float64)
        count = np.maximum(self.seen.sum(axis=1), 1.0)
        row = (S * self.seen).sum(axis=1) / count
        grand = float((S * self.seen).sum() / self.seen.sum())
        filled = np.where(held, row[:, None] + row[None, :] - grand, S)
        problem = CentredProblem.from_affinity(filled, 1)
        self.partitions = _Partitions(problem.C, k_max, rng)

    def next_error(self) -> float:
        """Mean squared error on the held-out entries with one group more than last time."""
        labels = self.partitions.next()
        mean = block_means(self.S, self.seen, labels, self.partitions.k)
        error = self.S[self.held] - mean[labels][:, labels][self.held]
        return float(error @ error) / len(error)


def block_means(S: Matrix, seen: Matrix, labels: Labels, n_clusters: int) -> Matrix:
    """Mean of the seen entries of each block, shape (k, k); the mean of all where a block has none."""
    V = indicator(labels, n_clusters)
    count = V.T @ seen @ V
    overall = float((S * seen).sum() / max(seen.sum(), 1.0))
    return np.asarray(np.where(count > 0, (V.T @ (S * seen) @ V) / np.maximum(count, 1.0), overall))


def bic(S: Matrix, labels: Labels, n_clusters: int) -> float:
    """Bayesian information criterion of normal blocks with a common variance; lower is better.

    N log(variance) + k(k+1)/2 log N + 2 n log k, for N = n(n-1)/2 off-diagonal entries: the block means are
    charged as parameters, and the labels what it takes to name one of k groups for every task.

    Parameters
    ----------
    S : ndarray of shape (n, n)
        Symmetric affinities; the diagonal is left out.
    labels : ndarray of shape (n,)
        A partition into groups numbered from 0.
    n_clusters : int
        Number of groups.

    Returns
    -------
    float
        Up to a constant that does not depend on the partition.
    """
    n = len(S)
    entries = n * (n - 1) / 2.0
    diagonal = np.diag(S)
    middle = (float(S.sum()) - float(diagonal.sum())) / max(2.0 * entries, 1.0)
    V = indicator(labels, n_clusters)
    size = V.sum(axis=0)
    weight = np.outer(size, size) - np.diag(size)
    blocks = V.T @ (S @ V) - np.diag(V.T @ diagonal) - middle * weight
    # Around the overall mean, so that an offset of S does not cost digits.
    square = float(np.vdot(S, S)) - float(diagonal @ diagonal) - 2.0 * entries * middle * middle
    left = square - float(np.sum(blocks**2 / np.maximum(weight, 1.0)))
    variance = max(left / (2.0 * entries), 1e-15 * max(square, 0.0) / (2.0 * entries), 1e-300)
    parameters = n_clusters * (n_clusters + 1) / 2.0
    return float(entries * np.log(variance) + parameters * np.log(entries) + 2.0 * n * np.log(n_clusters))
