"""A learner that trains nothing: it repeats the scores of a table that others have recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from cotune import _places
from cotune.affinity import Table, read_table
from cotune.exceptions import InputError
from cotune.tasks import Task
from cotune.training.learner import Fit, LearnerConfig, Score, Subset


class RecordedConfig(LearnerConfig):
    """A recorded score table in the place of training: ``scores.csv`` of a study, or any such table."""

    reads_tasks: ClassVar[bool] = False

    path: Path
    """A score table as ``cotune group`` reads it, a row a run, blank where a task was not in the run."""
    lower_is_better: bool = False
    """Whether the numbers are losses."""

    def build(self, tasks: Sequence[Task] = (), base: Path = Path()) -> RecordedLearner:
        """Make the learner, which brings its own tasks."""
        return RecordedLearner(_places.at(base, self.path), lower_is_better=self.lower_is_better)

    def files_read(self, base: Path) -> Sequence[Path]:
        """Return the table."""
        return [_places.named(base, self.path)]


class RecordedLearner:
    """Repeats recorded scores f_i(S).

    Parameters
    ----------
    path : Path
        A score table; see :func:`cotune.affinity.read_table`.
    lower_is_better : bool
        Whether the numbers are losses.

    Notes
    -----
    A subset with several rows has one for each seed: the seed counts through them.
    """

    def __init__(self, path: Path, *, lower_is_better: bool = False) -> None:
        self._path, self._lower_is_better = path, lower_is_better

    @cached_property
    def _table(self) -> Table:
        table = read_table(self._path, lower_is_better=self._lower_is_better)
        if table.scores is None:
            raise InputError(
                f"{self._path} is an affinity matrix; a recorded learner needs a score table, a row a run."
            )
        return table

    @cached_property
    def _rows(self) -> Mapping[Subset, list[dict[str, float]]]:
        """The rows of every subset, scores as they were recorded."""
        assert self._table.scores is not None
        sign = -1.0 if self._lower_is_better else 1.0
        rows: dict[Subset, list[dict[str, float]]] = {}
        for row in self._table.scores:
            scores = {
                task: float(sign * value)
                for task, value in zip(self.tasks, row, strict=True)
                if np.isfinite(value)
            }
            rows.setdefault(tuple(sorted(scores)), []).append(scores)
        return rows

    @property
    def tasks(self) -> Sequence[str]:
        """The columns of the table."""
        return self._table.tasks

    @property
    def families(self) -> Mapping[str, str]:
        """Empty: a table names no families."""
        return dict.fromkeys(self.tasks, "")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what the numbers are."""
        return hashlib.sha256(f"recorded, lower is better: {self._lower_is_better}".encode()).hexdigest()

    @cached_property
    def _fingerprints(self) -> Mapping[str, str]:
        hashes = {task: hashlib.sha256(task.encode()) for task in self.tasks}
        for subset, rows in self._rows.items():
            content = repr((subset, rows)).encode()
            for task in subset:
                hashes[task].update(content)
        return {task: of_task.hexdigest() for task, of_task in hashes.items()}

    def task_fingerprint(self, task: str) -> str:
        """Hash of all rows with the task."""
        return self._fingerprints[task]

    def check(self) -> dict[str, tuple[str, ...]]:
        """Read the table; there is nothing to cut."""
        return dict.fromkeys(self.tasks, ())

    def expected_tokens(self, subset: Subset, steps: int) -> None:
        """Return None: the tokens of the recording are not known."""

    def prepare(self, folder: Path) -> None:
        """Do nothing: all is recorded."""

    def fit_score(self, subset: Subset, seed: int) -> dict[str, Score]:
        """Return the recorded scores of a subset."""
        return dict(self.fit(subset, seed, steps=1, split="validation").scores)

    def fit(self, subset: Subset, seed: int, *, steps: int, split: str, save_to: Path | None = None) -> Fit:
        """Return the recorded scores of a subset, whatever the number of steps; nothing is saved.

        Raises
        ------
        InputError
            If the table has no run on the subset, or scores on test examples are asked for.
        """
        if split != "validation":
            raise InputError(
                f"{self._path} holds one score a task and run, which groups are found by, and none on test "
                "examples to compare ways of training by; write 'comparison: null' with a recorded learner."
            )
        rows = self._rows.get(tuple(sorted(subset)))
        if not rows:
            raise InputError(
                f"{self._path} has no run on {' + '.join(subset)}; a recorded learner knows only the "
                f"{len(self._rows)} subsets of its table, so choose an estimator and subsets that it holds."
            )
        row = rows[seed % len(rows)]
        higher = not self._lower_is_better
        return Fit({task: Score(row[task], "recorded", higher) for task in subset})
