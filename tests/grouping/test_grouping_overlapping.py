"""Overlapping groups: the search against brute force, and what it is for."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.exceptions import InputError
from cotune.grouping import select_overlapping


def worth(T: np.ndarray, task: int, group: tuple[int, ...]) -> float:
    others = [other for other in group if other != task]
    return float(T[task, others].mean()) if others else float(T[task, task])


def brute_force(T: np.ndarray, k: int) -> float:
    n = len(T)
    groups = [group for size in range(1, n + 1) for group in combinations(range(n), size)]
    best = -np.inf
    for choice in combinations(groups, k):
        values = [[worth(T, task, group) for group in choice if task in group] for task in range(n)]
        if all(values):
            best = max(best, sum(max(options) for options in values))
    return best


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 3))
def test_the_search_finds_the_optimum_of_brute_force(seed, k):
    T = np.random.default_rng(seed).standard_normal((4, 4))
    found = select_overlapping(T, k)
    assert found.certified
    assert found.value == pytest.approx(brute_force(T, k))
    assert found.upper_bound == pytest.approx(found.value)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(5, 9), k=st.integers(1, 4))
def test_the_reported_value_is_that_of_the_reported_groups(seed, n, k):
    T = np.random.default_rng(seed).standard_normal((n, n))
    found = select_overlapping(T, k)
    assert len(found.groups) <= k
    values = [worth(T, task, found.groups[found.served_by[task]]) for task in range(n)]
    assert sum(values) == pytest.approx(found.value)
    for task in range(n):
        assert task in found.groups[found.served_by[task]]


def test_a_helpful_task_joins_two_groups():
    T = np.full((5, 5), -1.0)
    T[:4, 4] = 3.0  # task 4 helps everyone
    T[0, 1] = T[1, 0] = T[2, 3] = T[3, 2] = 1.0
    found = select_overlapping(T, 2)
    assert found.groups == ((0, 1, 4), (2, 3, 4))
    assert found.served_by.tolist()[:4] == [0, 0, 1, 1]
    assert found.value == 4 * 2.0 - 1.0
    assert found.certified


def test_a_size_limit_is_kept_and_one_that_cannot_cover_is_refused():
    T = np.random.default_rng(0).standard_normal((7, 7))
    assert max(map(len, select_overlapping(T, 4, max_size=2).groups)) <= 2
    with pytest.raises(InputError, match="max_size"):
        select_overlapping(T, 2, max_size=3)


def test_a_stopped_search_still_bounds_the_optimum():
    T = np.random.default_rng(1).standard_normal((9, 9))
    full, stopped = select_overlapping(T, 4), select_overlapping(T, 4, node_limit=1)
    assert full.certified
    assert not stopped.certified
    assert stopped.value <= full.value + 1e-12 <= stopped.upper_bound + 1e-9


@pytest.mark.parametrize(
    ("n", "k", "words"), [(3, 0, "n_clusters"), (3, 4, "n_clusters"), (25, 3, "max_size")]
)
def test_impossible_requests_are_refused(n, k, words):
    with pytest.raises(InputError, match=words):
        select_overlapping(np.eye(n), k)
