"""How sure the groups are: cluster again over bootstrap resamples of the runs behind the affinities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.grouping._partition import Labels, Matrix, first_appearance


class Grouper(Protocol):
    """Anything with the interface of :class:`SDPClustering`."""

    labels_: Labels

    def fit(self, X: ArrayLike, /) -> object:
        """Group the tasks of an affinity matrix."""
        ...


@dataclass(frozen=True, slots=True)
class Stability(Brief):
    """Agreement of the groups over resamples.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        The groups whose stability it is.
    co_assignment : ndarray of shape (n, n)
        Share of the resamples in which two tasks share a group.
    confidence : ndarray of shape (n,)
        Share of the resamples in which a task falls into its own group, groups being matched one to one so
        that as many tasks as possible agree.
    n_clusters : ndarray of shape (n_resamples,)
        Number of groups in every resample.
    skipped : int
        Resamples without groups, because some pair had no run left.
    """

    labels: Labels
    co_assignment: Matrix
    confidence: Matrix
    n_clusters: Labels
    skipped: int


def bootstrap(
    estimate: Callable[[Labels], ArrayLike],
    n_runs: int,
    grouper: Grouper,
    *,
    n_resamples: int = 100,
    random_state: int = 0,
    reference: ArrayLike | None = None,
) -> Stability:
    """Group again and again on resampled runs.

    Parameters
    ----------
    estimate : callable
        From the indices of runs, shape (n_runs,), with repetition, to the affinity matrix, shape (n, n), that
        these runs give. Preparation belongs in here; a resample for which it raises InputError (a pair of
        tasks left without any run, say) is skipped and counted.
    n_runs : int
        Number of runs to resample from, with replacement.
    grouper : estimator
        Fitted anew on every resample, such as ``SDPClustering()``; left fitted on the last one.
    n_resamples : int
        Number of resamples.
    random_state : int
        Seed of the resampling.
    reference : array-like of shape (n,), optional
        The groups to compare with; by default those of the grouper on all runs.

    Returns
    -------
    Stability
        Frequencies and per-task confidence.

    Raises
    ------
    InputError
        If ``n_runs`` or ``n_resamples`` is below 1, or more than half of the resamples were skipped.
    """
    for name, value in (("n_runs", n_runs), ("n_resamples", n_resamples)):
        if value < 1:
            raise InputError(
                f"The '{name}' parameter of bootstrap must be at least 1, got {value!r} instead."
            )
    if reference is None:
        grouper.fit(estimate(np.arange(n_runs, dtype=np.intp)))
        reference = grouper.labels_
    found = first_appearance(reference)
    rng = np.random.default_rng(random_state)
    together = np.zeros((len(found), len(found)))
    agree = np.zeros(len(found))
    counts: list[int] = []
    skipped = 0
    for _ in range(n_resamples):
        try:
            grouper.fit(estimate(rng.integers(0, n_runs, n_runs)))
        except InputError:
            skipped += 1
            continue
        labels = np.asarray(grouper.labels_)
        together += labels[:, None] == labels[None, :]
        agree += matched(labels, found) == found
        counts.append(int(labels.max()) + 1)
    size = len(counts)
    if skipped > size:
        raise InputError(
            f"{skipped} of {skipped + size} resamples of {n_runs} runs had no affinity matrix; run more "
            f"subsets, or complete missing pairs while estimating."
        )
    return Stability(found, together / size, agree / size, np.array(counts, dtype=np.intp), skipped)


def matched(labels: Labels, reference: Labels) -> Labels:
    """Rename groups one to one so that as many tasks as possible carry their reference name.

    Parameters
    ----------
    labels, reference : ndarrays of shape (n,)
        Groups numbered from 0.

    Returns
    -------
    ndarray of shape (n,)
        ``labels`` renamed; groups without a partner get names that the reference does not use.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import

    size = int(max(labels.max(), reference.max())) + 1
    overlap = np.zeros((size, size))
    np.add.at(overlap, (labels, reference), 1)
    names = np.empty(size, dtype=np.intp)
    rows, columns = linear_sum_assignment(-overlap)
    names[rows] = columns
    return names[labels]
