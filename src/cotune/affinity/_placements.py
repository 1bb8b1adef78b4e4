"""Log-likelihoods of single tasks in each group, for many partitions at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from cotune.affinity._entries import Array, Entries, Labels
from cotune.affinity._group_likelihood import log_likelihood


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Where some tasks stand: their entries, the company in these runs, and whom of it they met.

    Parameters
    ----------
    tasks : ndarray of shape (t,)
        The tasks.
    at : ndarray of shape (e,)
        Whose entry, by position in ``tasks``.
    entry : ndarray of shape (e,)
        Their entries.
    company, theirs : ndarrays of shape (e, f)
        The others in the run and their entries; filled up with the number of tasks, and of entries.
    pair : ndarray of shape (e, f)
        Which pair of task and fellow they are.
    owner, fellow : ndarrays of shape (p,)
        The pairs: position in ``tasks``, and task.
    """

    tasks: Labels
    at: Labels
    entry: Labels
    company: Labels
    theirs: Labels
    pair: Labels
    owner: Labels
    fellow: Labels


class Companies:
    """Who was with whom in which run.

    Parameters
    ----------
    entries : Entries
        The runs.
    """

    def __init__(self, entries: Entries) -> None:
        e, count = entries, len(entries.run)
        self._n = e.n_tasks
        begin = np.searchsorted(e.run, np.arange(e.n_runs + 1))
        size = np.diff(begin)
        place = np.arange(count) - begin[e.run]
        offset = np.arange(max(int(size.max(initial=0)) - 1, 0))
        other = begin[e.run][:, None] + offset + (offset >= place[:, None])
        self.theirs = np.where(offset < (size[e.run] - 1)[:, None], other, count)
        self.company = np.r_[e.task, e.n_tasks][self.theirs]
        self._by_task = np.argsort(e.task, kind="stable")
        self._begin = np.searchsorted(e.task[self._by_task], np.arange(e.n_tasks + 1))

    def of(self, tasks: Labels) -> Neighbourhood:
        """Return where these tasks stand."""
        spans = [self._by_task[self._begin[task] : self._begin[task + 1]] for task in tasks]
        entry = np.concatenate([*spans, np.zeros(0, dtype=np.intp)])
        at = np.repeat(np.arange(len(tasks)), [len(span) for span in spans])
        company = self.company[entry]
        pairs, pair = np.unique(at[:, None] * (self._n + 1) + company, return_inverse=True)
        owner, fellow = np.divmod(pairs, self._n + 1)
        return Neighbourhood(
            tasks, at, entry, company, self.theirs[entry], pair.reshape(company.shape), owner, fellow
        )


@dataclass(frozen=True, eq=False)
class Weighted:
    """The scores of runs under c weightings of the runs; the last column stands for nobody.

    Parameters
    ----------
    rate : ndarray of shape (c, e + 1)
        Weight of an entry's run by its pace.
    y : ndarray of shape (c, e + 1)
        Scores less the task's weighted mean.
    pace : ndarray of shape (e + 1,)
        Of the run.
    count, square : ndarrays of shape (c, n + 1)
        Weighted number of scores of a task and sum of y^2.
    """

    rate: Array
    y: Array
    pace: Array
    count: Array
    square: Array

    @classmethod
    def of(cls, weightings: Sequence[Entries]) -> Self:
        """Take the same runs counted in these ways."""

        def table(rows: list[Array]) -> Array:
            return np.pad(np.stack(rows), ((0, 0), (0, 1)))

        pace = weightings[0].pace[weightings[0].run]
        return cls(
            table([e.weight[e.run] * pace for e in weightings]),
            table([e.y for e in weightings]),
            np.r_[pace, 0.0],
            table([e.count for e in weightings]),
            table([e.square for e in weightings]),
        )


@dataclass(frozen=True, eq=False)
class Placements:
    """What placing some tasks would do in c partitions, the tasks themselves being taken out of them.

    Parameters
    ----------
    own : ndarray of shape (3, c, t, k + 1)
        Sums over the runs of each task in each group; in the last, it is alone.
    without, effects : ndarrays of shape (3, c, p)
        Sums of the fellows without the task, and what it adds to them when it is in their group.
    value : ndarray of shape (c, t, k + 1)
        Log-likelihood, up to a constant of each task.
    """

    own: Array
    without: Array
    effects: Array
    value: Array


def placements(
    data: Weighted, hood: Neighbourhood, labels: Labels, k: int, sums: Array, noise: Array, effect: Array
) -> Placements:
    """Return log-likelihoods of all groups for some tasks.

    Parameters
    ----------
    data : Weighted
        The scores, under c weightings or one.
    hood : Neighbourhood
        The tasks.
    labels : ndarray of shape (c, n + 1)
        Partitions, groups numbered from 0 to k - 1, and k in the last column.
    k : int
        Groups there may be.
    sums : ndarray of shape (3, c, n + 1)
        Sums of x, x^2 and x y over each task's runs, in these partitions.
    noise : ndarray of shape (c, n + 1)
        s.
    effect : ndarray of shape (c,)
        beta.
    """
    c, t, p = len(labels), len(hood.tasks), len(hood.fellow)
    group = labels[:, hood.company]
    alike = (group[..., None] == group[:, :, None, :]).sum(-1)
    rate = data.rate[:, hood.entry, None]
    squared = rate * data.pace[hood.entry, None]
    chain = np.arange(c)[:, None]
    scored = rate * data.y[:, hood.entry, None]
    own = _add(
        ((chain * t + hood.at) * (k + 1))[..., None] + group, (rate, squared * alike, scored), (c, t, k + 1)
    )
    own[..., k] = 0.0
    theirs = rate * data.y[:, hood.theirs]
    changes = (rate, squared * (2 * alike - 1), theirs)
    effects = _add((chain * p)[..., None] + hood.pair, changes, (c, p))

    fellows = labels[:, hood.fellow]
    inside = fellows == labels[:, hood.tasks[hood.owner]]
    without = sums[:, :, hood.fellow] - effects * inside
    both = np.stack([without, without + effects], axis=1)
    count, square, s = (v[:, hood.fellow] for v in (data.count, data.square, noise))
    change = log_likelihood(both, count, square, s, effect[:, None])
    cell = (chain * t + hood.owner) * (k + 1) + fellows
    (gain,) = _add(cell, (change[1] - change[0],), (c, t, k + 1))
    gain[..., k] = 0.0
    count, square, s = (v[:, hood.tasks, None] for v in (data.count, data.square, noise))
    value = gain + log_likelihood(own, count, square, s, effect[:, None, None])
    return Placements(own, without, effects, value)


def sums_of(data: Weighted, entries: Entries, companies: Companies, labels: Labels) -> Array:
    """Return the sums of x, x^2 and x y over each task's runs, shape (3, c, n + 1), in c partitions."""
    c, n = len(labels), entries.n_tasks
    same = labels[:, companies.company] == labels[:, entries.task, None]
    together = same.sum(-1)
    rate, y = data.rate[:, :-1], data.y[:, :-1]
    values = (rate * together, rate * data.pace[:-1] * together**2, rate * y * together)
    return _add(np.arange(c)[:, None] * (n + 1) + entries.task, values, (c, n + 1))


def _add(cell: Labels, values: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """Add values in the cells of arrays of some shape, one array for each of the values."""
    at, size = cell.ravel(), int(np.prod(shape))
    found = [np.bincount(at, np.broadcast_to(v, cell.shape).ravel(), size).reshape(shape) for v in values]
    return np.stack(found).astype(float, copy=False)
