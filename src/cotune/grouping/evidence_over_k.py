"""The best partition into every number of groups: merge trees and dense partitions, climbed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

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

LEAST_PAIRS = 1e-5
"""Pairs of groups have means of their own where these vary more, in units of the noise."""

NEIGHBOURS = 2
"""So many k above and below the best one are searched too."""


class Search:
    """The best partition known for every k, from starts of many kinds.

    Parameters
    ----------
    data : Observations
        The affinities.
    k_max : int
        Most groups.
    progress : callable, optional
        Called with a number of groups and a partition.
    """

    def __init__(
        self,
        data: Observations,
        k_max: int,
        progress: Callable[[int, Labels], object] | None,
    ) -> None:
        self.data, self.k_max, self.progress = data, k_max, progress
        one = np.zeros(data.n, dtype=np.intp)
        self.single = fit_model(data, one, 1, pairs=False)
        self.best: dict[int, Candidate] = {1: Candidate(one, 1, self.single)}

    def keep(self, candidate: Candidate) -> None:
        """Note a partition if it is the best into as many groups."""
        known = self.best.get(candidate.k)
        if known is None or candidate.cost < known.cost - 1e-9 * abs(known.cost):
            self.best[candidate.k] = candidate
        if self.progress is not None:
            self.progress(candidate.k, candidate.labels)

    def leader(self) -> Candidate:
        """Return the partition of largest evidence."""
        return min(self.best.values(), key=lambda candidate: (candidate.cost, candidate.k))

    def run(self) -> None:
        """Climb from the best starts, then look at the numbers of groups beside the best."""
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
        from scipy.cluster.hierarchy import linkage  # slow to import
        from scipy.spatial.distance import squareform

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
    from scipy.cluster.hierarchy import fcluster  # slow to import

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
