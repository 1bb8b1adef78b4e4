"""Adaptive task grouping: Procedure 2 and Algorithm 3 of AdaGroup as a planner that is asked and told."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cotune.affinity._adaptive_design import SubsetDesign, open_per_subset
from cotune.affinity._affinity import Affinity
from cotune.affinity._belief import Belief, believe, renewed
from cotune.affinity._entries import Array, Labels
from cotune.affinity._higher_order import higher_order
from cotune.affinity._regroup import Propose, regroup
from cotune.affinity._runs import pair_counts
from cotune.affinity.evidence import GroupEvidence, most_groups
from cotune.exceptions import InputError

_BATCH, _STEPS = 100, 5
"""Fewest tasks a step unless told otherwise, as fewer take more runs, and how many steps more are put in."""
_MANY = 300
"""Of more tasks all that are unsure take part in a round, of fewer half: fewer runs, more rounds."""
_SURE = 0.9
"""Probability from which on a task's group is not asked about, until all are as sure."""
_FIRST_SWEEPS, _SWEEPS = 20, 4
"""Draws of every task's group before its probabilities are noted: of new tasks, and with new runs."""
_LEFT_OVER = 0.1
"""Share of a batch that may be left without a stable group when a step ends before the last."""
_ARRAYS = ("labels_", "confidence_", "_waiting", "_taken", "_open", "_settled", "_placing", "_draws")
_NUMBERS = ("n_runs_", "_groups_before", "_confirming")


