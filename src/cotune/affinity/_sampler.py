"""Draw partitions from their posterior given runs: what is known of the groups, and what is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from cotune.affinity._entries import Array, Entries, Labels
from cotune.affinity._group_likelihood import EFFECTS, NOISES, effect_posterior, noise_posterior
from cotune.affinity._partition_prior import PartitionPrior
from cotune.affinity._placements import Companies, Weighted, placements, sums_of


class PartitionSampler:
    """Blocked Gibbs sampler of the model of :class:`GroupEvidence`, in several chains at once.

    Given the number of groups K and their weights, tasks that share no run and no fellow are independent:
    they are drawn at the same time, in all chains (Ishwaran and James, 2001). Given a partition, K is drawn
    from its posterior and the weights are Dirichlet, so that K is as free as in the prior (the telescoping
    sampler of Fruehwirth-Schnatter, Malsiner-Walli and Gruen, 2021).

    Parameters
    ----------
    weightings : sequence of Entries
        The runs: once for all chains, or weighted otherwise in each.
    typical : ndarray of shape (n,)
        What the noise of a task is a share of.
    labels : ndarray of shape (c, n)
        Groups to start each chain from, numbered from 0.
    tasks : ndarray of shape (t,)
        The tasks whose group is drawn; the others stay.
    rng : numpy.random.Generator
        For the draws.
    prior : PartitionPrior
        Of the groups.
    """

    def __init__(
        self,
        weightings: Sequence[Entries],
        typical: Array,
        labels: Labels,
        tasks: Labels,
        rng: np.random.Generator,
        *,
        prior: PartitionPrior,
    ) -> None:
        entries = weightings[0]
        self._tasks, self._rng, self._prior = tasks, rng, prior
        self._data, self._typical = Weighted.of(weightings), np.r_[typical, 1.0]
        companies = Companies(entries)
        self._blocks = [companies.of(block) for block in independent(entries, tasks)]
        self._row = np.zeros(entries.n_tasks, dtype=np.intp)
        self._row[tasks] = np.arange(len(tasks))
        self._labels = np.pad(labels, ((0, 0), (0, 1)))
        self._count_groups()
        self._sums = sums_of(self._data, entries, companies, self._labels)
        middle = len(NOISES) // 2, int(np.abs(np.log(EFFECTS / 4.0)).argmin())
        self._share, self._effect = (np.full(len(labels), at) for at in middle)
        self._draw_parameters()

    @property
    def labels(self) -> Labels:
        """The partitions the chains are at, shape (c, n)."""
        return self._labels[:, :-1]

    def sweep(self, together: Array | None = None) -> None:
        """Draw the group of every task once, in random order, and then the parameters.

        Parameters
        ----------
        together : ndarray of shape (t, n), optional
            The probabilities that task and others share a group, mean over chains, are added to it.
        """
        for block in self._rng.permutation(len(self._blocks)):
            self._redraw(block, together)
        self._count_groups()
        self._draw_parameters()

    def _count_groups(self) -> None:
        """Renumber the groups of each chain without gaps, and draw how many there are with empty ones."""
        labels = self._labels[:, :-1]
        c, k = len(labels), int(labels.max()) + 1
        chain = np.arange(c)[:, None]
        used = np.zeros((c, k), dtype=bool)
        used[chain, labels] = True
        labels[:] = np.take_along_axis(used.cumsum(1) - 1, labels, 1)
        count = choose(self._prior.number_given(used.sum(1)), self._rng) + 1
        self._k = int(count.max())
        self._labels[:, -1] = self._k
        at = chain * self._k + labels
        size = np.bincount(at.ravel(), minlength=c * self._k).reshape(c, self._k)
        self._shape = np.where(np.arange(self._k) < count[:, None], size + self._prior.evenness, 0.0)

    def _draw_parameters(self) -> None:
        d, rng = self._data, self._rng
        told = (self._sums, d.count, d.square)
        noise = NOISES[self._share][:, None] * self._typical
        self._effect = choose(effect_posterior(*told, noise), rng)
        self._share = choose(noise_posterior(*told, self._typical, EFFECTS[self._effect]), rng)
        self._noise, self._beta = NOISES[self._share][:, None] * self._typical, EFFECTS[self._effect]

    def _redraw(self, block: int, together: Array | None) -> None:
        """Draw the groups of some tasks given those of all others and the weights of the groups."""
        hood, labels, k = self._blocks[block], self._labels, self._k
        found = placements(self._data, hood, labels, k, self._sums, self._noise, self._beta)
        with np.errstate(divide="ignore"):
            value = found.value[..., :k] + np.log(self._rng.standard_gamma(self._shape))[:, None, :]
        probability = np.exp(value - value.max(-1, keepdims=True))
        total = probability.cumsum(-1)
        group = (total <= self._rng.random(total.shape[:-1])[..., None] * total[..., -1:]).sum(-1)
        if together is not None:
            probability /= total[..., -1:]
            at = labels[:, None, :-1]
            together[self._row[hood.tasks]] += np.take_along_axis(probability, at, 2).mean(0)
        own = np.take_along_axis(found.own, group[None, ..., None], 3)[..., 0]
        chain = np.arange(len(labels))[:, None]
        np.subtract.at(self._shape, (chain, labels[:, hood.tasks]), 1.0)
        np.add.at(self._shape, (chain, group), 1.0)
        labels[:, hood.tasks] = group
        inside = labels[:, hood.fellow] == group[:, hood.owner]
        self._sums[:, :, hood.tasks] = own
        self._sums[:, :, hood.fellow] = found.without + found.effects * inside


def choose(log_weight: Array, rng: np.random.Generator) -> Labels:
    """Draw one of the last axis's entries for each of the others."""
    total = np.exp(log_weight - log_weight.max(-1, keepdims=True)).cumsum(-1)
    return np.asarray((total <= rng.random(total.shape[:-1])[..., None] * total[..., -1:]).sum(-1))


def independent(entries: Entries, tasks: Labels) -> list[Labels]:
    """Part tasks into sets of which no two share a run or a fellow, greedily, the most connected first."""
    ones = np.ones(len(entries.run), dtype=np.int32)
    member = sparse.csr_matrix((ones, (entries.run, entries.task)), shape=(entries.n_runs, entries.n_tasks))
    met = (member.T @ member).tocsr()[tasks]
    met.data[:] = 1
    conflict = (met @ met.T).tocsr()
    colour = np.full(len(tasks), -1)
    for row in np.argsort(-np.diff(conflict.indptr), kind="stable"):
        others = colour[conflict.indices[conflict.indptr[row] : conflict.indptr[row + 1]]]
        taken = np.zeros(len(others) + 2, dtype=bool)
        taken[np.minimum(others[others >= 0], len(others))] = True
        colour[row] = int(taken.argmin())
    return [tasks[colour == number] for number in range(int(colour.max()) + 1)]
