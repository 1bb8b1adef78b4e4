"""Preparation of raw affinities: scales, diagonals, missing entries, and a record of it all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.exceptions import InputError
from cotune.grouping import SDPClustering, prepare

TRUTH = np.repeat([0, 1, 2], 5)


def blocks(seed: int, noise: float = 0.2) -> np.ndarray:
    clean = (TRUTH[:, None] == TRUTH[None, :]).astype(float)
    return clean + noise * np.random.default_rng(seed).standard_normal(clean.shape)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_row_units_and_offsets_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    T = blocks(seed)
    units, offsets = np.exp(2 * rng.standard_normal(15)), 20 * rng.standard_normal(15)
    moved = units[:, None] * T + offsets[:, None]
    assert np.allclose(prepare(T).matrix, prepare(moved).matrix, atol=1e-8)


def test_standardised_rows_use_off_diagonal_entries_only():
    T = blocks(0)
    huge = T + np.diag(np.full(15, 1e6))
    assert np.allclose(prepare(T).matrix, prepare(huge).matrix, atol=1e-6)
    assert np.array_equal(SDPClustering(3).fit(prepare(huge).matrix).labels_, TRUTH)


def test_a_kept_diagonal_is_scaled_like_its_row():
    T = blocks(1)
    off = ~np.eye(15, dtype=bool)
    row = T[0][off[0]]
    expected = (T[0, 0] - row.mean()) / row.std()
    assert prepare(T, diagonal="keep").matrix[0, 0] == pytest.approx(expected)


def test_two_way_removes_source_offsets_in_raw_units():
    rng = np.random.default_rng(2)
    T = blocks(2)
    moved = T + 20 * rng.standard_normal(15)[:, None] + 20 * rng.standard_normal(15)[None, :]
    assert np.allclose(prepare(T, scale="two_way").matrix, prepare(moved, scale="two_way").matrix, atol=1e-8)


def test_none_only_symmetrises_and_neutralises_the_diagonal():
    T = blocks(3)
    off = ~np.eye(15, dtype=bool)
    prepared = prepare(T, scale="none").matrix
    assert np.allclose(prepared[off], ((T + T.T) / 2)[off])
    assert np.allclose(prepare(T, scale="none", diagonal="keep").matrix, (T + T.T) / 2)


def test_missing_entries_are_refused_unless_completion_is_asked_for():
    T = blocks(4)
    T[3, 7] = np.nan
    with pytest.raises(InputError, match=r"'task 7' to 'task 3'.*missing='complete'"):
        prepare(T)
    prepared = prepare(T, missing="complete")
    assert np.isfinite(prepared.matrix).all()
    assert any("1 missing entries taken from the opposite direction" in step for step in prepared.steps)


def test_groups_survive_a_third_of_the_pairs_missing():
    T = blocks(5)
    rng = np.random.default_rng(5)
    gone = np.triu(rng.random(T.shape) < 1 / 3, 1)
    T[gone | gone.T] = np.nan
    T[np.diag_indices(15)] = np.nan
    prepared = prepare(T, missing="complete")
    assert np.array_equal(SDPClustering(3).fit(prepared.matrix).labels_, TRUTH)


def test_a_pair_missing_both_ways_is_completed_without_favouring_a_group():
    r, c = np.arange(6.0), np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    T = r[:, None] + c[None, :]
    T[1, 2] = T[2, 1] = np.nan
    filled = prepare(T, scale="none", missing="complete", diagonal="keep").matrix
    assert filled[1, 2] == pytest.approx((r[1] + c[2] + r[2] + c[1]) / 2, abs=1e-6)


def test_a_task_without_any_affinity_is_named():
    T = blocks(6)
    T[4, :] = np.nan
    with pytest.raises(InputError, match="'task 4' has no"):
        prepare(T, missing="complete")


@pytest.mark.parametrize("keywords", [{"scale": "log"}, {"missing": "zero"}, {"diagonal": "ones"}])
def test_unknown_rules_are_refused_with_the_valid_ones(keywords):
    with pytest.raises(InputError, match=next(iter(keywords))):
        prepare(blocks(7), **keywords)


@pytest.mark.parametrize("matrix", [np.ones((2, 3)), [[0.0, np.inf], [1.0, 0.0]]])
def test_matrices_that_no_rule_can_repair_are_refused(matrix):
    with pytest.raises(InputError, match=r"square|infinities"):
        prepare(matrix, missing="complete")


def test_constant_rows_and_single_tasks_have_an_answer():
    T = blocks(8)
    T[2, :] = 5.0
    prepared = prepare(T)
    assert np.isfinite(prepared.matrix).all()
    assert "without variation" in prepared.steps[0]
    assert prepare([[3.0]]).matrix.shape == (1, 1)


@pytest.mark.parametrize("half", ["upper", "lower", "shuffled", "with gaps"])
def test_half_of_a_symmetric_matrix_is_taken_for_all_of_it(half):
    rng = np.random.default_rng(3)
    whole = rng.normal(size=(7, 7))
    whole = whole + whole.T
    given = np.triu(np.ones((7, 7), dtype=bool)) if half != "lower" else np.tril(np.ones((7, 7), dtype=bool))
    expected = whole
    if half == "shuffled":
        order = rng.permutation(7)
        given = given[np.ix_(order, order)]
    if half == "with gaps":
        given[0, 3] = given[2, 5] = False
        expected = whole.copy()
        for i, j in ((0, 3), (2, 5)):
            expected[i, j] = expected[j, i] = np.nan
    found = prepare(np.where(given, whole, np.nan), missing="complete")
    np.testing.assert_allclose(found.matrix, prepare(expected, missing="complete").matrix)
    assert found.steps[0] == "the one direction given of each pair taken for both"
    with pytest.raises(InputError, match="affinities are missing"):
        prepare(np.where(given, whole, np.nan))


def test_a_matrix_with_pairs_in_both_directions_is_no_half():
    rng = np.random.default_rng(4)
    T = rng.normal(size=(5, 5))
    T[3, 1] = np.nan
    assert "the one direction given of each pair taken for both" not in prepare(T, missing="complete").steps
