"""Bootstrap stability of the groups."""

from __future__ import annotations

import numpy as np
import pytest

from cotune.exceptions import InputError
from cotune.grouping import SDPClustering, bootstrap
from cotune.grouping.stability import matched

TRUTH = np.repeat([0, 1], 4)


def runs(noise: float, count: int = 40) -> np.ndarray:
    clean = (TRUTH[:, None] == TRUTH[None, :]).astype(float)
    return clean + noise * np.random.default_rng(0).standard_normal((count, 8, 8))


def test_clear_groups_are_found_in_every_resample():
    tables = runs(0.5)
    result = bootstrap(lambda index: tables[index].mean(axis=0), 40, SDPClustering(2), n_resamples=20)
    assert np.array_equal(result.labels, TRUTH)
    assert np.array_equal(result.co_assignment, TRUTH[:, None] == TRUTH[None, :])
    assert (result.confidence == 1).all()
    assert result.skipped == 0


def test_a_task_between_the_groups_is_less_sure_than_the_others():
    tables = runs(0.8)
    tables[:, 0, :] = tables[:, :, 0] = 0.5 + 0.8 * np.random.default_rng(1).standard_normal((40, 8))
    result = bootstrap(lambda index: tables[index].mean(axis=0), 40, SDPClustering(2), n_resamples=50)
    assert result.confidence[0] < result.confidence[1:].min()
    assert np.allclose(result.co_assignment, result.co_assignment.T)
    assert np.allclose(np.diag(result.co_assignment), 1)


def test_the_same_seed_gives_the_same_answer():
    tables = runs(2.0)
    first, second = (
        bootstrap(
            lambda index: tables[index].mean(axis=0), 40, SDPClustering(2), n_resamples=10, random_state=3
        )
        for _ in range(2)
    )
    assert np.array_equal(first.co_assignment, second.co_assignment)


def test_resamples_without_an_affinity_matrix_are_counted_and_too_many_refused():
    tables = runs(0.2, 3)

    lost = []

    def estimate(index):
        T = tables[index].mean(axis=0).copy()
        if (index == 2).all():  # all other pairs need another run
            T[0, 1] = np.nan
            lost.append(index)
        return T

    result = bootstrap(estimate, 3, SDPClustering(2), n_resamples=60)
    assert result.skipped == len(lost) > 0
    assert len(result.n_clusters) == 60 - result.skipped
    with pytest.raises(InputError, match="resamples"):
        bootstrap(
            lambda index: tables[0] if len(set(index)) == 3 else np.full((8, 8), np.nan), 3, SDPClustering(2)
        )


def test_given_groups_are_the_reference():
    tables = runs(0.5)
    other = np.repeat([0, 1], [3, 5])
    result = bootstrap(
        lambda index: tables[index].mean(axis=0), 40, SDPClustering(2), n_resamples=10, reference=other
    )
    assert np.array_equal(result.labels, other)
    assert result.confidence.tolist() == [1, 1, 1, 0, 1, 1, 1, 1]


def test_an_interrupt_is_not_taken_for_a_resample():
    tables = runs(0.5)
    calls = []

    def estimate(index):
        calls.append(index)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return tables[index].mean(axis=0)

    with pytest.raises(KeyboardInterrupt):
        bootstrap(estimate, 40, SDPClustering(2), reference=TRUTH)


def test_groups_are_matched_one_to_one():
    assert matched(np.array([1, 1, 0, 0, 2]), np.array([0, 0, 1, 1, 1])).tolist() == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("keywords", [{"n_runs": 0}, {"n_resamples": 0}])
def test_counts_below_one_are_refused(keywords):
    with pytest.raises(InputError, match=next(iter(keywords))):
        bootstrap(lambda index: np.eye(4), **{"n_runs": 3, "grouper": SDPClustering(2), **keywords})