class AdaptiveGrouping:
    """Group tasks with few runs: place a batch of tasks at a time among the groups found so far.

    Algorithm 3 takes b of the remaining tasks a step. Procedure 2 trains subsets that each hold tasks of
    one existing group and new ones; then the tasks are clustered again from the current groups, with k from
    their number to k_max. This planner trains nothing: :meth:`ask` for subsets, train them, :meth:`tell` the
    scores, until it is :attr:`finished`. The same seed and the same scores give the same questions, so a
    study that was killed resumes by telling stored scores again, or at once from :meth:`state_dict`.

    What it does beyond the paper, whose m = 5 b runs a step are a budget here and not a number:

    - Runs are judged one by one (:class:`GroupEvidence`), not by their averages over pairs, most of which are
      missing. Groups are those that agree best with draws from the posterior of partitions, by chains that
      start from random partitions and go on from round to round.
    - Subsets are not drawn blindly: a new task meets those of whose company least is known, from one group or
      new as well, so that the uncertainties of all their pairs together are largest. A task counts as new
      until its group has a probability of 0.9.
    - When all tasks of a step are as sure, the groups are tried on bootstrap resamples of the runs. Tasks
      that do not keep theirs with probability ``stability`` get more runs; the step ends when there are none,
      and the unused runs of the budget are saved. A task that has had its share of it is left unstable.
    - The matrix that is clustered at the end of a step, with k from the number of groups before it, holds the
      linear surrogate's theta in the place of Eq. (6): the company of a new task was chosen, and theta takes
      its effect out, where a mean does not. k is the one whose partition has the largest evidence, improved
      by single moves and unions; the value <T, X> of the paper grows with k.

    Parameters
    ----------
    n_tasks : int
        Number of tasks; more can be added later.
    propose : callable
        Clustering, see :class:`Propose`; the semidefinite program of Procedure 1 in a study.
    size : int
        Tasks in a subset, the paper's alpha (3, 5 or 10); a subset is smaller where a group and the new
        tasks together have not so many.
    batch : int, optional
        Tasks a step, the paper's b; by default a fifth of all, and at least 100: fewer at a time take more
        runs. The first step takes at least 2 ``k_max``, so that most groups have two tasks in it.
    runs_per_task : float
        Budget, the paper's m / b.
    k_max : int, optional
        Most groups to try; by default max(10, 1.5 sqrt(n)).
    stability : float
        Probability, over resamples of the runs, with which a stable task shares a group with the others of
        its own and with no others.
    n_resamples : int
        Bootstrap resamples, and draws from the posterior in each round.
    seed : int
        Of the order of the tasks, ties and resamples.

    Attributes
    ----------
    labels_ : ndarray of shape (n,)
        The group of every task, -1 for tasks not yet taken up.
    confidence_ : ndarray of shape (n,)
        Probability that the task shares a group with the others of its own and with no others; 0 for tasks
        not yet taken up.
    n_runs_ : int
        Runs asked for and told, failed ones included.

    Raises
    ------
    InputError
        If a parameter is out of range.
    """

    labels_: Labels
    confidence_: Array
    n_runs_: int

    def __init__(
        self,
        n_tasks: int,
        propose: Propose,
        *,
        size: int = 3,
        batch: int | None = None,
        runs_per_task: float = 5.0,
        k_max: int | None = None,
        stability: float = 0.8,
        n_resamples: int = 20,
        seed: int = 0,
    ) -> None:
        counts = {"batch": batch, "k_max": k_max, "n_resamples": n_resamples}
        _check(n_tasks, size, runs_per_task, stability, **counts)
        self._propose, self._size, self._k_max = propose, size, k_max
        self._batch = max(math.ceil(n_tasks / _STEPS), _BATCH) if batch is None else max(batch, size)
        self._runs_per_task, self._stability, self._resamples = runs_per_task, stability, n_resamples
        self._rng = np.random.default_rng(seed)
        self._waiting = np.zeros(0, dtype=np.intp)
        self._taken = np.zeros(0, dtype=np.intp)
        self._open = np.zeros(0, dtype=np.intp)
        self._settled = np.zeros(0, dtype=np.intp)
        self.labels_, self.confidence_, self.n_runs_ = np.zeros(0, dtype=np.intp), np.zeros(0), 0
        self._member, self._scores = np.zeros((0, 0), dtype=bool), np.zeros((0, 0))
        self._draws = np.zeros((n_resamples, 0), dtype=np.intp)
        self._asked: NDArray[np.bool_] | None = None
        self._belief: Belief | None = None
        self.add_tasks(n_tasks)

    def add_tasks(self, count: int) -> None:
        """Append tasks, also to a finished grouping; only subsets with at least one of them are trained then.

        Parameters
        ----------
        count : int
            How many; they are numbered on from the last. Their scores may appear in runs told from now on.

        Raises
        ------
        InputError
            If ``count`` is below 1, or subsets are out that have not been told.
        """
        if count < 1:
            raise InputError(f"The number of tasks to add must be at least 1, got {count}.")
        if self._asked is not None:
            raise InputError("Tasks can be added when the scores of all subsets asked for have been told.")
        was_finished = self.finished
        if was_finished:
            self._settled, self._open = self._taken, self._open[:0]
        n = len(self.labels_)
        self._waiting = np.r_[self._waiting, n + self._rng.permutation(count)]
        self.labels_ = np.r_[self.labels_, np.full(count, -1, dtype=np.intp)]
        self.confidence_ = np.r_[self.confidence_, np.zeros(count)]
        grow = ((0, 0), (0, count))
        self._member = np.pad(self._member, grow)
        self._scores = np.pad(self._scores, grow, constant_values=np.nan)
        if was_finished:
            self._next_step()

    @property
    def finished(self) -> bool:
        """Whether every task is in a stable group, or the budget is spent."""
        return not len(self._waiting) and (not len(self._open) or self._allowance() < 1)

    @property
    def saved_runs(self) -> int:
        """Runs of the budget for the tasks taken up that were not needed."""
        return max(self._allowance(), 0)

    @property
    def unstable(self) -> Labels:
        """Tasks whose group is not stable, ascending."""
        return np.flatnonzero((self.labels_ >= 0) & (self.confidence_ < self._stability))

    @property
    def open_tasks(self) -> Labels:
        """Tasks that the next subsets are about, ascending; every subset holds at least one."""
        return self._open.copy()

    @property
    def affinity(self) -> Affinity:
        """Higher-order affinity (Eq. 6) of all runs told; most pairs from different groups never met."""
        return higher_order(self._member, self._scores)

    def ask(self) -> NDArray[np.bool_]:
        """Return the subsets to train next.

        Returns
        -------
        ndarray of bool, shape (m, n)
            One a row; all may be trained at the same time. No rows when finished. Asking again before telling
            gives the same. A subset that was asked for before is to be trained with another seed.
        """
        if self._asked is None:
            rows = [] if self.finished else self._design()
            self._asked = np.zeros((len(rows), len(self.labels_)), dtype=bool)
            for row, subset in zip(self._asked, rows, strict=True):
                row[subset] = True
        asked = self._asked
        if not len(asked):
            self._asked = None
        return asked.copy()

    def tell(self, scores: ArrayLike) -> None:
        """Take the scores of the subsets last asked for.

        Parameters
        ----------
        scores : array_like of shape (m, n)
            ``f_i(S)`` for the subsets in order, higher is better, ignored outside of a subset. A row with NaN
            for a member is a failed run: it counts as a run and tells nothing.

        Raises
        ------
        InputError
            If nothing was asked for, or the shape does not fit.
        """
        f = np.asarray(scores, dtype=float)
        if self._asked is None:
            raise InputError("There is nothing to tell: ask for subsets first.")
        if f.shape != self._asked.shape:
            raise InputError(
                f"scores must have the shape of what was asked, {self._asked.shape}, got {f.shape}."
            )
        good = (np.isfinite(f) | ~self._asked).all(1)
        self._member = np.concatenate([self._member, self._asked[good]])
        self._scores = np.concatenate([self._scores, np.where(self._asked[good], f[good], np.nan)])
        self.n_runs_ += len(f)
        self._asked = None
        self._update()

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return all that the further questions depend on, but the constructor's arguments, as arrays.

        Raises
        ------
        InputError
            If subsets are out that have not been told.
        """
        if self._asked is not None:
            raise InputError("A state can be taken when the scores of all subsets asked for have been told.")
        run, task = np.nonzero(self._member)
        state = {name: getattr(self, name) for name in _ARRAYS}
        state |= {name: np.array(getattr(self, name)) for name in _NUMBERS}
        state |= {"run": run, "task": task, "score": self._scores[run, task]}
        state["rng"] = np.array(json.dumps(self._rng.bit_generator.state))
        if self._belief is not None:
            state |= {"asked_about": self._belief.tasks, "together": self._belief.together}
        return state

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where the planner stood that gave this state and was made with the same arguments."""
        for name in _ARRAYS:
            setattr(self, name, state[name].copy())
        for name in _NUMBERS:
            setattr(self, name, state[name].item())
        run, task = state["run"], state["task"]
        self._member = np.zeros((int(run.max(initial=-1)) + 1, len(self.labels_)), dtype=bool)
        self._scores = np.full(self._member.shape, np.nan)
        self._member[run, task], self._scores[run, task] = True, state["score"]
        self._rng.bit_generator.state = json.loads(state["rng"].item())
        self._asked, self._belief = None, None
        if "together" in state:
            self._belief = Belief(state["asked_about"], state["together"], self._draws)

    def _allowance(self) -> int:
        return math.floor(self._runs_per_task * len(self._taken) + 1e-9) - self.n_runs_

    def _next_step(self) -> None:
        """Take up a batch of tasks; the first is large enough for most groups to have two tasks in it."""
        batch = self._batch if len(self._taken) else max(self._batch, 2 * self._most_groups())
        new, self._waiting = self._waiting[:batch], self._waiting[batch:]
        if 0 < len(self._waiting) < self._size:
            new, self._waiting = np.r_[new, self._waiting], self._waiting[:0]
        self.labels_[new] = int(self.labels_.max()) + 1 + np.arange(len(new))
        drawn = np.zeros((self._resamples, len(self.labels_)), dtype=np.intp)
        drawn[:, self._taken] = self._draws
        drawn[:, new] = self._rng.integers(0, self._most_groups(), (self._resamples, len(new)))
        self._taken = np.sort(np.r_[self._taken, new])
        self._open = np.sort(np.r_[self._open, new])
        self._draws = drawn[:, self._taken]
        self._placing = self._open
        self._groups_before = int(self.labels_[np.setdiff1d(self._taken, new)].max(initial=-1)) + 1
        self._belief = None
        self._confirming = False

    def _most_groups(self) -> int:
        return self._k_max or most_groups(len(self.labels_))

    def _design(self) -> list[Labels]:
        """Design a round: as many runs as let the tasks that are not sure take part, or half of them."""
        member = self._member[:, self._taken]
        design = SubsetDesign(pair_counts(member), self._size, self._rng)
        still_open = np.searchsorted(self._taken, self._open)
        if not len(member):
            subsets = design.spread(still_open, min(len(still_open), self._allowance()))
        else:
            labels = self.labels_[self._taken]
            if self._belief is None:
                self._belief = self._believe(self._placing)
            share = 0.5 if len(self.labels_) <= _MANY else 1.0
            count = math.ceil(share * len(still_open) / open_per_subset(self._size))
            subsets = design.place(self._belief, labels, still_open, min(count, self._allowance()))
        return [self._taken[subset] for subset in subsets]

    def _update(self) -> None:
        """Group again, see which tasks are stable, and go on to the next step when all are."""
        if not len(self._member):  # all have failed so far
            if len(self._waiting) and self._allowance() < 1:
                self._next_step()
            return
        self._judge(self.labels_[self._taken], self._placing)
        if self._step_is_over() and not self._confirming:
            self._confirming = True
            self._judge(self._regroup(self.labels_[self._taken]), self._taken)
            self._placing = np.union1d(self._placing, self._open)
        if len(self._waiting) and self._step_is_over():
            self._next_step()

    def _step_is_over(self) -> bool:
        # Rounds for a last few tasks would be many and small: while others wait, they join the next step.
        few = _LEFT_OVER * self._batch if len(self._waiting) else 0.0
        return len(self._open) <= few or self._allowance() < 1

    def _regroup(self, labels: Labels) -> Labels:
        """Search k from the number of groups before the step."""
        k_max = min(self._most_groups(), len(labels))
        k_min = min(max(self._groups_before, 2), k_max)
        member, scores = self._member[:, self._taken], self._scores[:, self._taken]
        return regroup(member, scores, labels, k_min, k_max, self._propose)

    def _believe(self, tasks: Labels) -> Belief:
        """Sample who belongs with whom, by position among the tasks taken up."""
        member, scores = self._member[:, self._taken], self._scores[:, self._taken]
        evidence = GroupEvidence(member, scores, k_max=self._most_groups())
        position = np.searchsorted(self._taken, tasks)
        starts = self._draws if self._belief is None else renewed(evidence, self._draws)
        sweeps = _SWEEPS if self._groups_before or self._belief else _FIRST_SWEEPS
        belief = believe(evidence, starts, position, self._rng, sweeps=sweeps, resample=self._confirming)
        self._draws = belief.draws
        return belief

    def _judge(self, labels: Labels, tasks: Labels) -> None:
        """Keep the groups, and as open the tasks that are not sure to be in theirs."""
        self._belief = self._believe(tasks)
        labels = self._belief.consensus([labels])
        self.labels_[self._taken] = labels
        self.confidence_[tasks] = self._belief.confidence(labels)
        # A task that has had its share of the budget and still suits two groups is not worth more.
        spent = self._member.sum(0) >= self._size * self._runs_per_task
        least = self._stability if self._confirming else _SURE
        self._open = np.setdiff1d(tasks[(self.confidence_[tasks] < least) & ~spent[tasks]], self._settled)


def _check(n_tasks: int, size: int, runs_per_task: float, stability: float, **counts: int | None) -> None:
    if not 2 <= size <= n_tasks:
        raise InputError(f"The subset size must be between 2 and the number of tasks {n_tasks}, got {size}.")
    for name, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"The '{name}' parameter must be at least 1, got {value}.")
    if not runs_per_task > 0:
        raise InputError(f"The 'runs_per_task' parameter must be positive, got {runs_per_task}.")
    if not 0 < stability <= 1:
        raise InputError(f"The 'stability' parameter must be above 0 and at most 1, got {stability}.")
