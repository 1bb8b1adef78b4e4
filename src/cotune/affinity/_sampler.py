"""Draw partitions from their posterior given runs: what is known of the groups, and what is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cotune.affinity._entries import Array, Entries, Labels
from cotune.affinity._group_likelihood import (
    EFFECTS,
    NOISES,
    grid_posterior,
    log_likelihood,
)

_ROOM = 4
"""Columns kept for groups that do not exist yet."""


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a task stands: its runs and entries, and the entries of the others in these runs, by task."""

    runs: Labels
    entries: Labels
    fellow_entries: Labels
    fellows: Labels
    begins: Labels


class PartitionSampler:
    """Gibbs sampler of the model of :class:`GroupEvidence`: groups, effect and noise.

    Parameters
    ----------
    entries : Entries
        The runs.
    typical : ndarray of shape (n,)
        What the noise of a task is a share of.
    labels : ndarray of shape (n,)
        Groups to start from, numbered from 0.
    tasks : ndarray of shape (t,)
        The tasks whose group is drawn; the others stay.
    rng : numpy.random.Generator
        For the draws.
    concentration : float
        alpha of the prior of partitions.
    """

    def __init__(
        self,
        entries: Entries,
        typical: Array,
        labels: Labels,
        tasks: Labels,
        rng: np.random.Generator,
        *,
        concentration: float,
    ) -> None:
        self.labels, self._tasks, self._typical, self._rng = labels.copy(), tasks, typical, rng
        self._concentration = concentration
        self._size = np.bincount(labels, minlength=int(labels.max()) + 1 + _ROOM).astype(float)
        self._in_group = np.zeros((entries.n_runs, len(self._size)))
        np.add.at(self._in_group, (entries.run, labels[entries.task]), 1.0)
        self.recount(entries)
        self._places = _places(entries, tasks)

    def recount(self, entries: Entries) -> None:
        """Take the same runs with other weights."""
        e = self._entries = entries
        self._weight, self._pace = e.weight[e.run], e.pace[e.run]
        self._sums = e.sums((self._in_group[e.run, self.labels[e.task]] - 1.0) * self._pace)
        self._draw_parameters()

    def sweep(self, together: Array | None = None) -> None:
        """Draw the group of every task once, in random order, and then the parameters.

        Parameters
        ----------
        together : ndarray of shape (t, n), optional
            The probabilities that task and others share a group are added to it.
        """
        for position in self._rng.permutation(len(self._tasks)):
            probability = self._redraw(int(self._tasks[position]), self._places[position])
            if together is not None:
                together[position] += probability[self.labels]
        self._draw_parameters()

    def _draw_parameters(self) -> None:
        e = self._entries
        value = grid_posterior(self._sums, e.count, e.square, self._typical)
        share, effect = np.unravel_index(self._choose(value.ravel()), value.shape)
        self._effect, self._noise = float(EFFECTS[effect]), NOISES[share] * self._typical

    def _choose(self, log_weight: Array) -> int:
        total = np.cumsum(np.exp(log_weight - log_weight.max()))
        return int(np.searchsorted(total, self._rng.random() * total[-1], side="right"))

    def _redraw(self, task: int, place: _Place) -> Array:
        """Draw the group of one task given those of all others, and return its probabilities."""
        e = self._entries
        effects = self._take_out(task, place)
        share = self._in_group[place.runs] * e.pace[place.runs, None]
        weight, y = e.weight[place.runs], e.y[place.entries]
        own = np.stack([weight @ share, weight @ (share * share), (weight * y) @ share])
        value = self._prior() + self._gains_of_fellows(place, effects)
        value += log_likelihood(own, e.count[task], e.square[task], self._noise[task], self._effect)
        group = self._choose(value)
        probability = np.exp(value - value.max())
        self._put_in(task, group, place, own[:, group], effects)
        return np.asarray(probability / probability.sum())

    def _take_out(self, task: int, place: _Place) -> Array:
        """Take a task out of its group; return what it adds to the sums of its fellows in theirs."""
        group = self.labels[task]
        self._in_group[place.runs, group] -= 1.0
        self._size[group] -= 1.0
        at = place.fellow_entries
        e, pace = self._entries, self._pace[at]
        share = (self._in_group[e.run[at], self.labels[e.task[at]]] - 1.0) * pace
        change = self._weight[at] * np.stack([pace, (2.0 * share + pace) * pace, pace * e.y[at]])
        effects = np.add.reduceat(change, place.begins, axis=1) if len(at) else change
        self._sums[:, place.fellows] -= effects * (self.labels[place.fellows] == group)
        return np.asarray(effects)

    def _put_in(self, task: int, group: int, place: _Place, own: Array, effects: Array) -> None:
        self.labels[task] = group
        self._sums[:, task] = own
        self._sums[:, place.fellows] += effects * (self.labels[place.fellows] == group)
        self._in_group[place.runs, group] += 1.0
        self._size[group] += 1.0
        if self._size.min() > 0:
            self._size = np.pad(self._size, (0, _ROOM))
            self._in_group = np.pad(self._in_group, ((0, 0), (0, _ROOM)))

    def _prior(self) -> Array:
        """Log-weight of each group for the next task: of those there are, and of one that is empty."""
        weight = self._size.copy()
        weight[int(weight.argmin())] = self._concentration
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(weight))

    def _gains_of_fellows(self, place: _Place, effects: Array) -> Array:
        """Gain of each group's log-likelihood from holding the task, shape (groups,)."""
        e, them = self._entries, place.fellows
        without = self._sums[:, them]
        both = np.stack([without, without + effects], axis=1)
        value = log_likelihood(both, e.count[them], e.square[them], self._noise[them], self._effect)
        gain = np.bincount(self.labels[them], value[1] - value[0], len(self._size))
        return np.asarray(gain, dtype=float)


def _places(entries: Entries, tasks: Labels) -> list[_Place]:
    by_task = np.argsort(entries.task, kind="stable")
    of_task = np.searchsorted(entries.task[by_task], np.arange(entries.n_tasks + 1))
    of_run = np.searchsorted(entries.run, np.arange(entries.n_runs + 1))
    places = []
    for task in tasks:
        own = by_task[of_task[task] : of_task[task + 1]]
        runs = entries.run[own]
        inside = [np.arange(of_run[run], of_run[run + 1]) for run in runs]
        fellows = np.concatenate(inside) if inside else np.zeros(0, dtype=np.intp)
        fellows = fellows[entries.task[fellows] != task]
        fellows = fellows[np.argsort(entries.task[fellows], kind="stable")]
        them, begins = np.unique(entries.task[fellows], return_index=True)
        places.append(_Place(runs, own, fellows, them, begins))
    return places
