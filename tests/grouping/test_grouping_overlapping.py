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


def partitions(tasks: list[int], k: int):
    """Every partition into at most k groups."""
    if not tasks:
        yield []
        return
    first, rest = tasks[0], tasks[1:]
    for part in partitions(rest, k):
        for place in range(len(part)):
            yield [*part[:place], (first, *part[place]), *part[place + 1 :]]
        if len(part) < k:
            yield [(first,), *part]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 7),
    k=st.integers(1, 7),
    diagonal=st.floats(-3, 3),
    node_limit=st.sampled_from([1, 200_000]),
)
def test_a_choice_is_never_worth_less_than_a_partition(seed, n, k, diagonal, node_limit):
    T = np.random.default_rng(seed).standard_normal((n, n)) + diagonal * np.eye(n)
    k = min(k, n)
    best = max(
        sum(worth(T, task, group) for group in part for task in group)
        for part in partitions(list(range(n)), k)
    )
    assert select_overlapping(T, k, node_limit=node_limit).value >= best - 1e-9


def test_nor_among_many_tasks_of_small_groups():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 3)
    T = 3.0 * (labels[:, None] == labels) + rng.standard_normal((18, 18))
    found = select_overlapping(T, 6, max_size=3, node_limit=1)
    planted = [tuple(np.flatnonzero(labels == group)) for group in range(6)]
    assert found.value >= sum(worth(T, task, group) for group in planted for task in group) - 1e-9


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
