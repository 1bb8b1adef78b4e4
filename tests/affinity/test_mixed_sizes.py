"""Designs of subsets of mixed sizes."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune.affinity import mixed_sizes
from cotune.exceptions import InputError


@given(n=st.integers(2, 40), times=st.integers(1, 20), seed=st.integers(0, 3))
def test_never_costs_more_and_never_repeats_a_subset(n, times, seed):
    design = mixed_sizes(n, n * times, seed)
    assert design == mixed_sizes(n, n * times, seed)
    assert len(set(design)) == len(design)
    assert design[0] == tuple(range(n))
    assert sum(map(len, design)) <= n * times
    assert all(len(subset) > 1 and list(subset) == sorted(set(subset)) for subset in design)
    used = np.bincount([task for subset in design for task in subset], minlength=n)
    assert used.max() - used.min() <= 3


@given(n=st.integers(8, 40), seed=st.integers(0, 3))
def test_holds_all_halves_quarters_and_pairs(n, seed):
    design = mixed_sizes(n, 16 * n, seed)
    sizes = Counter(map(len, design))
    assert sizes[n] == 1
    for parts in (2, 4):
        of_part = [s for s in design if len(s) in (n // parts, -(-n // parts)) and len(s) > 2]
        assert sum(map(len, of_part)) >= (2 * n if n // parts > 2 else 0)
    assert sum(map(len, design)) >= 16 * n - (n - 1)  # the rest is less than another subset


@pytest.mark.parametrize("n", [6, 9, 12, 15])
def test_pairs_are_run_equally_often_as_far_as_the_cost_goes(n):
    design = mixed_sizes(n, 5 * n + 4 * n, 1)
    pairs = [s for s in design if len(s) == 2]
    partners = np.bincount([task for pair in pairs for task in pair], minlength=n)
    assert partners.max() - partners.min() <= 2


@pytest.mark.parametrize("n", [3, 5, 8])
def test_everything_is_run_where_it_can_be_paid(n):
    every = [s for size in range(2, n + 1) for s in combinations(range(n), size)]
    assert set(mixed_sizes(n, sum(map(len, every)), 2)) == set(every)


def test_what_cannot_be_designed_is_refused():
    with pytest.raises(InputError, match="at least two tasks, got 1"):
        mixed_sizes(1, 10)
    with pytest.raises(InputError, match="of all 6 tasks together, got 5"):
        mixed_sizes(6, 5)
