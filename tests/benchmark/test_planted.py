"""Planted models: the moments that App. B.1 states, sizes, units, missing entries."""

from __future__ import annotations

import numpy as np
import pytest

from cotune.benchmark.planted import FIG2_DEVIATIONS, FIG2_MEANS, block_model, fig2, noise
from cotune.exceptions import InputError


def test_fig2_has_the_means_and_deviations_of_the_paper():
    tables = np.stack([fig2(seed).matrix for seed in range(40)])
    labels = fig2(0).labels
    assert np.bincount(labels).tolist() == [50, 50, 50]
    for a in range(3):
        for b in range(3):
            block = tables[:, labels == a][:, :, labels == b]
            error = FIG2_DEVIATIONS[a, b] / np.sqrt(block.size)
            assert block.mean() == pytest.approx(FIG2_MEANS[a, b], abs=5 * error)
            assert block.std() == pytest.approx(FIG2_DEVIATIONS[a, b], rel=0.02)


def test_mirroring_copies_the_upper_triangle_and_keeps_the_noise():
    plain, mirrored = fig2(1).matrix, fig2(1, mirrored=True).matrix
    assert np.array_equal(mirrored, mirrored.T)
    assert np.array_equal(np.triu(plain), np.triu(mirrored))
    assert not np.array_equal(plain, plain.T)


def test_a_size_that_does_not_divide_by_three_fills_the_first_clusters():
    assert np.bincount(fig2(0, 11).labels).tolist() == [4, 4, 3]
    with pytest.raises(InputError, match="n >= 3"):
        fig2(0, 2)


@pytest.mark.parametrize(("n", "k", "balance"), [(20, 10, 0.1), (100, 5, 0.7), (30, 4, 1.0), (7, 1, 0.5)])
def test_sizes_add_up_and_no_group_is_smaller_than_two(n, k, balance):
    for seed in range(10):
        sizes = np.bincount(block_model(seed, n, k, balance=balance).labels)
        assert sizes.sum() == n
        assert len(sizes) == k
        assert sizes.min() >= 2
        if balance == 1.0:
            assert np.ptp(sizes) <= 1


def test_the_signal_to_noise_ratio_is_that_of_the_smallest_group():
    planted = block_model(3, 400, 4, snr=1.5)
    same = planted.labels[:, None] == planted.labels[None, :]
    N = planted.matrix - same
    edge = np.linalg.eigvalsh((N + N.T) / 2)[-1]
    assert np.bincount(planted.labels).min() / edge == pytest.approx(1.5, rel=0.05)
    assert planted.n_clusters == 4


def test_units_and_offsets_apply_to_rows_and_columns():
    plain = block_model(4, 40, 2).matrix
    shifted = block_model(4, 40, 2, constant=7.0).matrix
    assert np.allclose(shifted - plain, 7.0)
    scaled = block_model(4, 40, 2, row_scale=1.0).matrix
    ratio = scaled / plain
    assert np.allclose(ratio, ratio[:, :1])
    assert np.std(np.log(ratio[:, 0])) == pytest.approx(1.0, rel=0.5)
    groups = block_model(4, 40, 2, group_scale=1.5).matrix / plain
    assert groups[0, 0] == pytest.approx(np.exp(-1.5))
    assert groups[-1, 0] == pytest.approx(np.exp(1.5))
    rows = block_model(4, 40, 2, row_offset=2.0).matrix - plain
    assert np.allclose(rows, rows[:, :1])
    columns = block_model(4, 40, 2, column_offset=2.0).matrix - plain
    assert np.allclose(columns, columns[:1])
    assert columns.std() > 0.5


def test_missing_pairs_are_missing_both_ways_and_never_on_the_diagonal():
    T = block_model(5, 60, 3, missing=0.4).matrix
    gone = np.isnan(T)
    assert np.array_equal(gone, gone.T)
    assert not gone.diagonal().any()
    assert gone.mean() == pytest.approx(0.4, abs=0.05)


def test_the_same_seed_draws_the_same_matrix():
    assert np.array_equal(block_model(6, 30, 3).matrix, block_model(6, 30, 3).matrix)
    assert np.array_equal(noise(6, 30), noise(6, 30))
    assert not np.array_equal(noise(6, 30), noise(7, 30))


@pytest.mark.parametrize(
    ("n", "k", "options"),
    [(5, 3, {}), (4, 0, {}), (9, 3, {"snr": 0.0}), (9, 3, {"balance": 0.0}), (9, 3, {"missing": 1.0})],
)
def test_impossible_models_are_refused(n, k, options):
    with pytest.raises(InputError, match="block model"):
        block_model(0, n, k, **options)
