import numpy as np
import pytest
from affinity_designs import inside_only, uniform_design

from cotune.affinity import LinearSurrogate, f1_by_size, mean_of_pairs, pairwise
from cotune.exceptions import InputError


def test_mean_of_pairs_by_hand():
    affinity = pairwise([[1, 1, 0], [1, 0, 1]], [[2.0, 3.0, np.nan], [6.0, np.nan, 7.0]])
    predicted = mean_of_pairs(affinity, [[1, 1, 1], [1, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(predicted, [[4.0, np.nan, np.nan], [6.0, np.nan, 7.0], [np.nan] * 3])


def test_f1_by_hand():
    membership = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=bool)
    alone = np.zeros(3)
    scores = inside_only(membership, np.array([[-1, 1, 0], [1, 1, 0], [-1, 0, 1], [-1, -1, 1.0]]))
    predicted = inside_only(membership, np.array([[-9, 9, 0], [-9, 9, 0], [-9, 0, 9], [9, -9, 9.0]]))
    two, three = f1_by_size(predicted, membership, scores, alone)
    # Size 2: task 0 has 2 hits and 1 false alarm; the others neither suffer nor are said to.
    assert (two.size, two.f1, two.n_tasks, two.n_scores) == (2, pytest.approx(0.8), 1, 6)
    assert two.prevalence == pytest.approx(2 / 6)
    # Size 3: task 0 is missed (F1 0), task 1 is hit (F1 1).
    assert (three.size, three.f1, three.n_tasks) == (3, 0.5, 2)


def test_a_predictor_in_its_own_units_has_its_own_threshold():
    membership = np.ones((2, 2), dtype=bool)
    scores = np.array([[5.0, 7.0], [3.0, 9.0]])
    relative = np.array([[0.1, -0.1], [-0.1, 0.1]])
    (one,) = f1_by_size(relative, membership, scores, [4.0, 8.0], predicted_alone=[0.0, 0.0])
    assert one.f1 == 1.0


def test_the_linear_surrogate_stays_accurate_where_pairs_do_not():
    # Fig. 8. Harm grows faster than the company, so that means over pairs see too little of it.
    rng = np.random.default_rng(0)
    n = 10
    theta = 0.2 * rng.normal(size=(n, n))
    np.fill_diagonal(theta, 0.3)

    def f(membership):
        size = membership.sum(1, keepdims=True)
        return membership @ theta.T - 0.02 * (size - 1) ** 2 + 0.02 * rng.normal(size=membership.shape)

    train = np.concatenate([uniform_design(rng, n, size, 60) for size in range(2, 7)])
    held_out = np.concatenate([uniform_design(rng, n, size, 60) for size in range(2, 7)])
    singles = np.eye(n, dtype=bool)
    alone = np.diag(f(singles))
    pairs = train[train.sum(1) == 2]
    observed = inside_only(held_out, f(held_out))
    surrogate = LinearSurrogate().fit(train, inside_only(train, f(train)))
    linear = f1_by_size(surrogate.predict(held_out), held_out, observed, alone)
    by_pairs = mean_of_pairs(pairwise(pairs, inside_only(pairs, f(pairs))), held_out)
    average = f1_by_size(by_pairs, held_out, observed, alone)
    assert [score.size for score in linear] == [2, 3, 4, 5, 6]
    assert min(score.f1 for score in linear) > 0.9
    assert average[-1].f1 < linear[-1].f1 - 0.05


def test_no_harm_anywhere_leaves_f1_undefined():
    membership = np.ones((2, 2), dtype=bool)
    (one,) = f1_by_size(np.ones((2, 2)), membership, np.ones((2, 2)), [0.0, 0.0])
    assert np.isnan(one.f1)
    assert one.n_tasks == 0
    with pytest.raises(InputError, match="predicted must have shape"):
        f1_by_size(np.ones((2, 3)), membership, np.ones((2, 2)), [0.0, 0.0])
