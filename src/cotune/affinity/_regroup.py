"""Cluster affinities for several k and keep the partition that explains the runs best."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.affinity.evidence import GroupEvidence
from cotune.affinity.linear_surrogate import LinearSurrogate

Labels = NDArray[np.intp]
Matrix = NDArray[np.float64]

_PATIENCE = 2
"""Proposals in a row that explain the runs less well after which no larger number of groups is tried."""
_POLISHED = 3
"""The best so many proposals are improved by single moves."""


class Propose(Protocol):
    """A clustering: affinities and the groups so far in, partitions out, the next larger k on demand."""

    def __call__(self, matrix: Matrix, labels: Labels, k_min: int, k_max: int) -> Iterable[ArrayLike]:
        """Yield partitions into k_min, k_min + 1, ... up to k_max groups.

        Parameters
        ----------
        matrix : ndarray of shape (n, n)
            Task affinities without missing entries, row i in units of the noise of task i's runs.
        labels : ndarray of shape (n,)
            Groups to start from, numbered from 0.
        k_min, k_max : int
            Numbers of groups to try.
        """
        ...


def regroup(
    member: NDArray[np.bool_], scores: Matrix, labels: Labels, k_min: int, k_max: int, propose: Propose
) -> Labels:
    """Return the partition with the largest evidence among the proposals, the current one, and their moves.

    Parameters
    ----------
    member, scores : ndarrays of shape (m, n)
        The runs.
    labels : ndarray of shape (n,)
        The current groups.
    k_min, k_max : int
        Numbers of groups to try.
    propose : callable
        The clustering.
    """
    evidence = GroupEvidence(member, scores, k_max=k_max)

    def value(candidate: Labels) -> float:
        return evidence.fit(candidate).log_evidence(candidate)

    ranked = [(value(labels), labels)]
    worse = 0
    for proposal in propose(affinities(member, scores), labels, k_min, k_max):
        candidate = np.asarray(proposal, dtype=np.intp)
        found = value(candidate)
        worse = worse + 1 if found < max(best for best, _ in ranked) else 0
        ranked.append((found, candidate))
        if worse >= _PATIENCE:
            break
    ranked.sort(key=lambda entry: -entry[0])
    return max((polished(evidence, candidate) for _, candidate in ranked[:_POLISHED]), key=value)


def polished(evidence: GroupEvidence, labels: Labels, tasks: Labels | None = None) -> Labels:
    """Improve a partition by moves and unions, under the effect and noise it itself suggests."""
    for _ in range(2):
        labels = evidence.fit(labels).improve(labels, tasks)
        labels = evidence.merge(labels)
    return labels


def affinities(member: NDArray[np.bool_], scores: Matrix) -> Matrix:
    """Theta of the linear surrogate over the noise of each row's runs, 0 for pairs that never met."""
    seen = np.flatnonzero(member.any(0))
    surrogate = LinearSurrogate().fit(member[:, seen], scores[:, seen])
    theta = np.nan_to_num(surrogate.theta_.matrix)
    known = surrogate.noise_ > 0
    theta[known] /= surrogate.noise_[known, None]
    matrix = np.zeros((member.shape[1], member.shape[1]))
    matrix[np.ix_(seen, seen)] = theta
    np.fill_diagonal(matrix, 0.0)
    return matrix
