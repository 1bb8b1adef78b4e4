"""The prior over partitions by their shape."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.grouping.shapes import change, log_prior, log_shapes


def partitions(n):
    """All partitions of n tasks, as label tuples."""
    found = [(0,)]
    for _ in range(n - 1):
        found = [(*labels, new) for labels in found for new in range(max(labels) + 2)]
    return found


def test_the_number_of_shapes():
    assert np.exp(log_shapes(10)[1:]) == pytest.approx([1, 5, 8, 9, 7, 5, 3, 2, 1, 1])
    assert np.exp(log_shapes(100)[1:]).sum() == pytest.approx(190_569_292)


@pytest.mark.parametrize("n", [3, 6, 8])
def test_probabilities_of_all_partitions_with_k_groups_sum_to_one_nth(n):
    total = Counter()
    for labels in partitions(n):
        sizes = np.bincount(labels)
        total[len(sizes)] += math.exp(log_prior(sizes.astype(float)))
    assert all(total[k] == pytest.approx(1 / n) for k in range(2, n + 1))


@given(st.lists(st.integers(1, 5), min_size=2, max_size=8), st.data())
@settings(max_examples=100, deadline=None)
def test_changes_are_differences_of_the_prior(sizes, data):
    before = np.array(sizes, dtype=float)
    a, b = data.draw(st.permutations(range(len(sizes))))[:2]
    merged = np.array(
        [*(s for i, s in enumerate(sizes) if i not in (a, b)), sizes[a] + sizes[b]], dtype=float
    )
    moved = [size - (i == a) + (i == b) for i, size in enumerate(sizes)]
    moved = np.array([size for size in moved if size], dtype=float)
    one, two = np.array([sizes[a]]), np.array([sizes[b]])
    if len(merged) > 1:
        gain = change(before, [one, two], [one + two])
        assert gain[0] == pytest.approx(log_prior(merged) - log_prior(before))
    if len(moved) > 1:
        gain = change(before, [one, two], [one - 1, two + 1])
        assert gain[0] == pytest.approx(log_prior(moved) - log_prior(before))
