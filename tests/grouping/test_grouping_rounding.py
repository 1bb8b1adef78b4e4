"""Rounding and local moves: partitions, always, and never worse ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.benchmark.planted import block_model, fig2
from cotune.exceptions import InputError
from cotune.grouping import ROUNDINGS, SDPClustering, objective
from cotune.grouping._partition import density_sum, partition_matrix
from cotune.grouping.local_search import _State, improve
from cotune.grouping.propose import propose, split_starts
from cotune.grouping.rounding import fill_empty, pivoted_qr, random_partition, row_threshold, threshold


def symmetric_noise(seed: int, n: int) -> np.ndarray:
    A = np.random.default_rng(seed).standard_normal((n, n))
    return (A + A.T) / 2


@pytest.mark.parametrize("name", sorted(ROUNDINGS))
def test_every_strategy_reads_the_groups_off_an_exact_solution(name):
    labels = np.repeat([0, 1, 2], [5, 3, 4])
    assert np.array_equal(np.unique(ROUNDINGS[name](partition_matrix(labels), 3)[labels == 1]).size, 1)
    X = partition_matrix(labels)
    found = ROUNDINGS[name](X, 3)
    assert np.array_equal(partition_matrix(found), X)


def test_the_threshold_of_the_paper_merges_groups_at_c_1():
    planted = fig2(0)
    model = SDPClustering(3, rounding="threshold").fit(planted.matrix)
    assert model.n_clusters_ < 3
    assert not model.certified_
    assert threshold(model.X_, 3, c=1.5).max() + 1 == 3


@pytest.mark.parametrize("name", ["kmeans", "agglomerative"])
def test_named_strategies_give_exactly_k_groups_without_local_moves(name):
    T = symmetric_noise(1, 40)
    model, best = SDPClustering(5, rounding=name).fit(T), SDPClustering(5).fit(T)
    assert sorted(set(model.labels_)) == list(range(5))
    assert model.objective_ <= best.objective_ + 1e-9
    assert model.gap_ >= best.gap_ - 1e-9


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 25), data=st.data())
def test_local_search_keeps_k_groups_and_ends_where_no_move_or_swap_helps(seed, n, data):
    k = data.draw(st.integers(1, n))
    T = symmetric_noise(seed, n)
    start = random_partition(n, k, np.random.default_rng(seed))
    labels = improve(T, start, k)
    assert np.bincount(labels, minlength=k).min() >= 1
    value = density_sum(T, labels, k)
    assert value >= density_sum(T, start, k) - 1e-9
    for task in range(n):
        if np.sum(labels == labels[task]) > 1:
            for group in range(k):
                moved = labels.copy()
                moved[task] = group
                assert density_sum(T, moved, k) <= value + 1e-6
        for other in range(task):
            swapped = labels.copy()
            swapped[[task, other]] = labels[[other, task]]
            assert density_sum(T, swapped, k) <= value + 1e-6


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_predicted_gains_are_the_actual_changes(seed):
    rng = np.random.default_rng(seed)
    T = symmetric_noise(seed, 12)
    labels = random_partition(12, 4, rng)
    value = density_sum(T, labels, 4)
    state = _State(T, labels, 4)
    moves, swaps = state.move_gains(), state.swap_gains()
    for task in range(12):
        for group in range(4):
            if np.isfinite(moves[task, group]):
                moved = labels.copy()
                moved[task] = group
                assert moves[task, group] == pytest.approx(density_sum(T, moved, 4) - value, abs=1e-9)
        for other in range(12):
            if np.isfinite(swaps[task, other]):
                swapped = labels.copy()
                swapped[[task, other]] = labels[[other, task]]
                assert swaps[task, other] == pytest.approx(density_sum(T, swapped, 4) - value, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(3, 30), data=st.data())
def test_proposals_are_partitions_into_exactly_k_groups_with_the_value_they_claim(seed, n, data):
    k = data.draw(st.integers(1, n))
    C = symmetric_noise(seed, n)
    C -= C.mean(axis=0) + C.mean(axis=1)[:, None] - C.mean()
    value, labels = propose(C, k, np.random.default_rng(0))
    assert np.bincount(labels, minlength=k).min() >= 1
    assert labels.max() == k - 1
    assert value == pytest.approx(density_sum(C, labels, k))


def test_splits_add_one_group_and_leave_the_others_alone():
    labels = np.repeat([0, 1], [6, 4])
    starts = split_starts(symmetric_noise(0, 10), labels, 3, keep=2)
    assert len(starts) == 2
    for start in starts:
        assert sorted(set(start)) == [0, 1, 2]
        assert (labels[start != 2] == start[start != 2]).all()


def test_pivoted_qr_fills_every_group_even_when_vectors_repeat():
    vectors = np.linalg.qr(np.random.default_rng(0).standard_normal((9, 4)))[0]
    vectors[5:] = vectors[4]
    assert np.bincount(pivoted_qr(vectors, 5), minlength=5).min() >= 1


def test_empty_groups_take_from_groups_that_can_spare():
    filled = fill_empty(np.array([0, 0, 0, 1]), 3, np.random.default_rng(0))
    assert np.bincount(filled, minlength=3).min() >= 1


@pytest.mark.parametrize("mirrored", [False, True])
def test_fig2_is_never_grouped_worse_than_planted(mirrored):
    for seed in range(5):
        planted = fig2(seed, mirrored=mirrored)
        model = SDPClustering(3).fit(planted.matrix)
        assert model.objective_ >= objective(planted.matrix, planted.labels) - 1e-6


def test_weak_signal_is_recovered_among_a_thousand_tasks():
    planted = block_model(0, 600, 6, snr=1.3)
    model = SDPClustering(6, tol=1e-4).fit(planted.matrix)
    assert model.certified_
    assert np.mean(model.labels_ == planted.labels) == 1.0


def test_the_threshold_of_the_paper_takes_its_constant():
    planted = fig2(0)
    model = SDPClustering(3, rounding="threshold", rounding_c=1.5).fit(planted.matrix)
    assert model.n_clusters_ == 3
    X = np.full((4, 4), 0.26)
    np.fill_diagonal(X, 0.4)
    X[0, 3] = X[3, 0] = 0.0
    assert threshold(X, 2).tolist() == [0, 0, 0, 0], "0 and 3 are linked through the others"
    assert row_threshold(X, 2).tolist() == [0, 0, 0, 1]
    assert row_threshold(X, 2, c=1.5).tolist() == [0, 1, 2, 3]


def test_the_constant_belongs_to_the_thresholds_and_is_at_least_1():
    T = symmetric_noise(0, 6)
    with pytest.raises(InputError, match=r"'rounding_c' .* of the roundings threshold and row_threshold"):
        SDPClustering(2, rounding_c=1.5).fit(T)
    with pytest.raises(InputError, match=r"'rounding_c' .* must be at least 1, got 0.5"):
        SDPClustering(2, rounding="threshold", rounding_c=0.5).fit(T)
