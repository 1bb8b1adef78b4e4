"""Scores of runs as gains over training alone."""

from __future__ import annotations

import numpy as np
import pytest

from cotune.affinity import task_gains, without_own_score
from cotune.exceptions import InputError

RUNS = np.array([[1, 0], [0, 1], [1, 1], [1, 1]], dtype=bool)
SCORES = np.array([[-2.0, np.nan], [np.nan, 0.5], [-1.0, 0.6], [-1.5, 0.4]])


def test_gains_are_shares_of_the_score_alone_whatever_its_sign():
    found = task_gains(RUNS, SCORES)
    np.testing.assert_allclose(found.values[:, 0], [0.0, np.nan, 0.5, 0.25])
    np.testing.assert_allclose(found.values[:, 1], [np.nan, 0.0, 0.2, -0.2])
    assert found.spread_tasks == ()


def test_tasks_in_other_units_have_the_same_gains():
    again = task_gains(RUNS, SCORES * [100.0, 0.01])
    np.testing.assert_allclose(again.values, task_gains(RUNS, SCORES).values)


def test_a_score_alone_near_zero_is_not_divided_by():
    scores = SCORES.copy()
    scores[1, 1] = 0.0
    found = task_gains(RUNS, scores)
    assert found.spread_tasks == (1,)
    assert found.units[1] == pytest.approx(np.std([0.0, 0.6, 0.4]))


def test_a_task_that_never_scores_gains_nothing():
    found = task_gains(RUNS, np.where(RUNS, [[-2.0, 0.0]], np.nan))
    assert np.nansum(np.abs(found.values)) == 0.0


def test_noise_is_that_between_runs_of_one_subset():
    found = task_gains(RUNS, SCORES, "noise")
    np.testing.assert_allclose(found.units, [np.std([-1.0, -1.5], ddof=1), np.std([0.6, 0.4], ddof=1)])


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="Task 1 was never trained alone"):
        task_gains(RUNS[[0, 2]], SCORES[[0, 2]])
    assert list(without_own_score(RUNS[[0, 2]])) == [1]
    with pytest.raises(InputError, match="no subset with it was run twice"):
        task_gains(RUNS[:3], SCORES[:3], "noise")
    with pytest.raises(InputError, match="'own_score' or 'noise'"):
        task_gains(RUNS, SCORES, "points")
