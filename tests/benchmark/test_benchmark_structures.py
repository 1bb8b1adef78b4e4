"""Structures for rules that choose k: what is drawn is what was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from cotune.benchmark.structures import OTHERS, STRUCTURES, Structure

ALL = STRUCTURES | OTHERS


@pytest.mark.parametrize("name", ALL)
def test_groups_have_their_sizes_and_their_signal(name):
    structure = ALL[name]
    planted, counts = structure.draw(0)
    assert sorted(np.bincount(planted.labels)) == sorted(structure.groups)
    same = planted.labels[:, None] == planted.labels
    off = ~np.eye(len(same), dtype=bool)
    T = planted.matrix
    assert np.array_equal(T, structure.draw(0)[0].matrix, equal_nan=True)
    assert (counts is not None) == structure.counts
    assert np.isnan(T[off]).any() == (structure.missing > 0)
    if counts is not None:
        assert np.array_equal(counts, counts.T)
        assert set(np.unique(counts[off])) == set(range(1, 9))
    if (same & off).any() and not same.all() and not structure.rows:
        assert np.nanmean(T[same & off]) - np.nanmean(T[~same]) > 0.6 * structure.signal


def test_what_goes_one_way_does_not_come_back():
    T = Structure((3, 3), 100.0, one_way=1.0).draw(1)[0].matrix
    large = T > 50.0
    np.fill_diagonal(large, False)
    assert large.sum() == 6
    assert not (large & large.T).any()
