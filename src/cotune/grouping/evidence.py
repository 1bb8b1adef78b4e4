"""The number of groups by evidence: the partitions of a block model over every k, and how sure k is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cotune.grouping._partition import Labels, Matrix, first_appearance
from cotune.grouping.block_fit import fit_model
from cotune.grouping.block_model import Observations
from cotune.grouping.evidence_over_k import LEAST_PAIRS, MANY, NEIGHBOURS, Search
from cotune.grouping.evidence_search import PAIRS_UP_TO, Candidate, State, climb
from cotune.grouping.heavy_tails import CHARGE, Tailed, best_tailed, fit_tailed, worth_trying
from cotune.grouping.unequal_noise import unequal_noises

TAILS = (4, 1000)
"""Fewest and most tasks whose entries may have noise with heavy tails."""


@dataclass(frozen=True, slots=True)
class EvidencePath:
    """The best partition found for every k looked at.

    Parameters
    ----------
    k : int
        The k of largest evidence.
    costs : dict of int to float
        Minus twice the log evidence at each k, up to a constant: of the best partition found and of those
        around it.
    labels : dict of int to ndarray of shape (n,)
        The partitions.
    precision : ndarray of shape (n, n) or None
        What entries are worth beside the others, where that differs: by the weights that were given, by noisy
        tasks or groups, or because they are far out.
    """

    k: int
    costs: dict[int, float]
    labels: dict[int, Labels]
    precision: Matrix | None = None

    @property
    def weights(self) -> dict[int, float]:
        """Share of the evidence of each k, from the largest down."""
        least = min(self.costs.values())
        share = {k: float(np.exp(-(cost - least) / 2.0)) for k, cost in self.costs.items()}
        total = sum(share.values())
        return dict(sorted(((k, s / total) for k, s in share.items()), key=lambda item: -item[1]))


def canonical_order(S: Matrix) -> Labels:
    """Return an order of the tasks that depends on their affinities alone, not on how they were listed."""
    n = len(S)
    rows = S[~np.eye(n, dtype=bool)].reshape(n, n - 1).copy() if n > 1 else S.copy()
    rows.sort(axis=1)
    return np.lexsort((rows[:, 0], rows[:, -1], rows[:, (n - 1) // 2], rows.sum(axis=1)))


def choose_by_evidence(
    S: Matrix,
    k_max: int,
    *,
    weights: Matrix | None = None,
    progress: Callable[[int, Labels], object] | None = None,
) -> EvidencePath:
    """Search for the partition of largest evidence, whatever its number of groups.

    Parameters
    ----------
    S : ndarray of shape (n, n)
        Symmetric affinities; the diagonal is left out.
    k_max : int
        Most groups.
    weights : ndarray of shape (n, n), optional
        Symmetric precision of the entries, 0 where there is none.
    progress : callable, optional
        Called after every step of the search with a number of groups and a partition into as many.
    """
    order = canonical_order(S)
    back = np.argsort(order)
    S = S[np.ix_(order, order)]
    weights = None if weights is None else weights[np.ix_(order, order)]
    heard = None if progress is None else lambda k, labels: progress(k, labels[back])
    plain = Search(Observations(S, weights), min(k_max, len(S) - 1), heard)
    plain.run()
    search, tailed = _best_noise([(plain, 0.0), *_reweighted(plain, S, weights)])
    found = search.best if tailed is None else {k: fit.candidate for k, fit in tailed.items()}
    costs = {k: _with_doubt(search, found[k], None if tailed is None else tailed[k]) for k in sorted(found)}
    best = min(costs, key=lambda k: (costs[k], k))
    labels = {k: first_appearance(found[k].labels[back]) for k in costs}
    precision = search.data.W if tailed is None else tailed[best].weights
    return EvidencePath(best, costs, labels, None if precision is None else precision[np.ix_(back, back)])


def _with_doubt(search: Search, candidate: Candidate, tailed: Tailed | None) -> float:
    """Cost of a k: of its best partition, and of those that differ from it by one task.

    Beyond ``MANY`` tasks the second is counted around the best k alone; elsewhere it changes nothing.
    """
    cost, data = candidate.cost, search.data
    if tailed is not None:
        cost, data = tailed.cost, tailed.data
    if candidate.k > 1 and (data.n <= MANY or abs(candidate.k - search.leader().k) <= NEIGHBOURS):
        cost -= 2.0 * State(data, candidate, candidate.fit.kappa > LEAST_PAIRS).doubt()
    return cost


def _best_noise(searches: list[tuple[Search, float]]) -> tuple[Search, dict[int, Tailed] | None]:
    """Return the search, with what its noise costs beside, that explains most, with heavy tails or without.

    Entries far out look like noise of their groups, and noise of groups like entries far out.
    """
    least = min(search.leader().cost + extra for search, extra in searches)
    explained: list[tuple[float, Search, dict[int, Tailed] | None]] = []
    for search, extra in searches:
        explained.append((search.leader().cost + extra, search, None))
        tailed = _tailed(search, least - extra)
        if tailed is not None:
            cost = min(fit.cost for fit in tailed.values()) + CHARGE + extra
            explained.append((cost, search, tailed))
            least = min(least, cost)
    return min(explained, key=lambda one: one[0])[1:]


def _tailed(search: Search, least: float) -> dict[int, Tailed] | None:
    """Return the partitions for every k under noise with heavy tails, where that may cost below ``least``."""
    data, leader = search.data, search.leader()
    if not TAILS[0] <= data.n <= TAILS[1] or data.flat:
        return None
    extremes = [search.best[1], leader] if leader.k > 1 else [leader]
    if not worth_trying(data, extremes, least):
        return None
    fits = [best_tailed(data, one, pairs=one.fit.kappa > LEAST_PAIRS) for one in extremes]
    first = min(fits, key=lambda fit: fit.cost)
    if not first.cost + CHARGE < least:
        return None
    again = Search(first.data, search.k_max, search.progress)
    again.run()
    result: dict[int, Tailed] = {}
    known: set[tuple[bytes, bool]] = set()  # both searches may have found the same
    for candidate in [*search.best.values(), *again.best.values()]:
        pairs = candidate.fit.kappa > LEAST_PAIRS
        if (key := (candidate.labels.tobytes(), pairs)) in known:
            continue
        known.add(key)
        start = Candidate(
            candidate.labels, candidate.k, fit_model(data, candidate.labels, candidate.k, pairs=pairs)
        )
        fit = fit_tailed(data, start, first.degrees, pairs=pairs)
        if candidate.k not in result or fit.cost < result[candidate.k].cost:
            result[candidate.k] = fit
    return result


def likelihood_partition(
    S: Matrix, labels: Labels, *, weights: Matrix | None = None
) -> tuple[float, float, Labels]:
    """Climb from a partition at its number of groups; the cost there, where the climb ends, and the end.

    Parameters
    ----------
    S, weights : ndarray of shape (n, n)
        As :func:`choose_by_evidence`.
    labels : ndarray of shape (n,)
        Where to start.
    """
    data = Observations(S, weights)
    labels = first_appearance(labels)
    k = int(labels.max()) + 1
    kinds = (False, True) if len(S) * k * k <= PAIRS_UP_TO else (False,)
    before = min(fit_model(data, labels, k, pairs=pairs).cost for pairs in kinds)
    ends = [climb(data, labels, pairs=pairs, k_max=k, fixed=True) for pairs in kinds]
    end = min(ends, key=lambda candidate: candidate.cost)
    return before, end.cost, end.labels


def _reweighted(search: Search, S: Matrix, weights: Matrix | None) -> Iterator[tuple[Search, float]]:
    """Yield a search in which noisy entries weigh less, and its charge, where the first one asks for it."""
    leader = search.leader()
    least, best = leader.cost, None
    for noise in unequal_noises(search.data, leader):
        data = Observations(S, noise.precision if weights is None else noise.precision * weights)
        extra = noise.charge + data.constant - search.data.constant
        cost = fit_model(data, leader.labels, leader.k, pairs=leader.fit.kappa > LEAST_PAIRS).cost + extra
        if cost < least:
            least, best = cost, (data, extra)
    if best is not None:
        again = Search(best[0], search.k_max, search.progress)
        again.run()
        yield again, best[1]
