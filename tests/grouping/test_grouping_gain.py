"""Partitions by predicted gain: dynamic programming, search and bounds beside enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.exceptions import InputError
from cotune.grouping import (
    all_groups,
    best_gain_partition,
    gain_bound,
    search_gain_partition,
    sized_gain,
)
from cotune.grouping import gain_bounds as bounds
from cotune.grouping.exact import _partitions


def draw(seed, n):
    """Effects with or without a common part, a law of size, and what size alone does."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(rng.choice([-0.5, 0.0, 0.5]), 1.0, (n, n)) * rng.choice([0.01, 1.0, 100.0])
    np.fill_diagonal(effects, 0.0)
    by_size = np.concatenate([[0.0], np.arange(1.0, n) ** -rng.choice([0.0, 0.4, 1.0])])
    own = np.zeros((n, n))
    if rng.random() < 0.5:
        own[:, 1:] = rng.normal(size=(n, n - 1)) * np.abs(effects).max()
    return effects, by_size, own


def table(effects, by_size, own):
    groups = all_groups(len(effects))
    at = np.maximum(groups.sum(1) - 1, 0)
    gain = by_size[at][:, None] * (groups @ effects.T) + own[:, at].T
    return np.where(groups, gain, 0.0).sum(1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 7))
def test_no_partition_is_better_than_the_exact_one(seed, n):
    form = draw(seed, n)
    gains = table(*form)
    for k in range(1, n + 1):
        best = max(sized_gain(*form, labels) for labels in _partitions(n, k))
        found = best_gain_partition(gains, k)
        assert len(set(found.labels)) == k
        assert found.objective == pytest.approx(best)
        assert sized_gain(*form, found.labels) == pytest.approx(best)
    free = best_gain_partition(gains)
    assert free.objective == pytest.approx(
        max(best_gain_partition(gains, k).objective for k in range(1, n + 1))
    )
    assert sized_gain(*form, free.labels) == pytest.approx(free.objective)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 8))
def test_no_bound_is_below_the_best_of_all_partitions(seed, n):
    form = draw(seed, n)
    best = best_gain_partition(table(*form)).objective
    margin = 1e-9 * max(1.0, abs(best))
    assert bounds.company_bound(*form) >= best - margin
    assert gain_bound(*form) >= best - margin


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_joined_classes_of_sizes_still_bound(seed):
    form = draw(seed, 7)
    best = best_gain_partition(table(*form)).objective
    every = bounds._sizes_that_differ(form[1], form[2])
    joined = bounds._classes(every, 2, {4})
    assert {7} <= set(joined) <= set(every)
    assert bounds._Program(*form, joined).bound(-np.inf, 5000)[0] >= best - 1e-9 * max(1.0, abs(best))


@pytest.mark.parametrize("steps", [0, 10, 100, 5000])
def test_a_bound_is_one_however_few_steps_it_takes(steps):
    form = draw(3, 9)
    found = best_gain_partition(table(*form))
    bound = gain_bound(*form, found=found.labels, steps=steps)
    assert bound >= found.objective - 1e-9 * abs(found.objective)
    assert bound <= bounds.company_bound(*form)
    assert bound == gain_bound(*form, found=found.labels, steps=steps)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 8))
def test_search_is_a_partition_of_its_gain_and_into_as_many_groups_as_asked(seed, n):
    form = draw(seed, n)
    gains = table(*form)
    found = search_gain_partition(*form)
    assert sized_gain(*form, found.labels) == pytest.approx(found.objective)
    assert found.objective <= best_gain_partition(gains).objective + 1e-9 * max(1.0, abs(found.objective))
    for k in {1, (n + 1) // 2, n}:
        assert len(set(search_gain_partition(*form, k).labels)) == k


def test_search_finds_the_best_of_most_small_instances():
    optimal = 0
    for seed in range(30):
        form = draw(seed, 9)
        best = best_gain_partition(table(*form)).objective
        optimal += search_gain_partition(*form).objective >= best - 1e-9 * abs(best)
    assert optimal >= 27


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_planted_groups_are_found_and_proven(power):
    labels = np.repeat(np.arange(6), [8, 5, 4, 3, 1, 1])
    n = len(labels)
    effects = np.where(labels[:, None] == labels[None, :], 1.0, -1.0)
    effects += 0.1 * np.random.default_rng(0).standard_normal((n, n))
    np.fill_diagonal(effects, 0.0)
    by_size = np.concatenate([[0.0], np.arange(1.0, n) ** -power])
    own = np.zeros((n, n))
    found = search_gain_partition(effects, by_size, own)
    bound = gain_bound(effects, by_size, own, found=found.labels)
    assert bound >= found.objective - 1e-9
    if power == 0.0:
        assert np.array_equal(found.labels, labels)
        assert bound == pytest.approx(found.objective, rel=1e-4)


@pytest.mark.parametrize(("sign", "k"), [(1.0, 1), (-1.0, 12)])
def test_one_group_and_each_alone_are_answers(sign, k):
    effects = sign * (1.0 - np.eye(12))
    by_size, own = np.concatenate([[0.0], np.ones(11)]), np.zeros((12, 12))
    assert len(set(best_gain_partition(table(effects, by_size, own)).labels)) == k
    assert len(set(search_gain_partition(effects, by_size, own).labels)) == k


def test_weights_count_the_gains_of_tasks():
    effects = np.array([[0.0, 1.0], [-2.0, 0.0]])
    form = effects, np.array([0.0, 1.0]), np.zeros((2, 2))
    assert len(set(search_gain_partition(*form).labels)) == 2
    assert len(set(search_gain_partition(*form, weights=[3.0, 1.0]).labels)) == 1
    assert sized_gain(*form, [0, 0], weights=[3.0, 1.0]) == 1.0
    assert gain_bound(*form, weights=[3.0, 1.0]) == pytest.approx(1.0, abs=1e-4)


def test_sixteen_tasks_are_enumerated():
    form = draw(3, 16)
    best = best_gain_partition(table(*form))
    assert sized_gain(*form, best.labels) == pytest.approx(best.objective)
    assert search_gain_partition(*form).objective <= best.objective * (1 + 1e-9)


def test_gains_of_no_whole_number_of_tasks_are_refused():
    with pytest.raises(InputError, match="2\\^n numbers"):
        best_gain_partition(np.zeros(6))
    with pytest.raises(InputError, match="bit mask 3 is missing"):
        best_gain_partition([0.0, 0.0, 0.0, np.nan])
