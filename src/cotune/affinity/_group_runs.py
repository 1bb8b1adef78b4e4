"""Group tasks by runs on any subsets: the rule of adaptive grouping, for runs that it did not choose."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cotune.affinity._belief import believe
from cotune.affinity._entries import Array, Labels
from cotune.affinity._regroup import Propose, regroup
from cotune.affinity._runs import check_runs
from cotune.affinity.evidence import GroupEvidence, most_groups
from cotune.exceptions import InputError

_SWEEPS = 40
"""Draws of every task's group before its probabilities are noted."""


def group_runs(
    membership: ArrayLike,
    scores: ArrayLike,
    propose: Propose,
    *,
    k_max: int | None = None,
    n_resamples: int = 20,
    seed: int = 0,
) -> tuple[Labels, Array]:
    """Cluster by theta, choose k by the evidence, and return the groups the resampled runs agree on.

    It needs fewer runs than clustering their averages (Eq. 6) when most pairs have met once or never.

    Parameters
    ----------
    membership : array_like of bool, shape (m, n)
        Whether task i was trained in run r.
    scores : array_like of shape (m, n)
        ``f_i(S_r)``, higher is better; ignored where the task was not in the run.
    propose : callable
        Clustering, see :class:`Propose`.
    k_max : int, optional
        Most groups to try; by default max(10, 1.5 sqrt(n)).
    n_resamples : int
        Bootstrap resamples of the runs.
    seed : int
        Of the resamples.

    Returns
    -------
    labels : ndarray of shape (n,)
        The group of every task, numbered from 0.
    confidence : ndarray of shape (n,)
        Probability that the task shares a group with the others of its own and with no others.

    Raises
    ------
    InputError
        If the scores do not fit the membership, or no run holds two tasks.
    """
    inside, f = check_runs(membership, scores)
    if not (inside.sum(1) > 1).any():
        raise InputError("Groups are told by runs of two tasks or more, and there are none.")
    everyone = np.arange(inside.shape[1])
    most = min(most_groups(len(everyone)) if k_max is None else k_max, len(everyone))
    labels = regroup(inside, f, np.zeros(len(everyone), dtype=np.intp), min(2, most), most, propose)
    evidence = GroupEvidence(inside, f, k_max=most)
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, most, (n_resamples, len(everyone)))
    belief = believe(evidence, starts, everyone, rng, sweeps=_SWEEPS, resample=True)
    labels = belief.consensus([labels])
    return labels, belief.confidence(labels)
