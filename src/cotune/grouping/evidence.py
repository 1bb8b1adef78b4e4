"""The number of groups by evidence: the partitions of a block model over every k, and how sure k is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from cotune.grouping._partition import Labels, Matrix, first_appearance
from cotune.grouping.block_fit import fit_model
from cotune.grouping.block_model import Observations
from cotune.grouping.eigen import top_eigenpairs
from cotune.grouping.evidence_search import PAIRS_UP_TO, Candidate, State, climb
from cotune.grouping.propose import propose, spectral_embedding, split_starts

FULL_SPECTRUM = 700
"""Up to so many tasks the whole spectrum is computed."""

MANY = 200
"""Tasks beyond which the search starts from fewer cuts, which find as much when there is more to see."""

LEADING = 64
"""Eigenvectors computed of larger ones."""

CUTS, CUTS_OF_MANY = 24, 12
"""Cuts of a merge tree that are fitted, at most; the second of more than ``MANY`` tasks."""

STARTS, STARTS_OF_MANY = 2, 1
"""Cuts of each tree from which the search climbs, with and without means of pairs."""

DENSE_UP_TO, DENSE_K = MANY, 10
"""Tasks and groups up to which the search starts from dense partitions too."""

NOISE_OF_TASKS = (20, 1000)
"""Fewest and most tasks whose noise may differ."""

LEAST_PAIRS = 1e-5
"""Pairs of groups have means of their own where these vary more, in units of the noise."""

NEIGHBOURS = 2
"""So many k above and below the best one are searched too."""


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
    noise : ndarray of shape (n,) or None
        Variances of tasks such that entries have the variance v_i v_j, where tasks differ in noise.
    """

    k: int
    costs: dict[int, float]
    labels: dict[int, Labels]
    noise: Matrix | None = None

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
    search = _Search(Observations(S, weights), min(k_max, len(S) - 1), heard)
    search.run()
    again = _reweighted(search, S, weights)
    if again is not None:
        again.run()
        # Tasks that differ in noise have a variance each to pay for.
        extra = len(S) * np.log((len(S) - 1) / 2.0) + again.data.constant - search.data.constant
        if again.leader().cost + extra < search.leader().cost:
            search = again
    found = search.best
    costs = search.costs()
    labels = {k: first_appearance(found[k].labels[back]) for k in costs}
    noise = None if search.noise is None else search.noise[back]
    return EvidencePath(min(costs, key=lambda k: (costs[k], k)), costs, labels, noise)


def likelihood_partition(
    S: Matrix, labels: Labels, *, weights: Matrix | None = None, noise: Matrix | None = None
) -> tuple[float, float, Labels]:
    """Climb from a partition at its number of groups; the cost there, where the climb ends, and the end.

    Parameters
    ----------
    S, weights : ndarray of shape (n, n)
        As :func:`choose_by_evidence`.
    labels : ndarray of shape (n,)
        Where to start.
    noise : ndarray of shape (n,), optional
        As :class:`EvidencePath`.
    """
    data = Observations(S, _precision(weights, noise))
    labels = first_appearance(labels)
    k = int(labels.max()) + 1
    kinds = (False, True) if len(S) * k * k <= PAIRS_UP_TO else (False,)
    before = min(fit_model(data, labels, k, pairs=pairs).cost for pairs in kinds)
    ends = [climb(data, labels, pairs=pairs, k_max=k, fixed=True) for pairs in kinds]
    end = min(ends, key=lambda candidate: candidate.cost)
    return before, end.cost, end.labels


def _precision(weights: Matrix | None, noise: Matrix | None) -> Matrix | None:
    if noise is None:
        return weights
    precision = 1.0 / (noise[:, None] * noise)
    return precision if weights is None else precision * weights


def _reweighted(search: _Search, S: Matrix, weights: Matrix | None) -> _Search | None:
    """Return a search in which noisy tasks weigh less, where what the first one left asks for it."""
    n, leader = len(S), search.leader()
    if not NOISE_OF_TASKS[0] <= n <= NOISE_OF_TASKS[1] or search.data.flat:
        return None
    v = search.data.noise_of_tasks(leader.fit, leader.labels)
    data = Observations(S, _precision(weights, v))
    fit = fit_model(data, leader.labels, leader.k, pairs=leader.fit.kappa > LEAST_PAIRS)
    extra = n * np.log((n - 1) / 2.0) + data.constant - search.data.constant
    return _Search(data, search.k_max, search.progress, v) if fit.cost + extra < leader.cost else None


