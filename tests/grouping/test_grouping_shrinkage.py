"""Densities of entries that were not measured equally well."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from cotune.benchmark.planted import noise
from cotune.exceptions import InputError
from cotune.grouping import SDPClustering, objective, shrink


def symmetric(values):
    above = np.triu(values, 1)
    return above + above.T


def unequal(seed, signal=1.0, most=60):
    """Three groups of eight, every entry the mean of 2 to ``most`` measurements with noise of 3 each."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(3), 8))
    counts = symmetric(np.ceil(most ** rng.random((24, 24))))
    S = signal * (labels[:, None] == labels) + 3.0 * symmetric(rng.standard_normal((24, 24))) / np.sqrt(
        np.maximum(counts, 1.0)
    )
    return S, counts, labels


def test_well_measured_entries_decide_the_densest_groups():
    plain, weighted = [], []
    for seed in range(6):
        S, counts, labels = unequal(seed)
        options = {"partition": "density", "exact_max": 0}
        plain.append(adjusted_rand_score(labels, SDPClustering(3, **options).fit(S).labels_))
        found = SDPClustering(3, **options).fit(S, weights=counts)
        weighted.append(adjusted_rand_score(labels, found.labels_))
        assert found.objective_ == pytest.approx(objective(found.affinity_matrix_, found.labels_))
        assert found.objective_ <= found.upper_bound_ + 1e-9
    assert np.mean(weighted) > np.mean(plain) + 0.1


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 200), weight=st.floats(0.01, 100.0))
def test_equal_weights_change_nothing(seed, weight):
    S = symmetric(noise(seed, 9))
    shrunk = shrink(S, np.full((9, 9), weight))
    assert np.array_equal(shrunk.matrix, S)
    assert (shrunk.least, shrunk.median) == (1.0, 1.0)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 200), unit=st.sampled_from([1e-3, 7.0, 1e4]), shift=st.floats(-50, 50))
def test_units_order_and_effects_of_tasks_do_not_matter(seed, unit, shift):
    S, counts, _ = unequal(seed)
    rng = np.random.default_rng(seed)
    order, r = rng.permutation(24), rng.standard_normal(24)
    square = np.ix_(order, order)
    first = shrink(S, counts)
    moved = unit * S + shift + r[:, None] + r
    again = shrink(moved[square], unit * counts[square])
    assert again.least == pytest.approx(first.least)
    expected = (unit * first.matrix + shift + r[:, None] + r)[square]
    assert again.matrix == pytest.approx(expected, abs=1e-6 * (1.0 + unit + abs(shift)))


def test_what_was_not_measured_says_nothing():
    S, counts, _ = unequal(0)
    hidden = symmetric(np.random.default_rng(1).random(S.shape) < 0.3) > 0
    counts[hidden] = 0.0
    one, two = (shrink(np.where(hidden, far, S), counts).matrix for far in (0.0, 1e3))
    off = ~np.eye(24, dtype=bool)
    assert one[off] == pytest.approx(two[off], abs=1e-6)


def test_the_less_was_measured_the_more_is_drawn():
    S, counts, _ = unequal(2)
    shrunk = shrink(S, counts)
    assert 0.0 < shrunk.least < shrunk.median < 1.0
    few, often = counts == 2, counts > 30
    assert np.var(shrunk.matrix[few]) < 0.3 * np.var(S[few])
    assert np.var(shrunk.matrix[often]) > 0.4 * np.var(S[often])


@pytest.mark.parametrize("bad", [np.ones((3, 3)), -np.ones((6, 6)), np.zeros((6, 6))])
def test_weights_that_cannot_be_are_refused(bad):
    with pytest.raises(InputError, match="weights must"):
        shrink(noise(0, 6), bad)
