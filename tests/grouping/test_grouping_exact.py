"""Exact search: dynamic programming against exhaustive enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.exceptions import InputError
from cotune.grouping import exact_partitions, exhaustive, objective
from cotune.grouping.exact import _max_plus, _partitions


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 7))
def test_dynamic_programming_equals_exhaustive_search_for_every_k(seed, n):
    T = np.random.default_rng(seed).standard_normal((n, n))
    found = exact_partitions(T)
    assert sorted(found) == list(range(1, n + 1))
    for k, best in found.items():
        assert best.objective == pytest.approx(exhaustive(T, k).objective)
        assert objective(T, best.labels) == pytest.approx(best.objective)
        assert len(set(best.labels)) == k


def test_enumeration_meets_every_partition_once():
    partitions = {tuple(labels) for k in range(1, 8) for labels in _partitions(7, k)}
    assert len(partitions) == 877  # the Bell number of 7


@pytest.mark.parametrize("tasks", [3, 8, 10, 11])
def test_convolutions_beyond_one_table_equal_their_definition(tasks):
    rng = np.random.default_rng(tasks)
    a, b = rng.standard_normal((2, 1 << tasks))
    c = _max_plus(a, b)
    for mask in rng.integers(0, 1 << tasks, 20).tolist():
        inside = [sub for sub in range(mask + 1) if sub & mask == sub]
        assert c[mask] == max(a[sub] + b[mask ^ sub] for sub in inside)


def test_planted_groups_of_fourteen_tasks_are_the_optimum():
    labels = np.repeat([0, 1, 2, 3], [5, 4, 3, 2])
    T = (labels[:, None] == labels[None, :]) + 0.05 * np.random.default_rng(0).standard_normal((14, 14))
    assert np.array_equal(exact_partitions(T, 4)[4].labels, labels)


def test_too_many_tasks_and_impossible_numbers_of_groups_are_refused():
    with pytest.raises(InputError, match="at most 20"):
        exact_partitions(np.eye(21))
    for bad in (0, 4):
        with pytest.raises(InputError, match="from 1 to"):
            exact_partitions(np.eye(3), bad)
        with pytest.raises(InputError, match="from 1 to"):
            exhaustive(np.eye(3), bad)
