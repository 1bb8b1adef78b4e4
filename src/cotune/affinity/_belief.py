"""What runs say about who belongs with whom: the posterior of partitions, and the one partition to report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cotune.affinity._entries import Array, Labels
from cotune.affinity._sampler import PartitionSampler
from cotune.affinity.evidence import GroupEvidence, renumbered

_KEPT = 2
"""Sweeps whose probabilities are averaged."""
_PASSES = 20
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Belief:
    """Groups of some tasks, those of all others being given.

    Parameters
    ----------
    tasks : ndarray of shape (t,)
        The tasks in question, ascending.
    together : ndarray of shape (t, n)
        Probability that each of them shares a group with every task; 0 with itself.
    draws : ndarray of shape (c, n)
        Partitions from the posterior.
    """

    tasks: Labels
    together: Array
    draws: Labels

    def consensus(self, starts: Iterable[Labels]) -> Labels:
        """Return the partition that agrees best with the posterior, pair by pair (Binder, 1978).

        It maximises the sum over pairs within groups of P(together) - 1/2: with less evidence groups become
        smaller, not larger. The best of the draws and starts is improved by single moves.
        """
        value = self.together - 0.5
        value[np.arange(len(self.tasks)), self.tasks] = 0.0
        once = np.ones(value.shape[1])
        once[self.tasks] = 0.5  # such pairs are in two rows

        def agreement(labels: Labels) -> float:
            return float((np.where(labels[self.tasks][:, None] == labels, value, 0.0) @ once).sum())

        labels = max([*starts, *self.draws], key=agreement).copy()
        for _ in range(_PASSES):
            before = labels.copy()
            for row, task in zip(value, self.tasks, strict=True):
                k = int(labels.max()) + 1
                gain = np.bincount(labels, row, k + 1)
                best = int(gain.argmax())
                if gain[best] > gain[labels[task]] + _TOLERANCE:
                    labels[task] = best
            if (labels == before).all():
                break
        return renumbered(labels)

    def confidence(self, labels: Labels) -> Array:
        """Return how surely each task is in its group and in no other, shape (t,).

        The mean probability of sharing a group with the others of its own, or that of sharing none with the
        others of the next likely group, whichever is less: two halves of a group are not sure, however sure
        they are each for itself. For a task alone, what is left of the probabilities of all groups.
        """
        indicator = np.eye(int(labels.max()) + 1)[labels]
        size = indicator.sum(0)
        own = labels[self.tasks]
        at = np.arange(len(own)), own
        mean = self.together @ indicator / size
        mine = mean[at] * size[own] / np.maximum(size[own] - 1.0, 1.0)
        mean[at] = 0.0
        alone = np.maximum(1.0 - mean.sum(1), 0.0)
        return np.asarray(np.where(size[own] > 1, np.minimum(mine, 1.0 - mean.max(1)), alone))


def renewed(evidence: GroupEvidence, draws: Labels) -> Labels:
    """Return partitions with the worst quarter replaced by copies of the best, judged by their evidence.

    Chains that go on from round to round get stuck: two halves of a group do not join by moves of single
    tasks. A stuck chain of twenty makes a pair that all others are sure of look as unknown as one that never
    met, and subsets are spent on it. Copies part again as their tasks are drawn.

    Parameters
    ----------
    evidence : GroupEvidence
        The runs.
    draws : ndarray of shape (c, n)
        Where the chains are.
    """
    partitions = [renumbered(draw) for draw in draws]
    value = np.array([evidence.fit(labels).log_evidence(labels) for labels in partitions])
    ranked, some = np.argsort(value, kind="stable"), len(draws) // 4
    result = draws.copy()
    result[ranked[:some]] = draws[ranked[::-1][:some]]
    return result


def believe(
    evidence: GroupEvidence,
    starts: Labels,
    tasks: Labels,
    rng: np.random.Generator,
    *,
    sweeps: int,
    resample: bool,
) -> Belief:
    """Sample the posterior of the groups of some tasks.

    Parameters
    ----------
    evidence : GroupEvidence
        The runs.
    starts : ndarray of shape (c, n)
        Partitions to start c chains from, groups numbered from 0. Too many groups are left soon, and too
        few hardly ever: at random is better than all together.
    tasks : ndarray of shape (t,)
        The tasks in question, ascending.
    rng : numpy.random.Generator
        For the draws.
    sweeps : int
        How often every task is drawn before its probabilities are noted.
    resample : bool
        Whether every chain sees a bootstrap resample of its own of the runs (the bagged posterior of
        Huggins and Miller, 2023). It makes up for what the model does not know, such as that two tasks may
        suit each other without being of one group, which the posterior of all runs takes for a fact.
    """
    entries = evidence.entries
    weightings = [entries]
    if resample:
        chosen = rng.integers(0, entries.n_runs, (len(starts), entries.n_runs))
        weights = (np.bincount(row, minlength=entries.n_runs).astype(float) for row in chosen)
        weightings = [entries.resampled(weight) for weight in weights]
    sampler = PartitionSampler(weightings, evidence.typical, starts, tasks, rng, prior=evidence.prior)
    for _ in range(sweeps):
        sampler.sweep()
    together = np.zeros((len(tasks), starts.shape[1]))
    for _ in range(_KEPT):
        sampler.sweep(together)
    together /= _KEPT
    together[np.arange(len(tasks)), tasks] = 0.0
    together[:, tasks] = (together[:, tasks] + together[:, tasks].T) / 2.0
    return Belief(tasks, together, sampler.labels.copy())