class _Search:
    def __init__(
        self,
        data: Observations,
        k_max: int,
        progress: Callable[[int, Labels], object] | None,
        noise: Matrix | None = None,
    ) -> None:
        self.data, self.k_max, self.progress, self.noise = data, k_max, progress, noise
        one = np.zeros(data.n, dtype=np.intp)
        self.single = fit_model(data, one, 1, pairs=False)
        self.best: dict[int, Candidate] = {1: Candidate(one, 1, self.single)}

    def keep(self, candidate: Candidate) -> None:
        known = self.best.get(candidate.k)
        if known is None or candidate.cost < known.cost - 1e-9 * abs(known.cost):
            self.best[candidate.k] = candidate
        if self.progress is not None:
            self.progress(candidate.k, candidate.labels)

    def leader(self) -> Candidate:
        return min(self.best.values(), key=lambda candidate: (candidate.cost, candidate.k))

    def costs(self) -> dict[int, float]:
        """Cost of each k: of its best partition, and of those that differ from it by one task.

        Beyond ``MANY`` tasks the second is counted around the best k alone; elsewhere it changes nothing.
        """
        best, leader = self.best, self.leader().k
        costs = {k: best[k].cost for k in sorted(best)}
        for k in costs:
            if k > 1 and (self.data.n <= MANY or abs(k - leader) <= NEIGHBOURS):
                pairs = best[k].fit.kappa > LEAST_PAIRS
                costs[k] -= 2.0 * State(self.data, best[k], pairs).doubt()
        return costs

    def run(self) -> None:
        if self.data.n < 3 or self.data.flat or self.k_max < 2:
            return
        self.keep(self.best[1])
        residual = self._residual()
        starts = []
        for tree in self._trees(residual):
            starts += self._best(_cuts(tree, min(self.k_max, self.data.n - 1)))
        starts += self._best(self._dense(residual))
        climbed: dict[tuple[bytes, bool], Candidate] = {}
        for pairs, candidate in starts:
            key = candidate.labels.tobytes(), pairs
            if key not in climbed:
                climbed[key] = climb(self.data, candidate.labels, pairs=pairs, k_max=self.k_max)
                self.keep(climbed[key])
        self._other_kind()
        self._neighbours(residual)

    def _residual(self) -> Matrix:
        """Affinities less task effects, shrunk where they are uncertain."""
        fit, data = self.single, self.data
        E = data.Y - fit.b - fit.r[:, None] - fit.r[None, :]
        if data.W is not None:
            E *= data.W / (data.W + 1.0)
        np.fill_diagonal(E, 0.0)
        return E

    def _trees(self, E: Matrix) -> list[Matrix]:
        distance = squareform(float(E.max()) - E, checks=False)
        trees = [linkage(distance, "average")]
        rows = _spectral_rows(E)
        if rows is not None:
            trees.append(linkage(rows, "ward"))
        return trees

    def _dense(self, E: Matrix) -> Iterator[Labels]:
        """Dense partitions into few groups, for signals that no merging of single entries sees."""
        n = self.data.n
        top = min(self.k_max, n // 2, DENSE_K)
        if n > DENSE_UP_TO or top < 2:
            return
        scaled = E * (np.sqrt(n) / max(float(np.linalg.norm(E)), 1e-300))
        rng = np.random.default_rng(0)
        embedding = spectral_embedding(scaled, top - 1, rng)
        for k in range(2, top + 1):
            yield propose(scaled, k, rng, embedding=embedding, restarts=1)[1]

    def _best(self, partitions: Iterable[Labels]) -> list[tuple[bool, Candidate]]:
        """Fit the model to partitions and return the best few, with and without means of pairs."""
        n = self.data.n
        found: dict[bool, list[Candidate]] = {False: [], True: []}
        for proposed in partitions:
            labels = first_appearance(proposed)
            count = int(labels.max()) + 1
            if count < 2:
                continue
            for pairs in (False, True):
                if pairs and (n * count * count > PAIRS_UP_TO or count > n // 2):
                    continue
                candidate = Candidate(labels, count, fit_model(self.data, labels, count, pairs=pairs))
                found[pairs].append(candidate)
                self.keep(candidate)
        starts = []
        for pairs, candidates in found.items():
            candidates.sort(key=lambda candidate: candidate.cost)
            starts += [
                (pairs, candidate) for candidate in candidates[: STARTS if n <= MANY else STARTS_OF_MANY]
            ]
        return starts

    def _other_kind(self) -> None:
        leader = self.leader()
        pairs = leader.fit.kappa > LEAST_PAIRS
        if leader.k > 1 and self.data.n * leader.k**2 <= PAIRS_UP_TO:
            self.keep(climb(self.data, leader.labels, pairs=not pairs, k_max=self.k_max))

    def _neighbours(self, E: Matrix) -> None:
        """Split and merge from the leader, until it stays and its neighbours are known."""
        for _ in range(6):
            leader = self.leader()
            for direction in (1, -1):
                current = leader
                for _ in range(NEIGHBOURS):
                    step = self._split(E, current) if direction > 0 else self._merge(current)
                    if step is None:
                        break
                    self.keep(step)
                    current = self.best[step.k]
            if self.leader() is leader:
                return
            pairs = self.leader().fit.kappa > LEAST_PAIRS
            self.keep(climb(self.data, self.leader().labels, pairs=pairs, k_max=self.k_max))

    def _split(self, E: Matrix, candidate: Candidate) -> Candidate | None:
        if candidate.k >= self.k_max:
            return None
        pairs = candidate.fit.kappa > LEAST_PAIRS
        options = [
            climb(self.data, labels, pairs=pairs, k_max=candidate.k + 1, fixed=True, start=candidate.fit)
            for labels in split_starts(E, candidate.labels, candidate.k + 1, keep=2)
        ]
        return min(options, key=lambda option: option.cost, default=None)

    def _merge(self, candidate: Candidate) -> Candidate | None:
        if candidate.k <= 2:
            return None
        labels = nearest_merge(self.data, candidate)
        pairs = candidate.fit.kappa > LEAST_PAIRS
        return climb(self.data, labels, pairs=pairs, k_max=candidate.k - 1, fixed=True, start=candidate.fit)


def _cuts(tree: Matrix, top: int) -> Iterator[Labels]:
    """Cuts of a merge tree into 2 to ``top`` groups."""
    cuts = CUTS if top <= MANY else CUTS_OF_MANY
    ks = np.unique(np.round(np.geomspace(2, top, cuts)).astype(int)) if top > cuts else range(2, top + 1)
    for k in ks:
        yield fcluster(tree, int(k), "maxclust")


def nearest_merge(data: Observations, candidate: Candidate) -> Labels:
    """Merge the two groups whose merging costs least evidence."""
    state = State(data, candidate, candidate.fit.kappa > LEAST_PAIRS)
    a, b = divmod(int(state.merge_gains().argmax()), state.k)
    labels = candidate.labels.copy()
    labels[labels == b] = a
    return first_appearance(labels)


def _spectral_rows(E: Matrix) -> Matrix | None:
    """Rows of the eigenvectors above the edge of the noise, scaled; None where there are none."""
    n = len(E)
    if n <= FULL_SPECTRUM:
        values, vectors = np.linalg.eigh(E)
    else:
        values, vectors = top_eigenpairs(E, min(n - 1, LEADING), np.random.default_rng(0))
    rest = float(np.vdot(E, E))
    kept = np.zeros(len(values), dtype=bool)
    for _ in range(10):
        edge = 2.0 * np.sqrt(max(rest - float(np.sum(values[kept] ** 2)), 0.0) / n)
        above = np.abs(values) > 1.02 * edge
        if (above == kept).all():
            break
        kept |= above
    if not kept.any():
        kept[np.argsort(-np.abs(values))[:2]] = True
    return np.asarray(vectors[:, kept] * np.abs(values[kept]))
