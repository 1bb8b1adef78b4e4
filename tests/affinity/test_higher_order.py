import numpy as np
import pytest
from affinity_designs import all_subsets, inside_only, uniform_design
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.affinity import cover_pairs, eq8_factor, higher_order
from cotune.exceptions import InputError


def runs(n, size, m, seed):
    rng = np.random.default_rng(seed)
    subsets = cover_pairs(n, size, m, seed)
    membership = np.zeros((len(subsets), n), dtype=bool)
    for run, subset in enumerate(subsets):
        membership[run, subset] = True
    scores = np.where(membership, 1e3 + rng.normal(size=membership.shape), np.nan)
    return membership, scores


def test_equation_six_by_hand():
    membership = [[1, 1, 0], [1, 0, 1], [1, 1, 0]]
    scores = [[1.0, 5.0, np.nan], [2.0, np.nan, 7.0], [4.0, 6.0, np.nan]]
    affinity = higher_order(membership, scores)
    np.testing.assert_allclose(affinity.matrix[0], [7 / 3, 2.5, 2.0])
    np.testing.assert_allclose(affinity.matrix[1], [5.5, 5.5, np.nan])
    np.testing.assert_allclose(affinity.matrix[2], [7.0, np.nan, 7.0])
    assert affinity.counts.tolist() == [[3, 2, 1], [2, 2, 0], [1, 0, 1]]
    np.testing.assert_allclose(affinity.stderr[0, 1], np.std([1, 4], ddof=1) / np.sqrt(2))
    assert np.isnan(affinity.stderr[0, 2])
    assert affinity.n_missing == 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100), n=st.integers(4, 10))
def test_agrees_with_the_definition_and_permutes_with_the_tasks(seed, n):
    membership, scores = runs(n, 3, None, seed)
    affinity = higher_order(membership, scores)
    for i in range(n):
        for j in range(n):
            values = scores[membership[:, i] & membership[:, j], i]
            np.testing.assert_allclose(affinity.matrix[i, j], values.mean())
            if len(values) > 1:
                np.testing.assert_allclose(
                    affinity.stderr[i, j], values.std(ddof=1) / np.sqrt(len(values)), atol=1e-9
                )
    order = np.random.default_rng(seed).permutation(n)
    permuted = higher_order(membership[:, order], scores[:, order])
    np.testing.assert_allclose(permuted.matrix, affinity.matrix[np.ix_(order, order)])


@pytest.mark.parametrize("interaction", [0.0, 1.0])
def test_standard_errors_cover_the_truth(interaction):
    # f_i(S) = sum over j in S of theta_ij + interactions of pairs + noise, all subsets equally likely.
    n, size, hits = 6, 3, []
    everything = all_subsets(n, size)
    for repeat in range(200):
        rng = np.random.default_rng(repeat)
        theta, pairs = rng.normal(size=(n, n)), interaction * rng.normal(size=(n, n, n))

        def f(membership, theta=theta, pairs=pairs):
            X = membership.astype(float)
            return inside_only(membership, X @ theta.T + np.einsum("rj,rk,ijk->ri", X, X, pairs))

        truth = higher_order(everything, f(everything)).matrix
        membership = uniform_design(rng, n, size, 100)
        noise = 0.5 * rng.normal(size=membership.shape)
        affinity = higher_order(membership, f(membership) + noise)
        hits.append(np.abs(affinity.matrix - truth) <= 1.96 * affinity.stderr)
    assert 0.90 <= np.mean(hits) <= 0.98


def test_over_all_subsets_of_a_linear_function_differences_are_those_of_theta():
    rng = np.random.default_rng(0)
    n, size = 7, 3
    theta = rng.normal(size=(n, n))
    membership = all_subsets(n, size)
    T = higher_order(membership, inside_only(membership, membership @ theta.T)).matrix
    for i in range(n):
        others = np.arange(n) != i
        gap, expected = (m[i, others] - m[i, others].mean() for m in (T, theta))
        np.testing.assert_allclose(gap, eq8_factor(n, size) * expected, atol=1e-12)


def test_a_missing_score_inside_a_subset_is_refused():
    with pytest.raises(InputError, match="task 1 in run 0"):
        higher_order([[1, 1]], [[0.5, np.nan]])
    with pytest.raises(InputError, match="shape"):
        higher_order([[1, 1]], [[0.5]])
