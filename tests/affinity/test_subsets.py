import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.affinity import cover_pairs, fewest_covering, spread_tasks
from cotune.exceptions import InputError
from cotune.studies.grouping.estimators._trained import few_subsets


def meetings(subsets, n):
    member = np.zeros((len(subsets), n), dtype=int)
    for run, subset in enumerate(subsets):
        member[run, subset] = 1
    return member.T @ member


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 24), data=st.data())
def test_every_pair_meets_and_no_subset_repeats(n, data):
    size = data.draw(st.integers(2, n))
    subsets = cover_pairs(n, size, seed=data.draw(st.integers(0, 5)))
    met = meetings(subsets, n)
    assert met.min() >= 1
    assert (np.diff(subsets, axis=1) > 0).all()
    assert len(set(map(tuple, subsets))) == len(subsets)
    assert len(subsets) >= math.ceil(n / size * math.ceil((n - 1) / (size - 1)) - 1e-9)


@pytest.mark.parametrize(("n", "size", "m"), [(16, 3, 90), (30, 5, 200), (100, 10, 400)])
def test_counts_are_balanced(n, size, m):
    met = meetings(cover_pairs(n, size, m), n)
    pairs = met[~np.eye(n, dtype=bool)]
    mean = m * size * (size - 1) / (n * (n - 1))
    assert pairs.min() >= 1
    assert pairs.max() <= mean + 4
    assert np.ptp(np.diag(met)) <= 0.2 * m * size / n + 2


def test_deterministic_and_a_longer_design_begins_with_the_shorter():
    short, long = cover_pairs(20, 4, 60, seed=3), cover_pairs(20, 4, 90, seed=3)
    assert (long[:60] == short).all()
    assert not (cover_pairs(20, 4, 60, seed=4) == short).all()


def test_all_subsets_when_asked_for_all():
    subsets = cover_pairs(9, 3, 84)
    assert len({tuple(s) for s in subsets}) == 84


def test_too_few_subsets_are_refused_with_the_number_needed():
    with pytest.raises(InputError, match=r"use at least \d+ subsets"):
        cover_pairs(16, 3, 10)


@pytest.mark.parametrize(("n", "size", "m"), [(5, 6, None), (5, 1, None), (4, 2, 7)])
def test_impossible_designs_are_refused(n, size, m):
    with pytest.raises(InputError):
        cover_pairs(n, size, m)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 20), m=st.integers(1, 15), data=st.data())
def test_few_subsets_use_every_task_equally_often(n, m, data):
    size, seed = data.draw(st.integers(1, n)), data.draw(st.integers(0, 5))
    subsets = spread_tasks(n, size, m, seed)
    assert subsets.shape == (m, size)
    assert (np.diff(subsets, axis=1) > 0).all()
    assert np.ptp(np.diag(meetings(subsets, n))) <= 1
    assert (spread_tasks(n, size, m + 3, seed)[:m] == subsets).all()


def test_no_design_does_with_fewer_than_the_bound():
    for n, size in [(3, 3), (7, 3), (9, 3), (12, 4), (20, 5)]:
        assert n * (n - 1) / (size * (size - 1)) <= fewest_covering(n, size) <= len(cover_pairs(n, size))
    assert fewest_covering(7, 3) == 7  # the Fano plane


def test_a_few_subsets_of_a_thousand_tasks_need_no_whole_design():
    """A covering design of a thousand tasks has some 170,000 subsets."""
    subsets = few_subsets(1000, 3, 400, 0)
    assert len(subsets) == 400
    assert len({task for subset in subsets for task in subset}) == 1000


def test_few_subsets_rarely_let_a_pair_meet_twice():
    met = meetings(spread_tasks(18, 3, 24), 18)
    assert (np.triu(met, 1) > 1).sum() <= 2


@pytest.mark.parametrize(("n", "size", "m"), [(4, 5, 2), (4, 0, 2), (4, 2, 0)])
def test_impossible_numbers_of_subsets_are_refused(n, size, m):
    with pytest.raises(InputError, match="must be"):
        spread_tasks(n, size, m)
