import numpy as np
import pytest

from cotune.affinity import gains, higher_order, pairwise
from cotune.exceptions import InputError

NAN = np.nan


def test_pairs_and_singles_by_hand():
    membership = [[1, 1, 0], [1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 1, 0]]
    scores = [[1.0, 5.0, NAN], [3.0, 6.0, NAN], [NAN, 7.0, 9.0], [1.5, NAN, NAN], [NAN, 5.0, NAN]]
    affinity = pairwise(membership, scores)
    np.testing.assert_allclose(affinity.matrix, [[1.5, 2.0, NAN], [5.5, 5.0, 7.0], [NAN, 9.0, NAN]])
    assert affinity.counts.tolist() == [[1, 2, 0], [2, 1, 1], [0, 1, 0]]
    np.testing.assert_allclose(affinity.stderr[0, 1], np.std([1, 3], ddof=1) / np.sqrt(2))
    assert np.isnan(affinity.stderr[1, 2])


def test_gains_are_over_the_single_task_and_carry_its_error():
    affinity = pairwise([[1, 1], [1, 1]], [[1.0, 5.0], [3.0, 6.0]])
    over = gains(affinity, [1.5, 6.0], [0.3, 0.4])
    np.testing.assert_allclose(over.matrix, [[0.0, 0.5], [-0.5, 0.0]])
    np.testing.assert_allclose(over.stderr, [[0.0, np.hypot(1.0, 0.3)], [np.hypot(0.5, 0.4), 0.0]])
    np.testing.assert_allclose(gains(affinity, [1.5, 6.0]).stderr[0, 1], 1.0)
    assert affinity.matrix[0, 1] == 2.0  # the argument is left as it was


def test_gains_over_higher_order_keep_missing_entries_missing():
    over = gains(higher_order([[1, 1, 0], [1, 0, 1]], [[1.0, 2.0, NAN], [2.0, NAN, 3.0]]), [1.0, 1.0, 1.0])
    assert np.isnan(over.matrix[1, 2])
    assert over.counts[1, 2] == 0
    assert over.matrix[0, 2] == 1.0


def test_standard_errors_cover_the_truth_of_pairs_and_gains():
    # f_i(S) = theta_ii + theta_ij + an interaction of the pair + noise, 15 seeds of every pair and single.
    n, seeds = 5, 15
    pairs = np.array([np.isin(np.arange(n), (i, j)) for i in range(n) for j in range(i, n)])
    membership = np.repeat(pairs, seeds, axis=0)
    off = ~np.eye(n, dtype=bool)
    hits, hits_of_gains = [], []
    for repeat in range(200):
        rng = np.random.default_rng(repeat)
        theta, together = rng.normal(size=(n, n)), rng.normal(size=(n, n))
        truth = np.where(off, np.diag(theta)[:, None] + theta + together, np.diag(np.diag(theta)))
        alone = (membership.sum(1, keepdims=True) == 1) * np.diag(truth)
        scores = membership @ np.where(off, truth, 0.0).T + alone + 0.5 * rng.normal(size=membership.shape)
        found = pairwise(membership, scores)
        hits.append(np.abs(found.matrix - truth) <= 1.96 * found.stderr)
        over = gains(found, np.diag(found.matrix), np.diag(found.stderr))
        gain = truth - np.diag(truth)[:, None]
        hits_of_gains.append((np.abs(over.matrix - gain) <= 1.96 * over.stderr)[off])
    assert 0.90 <= np.mean(hits) <= 0.98
    assert 0.90 <= np.mean(hits_of_gains) <= 0.98


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="run 1 has 3"):
        pairwise([[1, 1, 0], [1, 1, 1]], np.ones((2, 3)))
    with pytest.raises(InputError, match="alone must hold one finite number for each of 2 tasks"):
        gains(pairwise([[1, 1]], [[1.0, 1.0]]), [1.0])
