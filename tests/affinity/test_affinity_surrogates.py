import numpy as np
import pytest
from affinity_designs import all_subsets, inside_only, off_diagonal, uniform_design
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from cotune.affinity import KernelSurrogate, LinearSurrogate, eq8_factor, higher_order
from cotune.exceptions import InputError

N = 8
OFF = off_diagonal(N)


def linear_truth(theta, membership):
    return membership @ theta.T


def interacting_truth(theta, pairs, membership):
    X = membership.astype(float)
    return X @ theta.T + np.einsum("rj,rk,ijk->ri", X, X, pairs)


def interacting(rng, n=N):
    return rng.normal(size=(n, n)), rng.normal(size=(n, n, n)) * np.tri(n, k=-1)


def differences(matrix, row):
    """theta_ij - theta_ik for all j, k other than i."""
    others = np.delete(matrix[row], row)
    return others[:, None] - others


def test_least_squares_recovers_theta_exactly_from_a_linear_function_of_subsets_of_many_sizes():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(N, N))
    membership = rng.random((120, N)) < 0.5
    fitted = LinearSurrogate(ridge=0).fit(
        membership, inside_only(membership, linear_truth(theta, membership))
    )
    np.testing.assert_allclose(fitted.theta_.matrix, theta, atol=1e-10)


def test_with_one_size_the_differences_are_recovered():
    rng = np.random.default_rng(1)
    theta = rng.normal(size=(N, N))
    membership = uniform_design(rng, N, 3, 150)
    scores = inside_only(membership, linear_truth(theta, membership))
    for fitted in (LinearSurrogate(ridge=0), LinearSurrogate()):
        found = fitted.fit(membership, scores).theta_.matrix
        for i in range(N):
            np.testing.assert_allclose(differences(found, i), differences(theta, i), atol=1e-4)
            np.testing.assert_allclose(np.delete(found[i], i).sum(), 0, atol=1e-4)
    np.testing.assert_allclose(fitted.predict(membership), scores, atol=1e-4)


def test_ridge_agrees_with_its_normal_equations():
    rng = np.random.default_rng(2)
    membership = rng.random((30, 5)) < 0.6
    scores = inside_only(membership, 10 + rng.normal(size=membership.shape))
    fitted = LinearSurrogate(ridge=2.5).fit(membership, scores)
    for i in range(5):
        X = membership[membership[:, i]].astype(float)  # column i is the intercept
        penalty = 2.5 * np.diag((np.arange(5) != i).astype(float))
        theta = np.linalg.solve(X.T @ X + penalty, X.T @ scores[membership[:, i], i])
        np.testing.assert_allclose(fitted.theta_.matrix[i], theta)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), size=st.integers(2, 6))
def test_eq8_is_exact_over_all_subsets_whatever_f_is(seed, size):
    rng = np.random.default_rng(seed)
    membership = all_subsets(7, size)
    scores = inside_only(membership, rng.normal(size=membership.shape))
    theta = LinearSurrogate(ridge=0).fit(membership, scores).theta_.matrix
    T = higher_order(membership, scores).matrix
    for i in range(7):
        np.testing.assert_allclose(eq8_factor(7, size) * differences(theta, i), differences(T, i), atol=1e-10)


def test_eq8_bound_over_sampled_subsets_holds_and_shrinks_with_their_number():
    # |c (theta_ij - theta_ik) - (T_ij - T_ik)| <= C log(n / delta) / sqrt(m) with one constant for all m.
    delta, size, repeats = 0.05, 3, 20
    worst = {}
    for m in (150, 600, 2400):
        gaps = []
        for repeat in range(repeats):
            rng = np.random.default_rng(repeat)
            theta, pairs = interacting(rng)
            membership = uniform_design(rng, N, size, m)
            noise = 0.5 * rng.normal(size=membership.shape)
            scores = inside_only(membership, interacting_truth(theta, pairs, membership) + noise)
            found = LinearSurrogate(ridge=0).fit(membership, scores).theta_.matrix
            T = higher_order(membership, scores).matrix
            span = np.nanmax(scores) - np.nanmin(scores)
            gaps.append(
                max(
                    np.abs(eq8_factor(N, size) * differences(found, i) - differences(T, i)).max()
                    for i in range(N)
                )
                / span
            )
        worst[m] = np.quantile(gaps, 1 - delta)
        assert worst[m] <= np.log(N / delta) / np.sqrt(m)
    assert worst[2400] < 0.5 * worst[150]  # at the rate 1 / sqrt(m) it is a quarter


def test_standard_errors_cover_theta_and_higher_order_affinity():
    size, hits_theta, hits_T = 3, [], []
    for repeat in range(200):
        rng = np.random.default_rng(repeat)
        theta = rng.normal(size=(N, N))
        membership = uniform_design(rng, N, size, 60)
        noise = rng.normal(size=membership.shape)
        fitted = LinearSurrogate().fit(membership, inside_only(membership, membership @ theta.T + noise))
        hits_theta.append((np.abs(fitted.theta_.matrix - theta) <= 1.96 * fitted.theta_.stderr)[OFF])
        T = higher_order(all_subsets(N, size), linear_truth(theta, all_subsets(N, size))).matrix
        hits_T.append(np.abs(fitted.affinity(size).matrix - T) <= 1.96 * fitted.affinity(size).stderr)
    assert 0.90 <= np.mean(hits_theta) <= 0.98
    assert 0.90 <= np.mean(hits_T) <= 0.98


def test_kernel_standard_errors_cover_the_truth_under_interactions_and_it_predicts_better():
    size, hits_T, hits_f, ratios = 4, [], [], []
    everything = all_subsets(N, size)
    for repeat in range(200):
        rng = np.random.default_rng(repeat)
        theta, pairs = interacting(rng)
        membership = uniform_design(rng, N, size, 60)
        noise = 0.3 * rng.normal(size=membership.shape)
        scores = inside_only(membership, interacting_truth(theta, pairs, membership) + noise)
        truth = inside_only(everything, interacting_truth(theta, pairs, everything))
        fitted = KernelSurrogate(decay=0.1).fit(membership, scores)
        affinity = fitted.affinity(size)
        hits_T.append(
            np.abs(affinity.matrix - higher_order(everything, truth).matrix) <= 1.96 * affinity.stderr
        )
        if repeat < 40:
            predicted, error = fitted.predict(everything, return_std=True)
            hits_f.append((np.abs(predicted - truth) <= 1.96 * error)[everything])
        if repeat < 10:
            linear = LinearSurrogate().fit(membership, scores).predict(everything)
            ratios.append(np.nanmean((predicted - truth) ** 2) / np.nanmean((linear - truth) ** 2))
    assert 0.90 <= np.mean(hits_T) <= 0.98
    assert 0.90 <= np.mean(hits_f) <= 0.98
    assert max(ratios) < 0.6


def test_the_likelihood_chooses_a_decay_and_tells_interactions_from_additive_scores():
    rng = np.random.default_rng(5)
    theta, pairs = interacting(rng)
    membership = uniform_design(rng, N, 4, 120)
    noise = 0.3 * rng.normal(size=membership.shape)
    for pairs_or_none, kernel_wins in ((pairs, True), (0 * pairs, False)):
        scores = inside_only(membership, interacting_truth(theta, pairs_or_none, membership) + noise)
        kernel = KernelSurrogate().fit(membership, scores)
        linear = LinearSurrogate().fit(membership, scores)
        assert (kernel.decay_ > 0.05) == kernel_wins
        assert (kernel.log_likelihood_ > linear.log_likelihood_ + 10) == kernel_wins


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 100), size=st.integers(2, 6))
def test_affinity_is_the_mean_prediction_over_all_subsets(seed, size):
    rng = np.random.default_rng(seed)
    membership = np.concatenate([uniform_design(rng, 7, 3, 25), uniform_design(rng, 7, 5, 15), np.eye(7) > 0])
    scores = inside_only(membership, rng.normal(size=membership.shape))
    everything = all_subsets(7, size)
    for fitted in (LinearSurrogate(ridge=0.5), KernelSurrogate(ridge=0.3, decay=0.4)):
        fitted.fit(membership, scores)
        expected = higher_order(everything, fitted.predict(everything)).matrix
        affinity = fitted.affinity(size)
        met = affinity.counts > 0
        np.testing.assert_allclose(affinity.matrix[met], expected[met], atol=1e-10)
        assert np.isnan(affinity.matrix[~met]).all()


def test_permuting_tasks_and_changing_units_permutes_and_scales():
    rng = np.random.default_rng(4)
    membership = uniform_design(rng, 6, 3, 50)
    scores = inside_only(membership, rng.normal(size=(50, 6)) + membership @ rng.normal(size=(6, 6)))
    order, scale = rng.permutation(6), np.exp(3 * rng.normal(size=6))
    for surrogate in (LinearSurrogate, KernelSurrogate):
        plain = surrogate().fit(membership, scores).affinity(3)
        moved = surrogate().fit(membership[:, order], (scores * scale + 7)[:, order]).affinity(3)
        expected = plain.matrix * scale[:, None] + 7
        np.testing.assert_allclose(moved.matrix, expected[np.ix_(order, order)], rtol=1e-4)
        np.testing.assert_allclose(
            moved.stderr, (plain.stderr * scale[:, None])[np.ix_(order, order)], rtol=1e-3
        )


def test_pure_noise_is_shrunk_to_nothing():
    rng = np.random.default_rng(6)
    membership = uniform_design(rng, N, 3, 100)
    fitted = LinearSurrogate().fit(membership, inside_only(membership, rng.normal(size=membership.shape)))
    assert np.abs(fitted.theta_.matrix[OFF]).max() < 0.1
    least = LinearSurrogate(ridge=0).fit(membership, inside_only(membership, rng.normal(size=(100, N))))
    assert np.abs(least.theta_.matrix[OFF]).max() > 0.3


def test_pairs_that_never_met_are_missing_and_constant_scores_are_no_trouble():
    membership = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1], [1, 0, 0, 1]], dtype=bool)
    for surrogate in (LinearSurrogate(), KernelSurrogate()):
        fitted = surrogate.fit(membership, np.ones((5, 4)))
        assert np.isnan(fitted.affinity(2).matrix[0, 2])
        assert fitted.affinity(2).counts[0, 2] == 0
        np.testing.assert_allclose(fitted.predict([[1, 0, 1, 0]])[0, [0, 2]], 1.0)


def test_what_does_not_fit_is_refused():
    membership = np.array([[1, 1, 0]], dtype=bool)
    with pytest.raises(InputError, match="Task 2 is in no run"):
        LinearSurrogate().fit(membership, np.ones((1, 3)))
    with pytest.raises(InputError, match="'ridge' parameter must be None or at least 0"):
        LinearSurrogate(ridge=-1)
    with pytest.raises(InputError, match="needs a given 'decay' too"):
        KernelSurrogate(ridge=1.0)
    with pytest.raises(InputError, match="'decay' parameter must be None or positive"):
        KernelSurrogate(decay=0)
    fitted = LinearSurrogate().fit(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(InputError, match="a column a task"):
        fitted.predict([[1, 0]])
    with pytest.raises(InputError, match="from 2 to 3, got 4"):
        fitted.affinity(4)
    with pytest.raises(InputError, match="got n = 5, size = 5"):
        eq8_factor(5, 5)


@pytest.mark.parametrize(
    ("population", "marked", "drawn"), [(6, 2, 3), (6, 5, 4), (40, 12, 9), (3, 0, 2), (4, 4, 4)]
)
def test_the_overlap_of_random_companies_is_hypergeometric(population, marked, drawn):
    surrogate = KernelSurrogate()
    surrogate.decay_ = 0.3
    overlap = np.arange(min(marked, drawn) + 1)
    mean = hypergeom.pmf(overlap, population, marked, drawn) @ np.exp(-0.3 * (marked + drawn - 2.0 * overlap))
    assert surrogate._random_overlap(population, marked, drawn, marked + drawn) == pytest.approx(
        mean, rel=1e-12
    )


@pytest.mark.parametrize("surrogate", [LinearSurrogate, KernelSurrogate])
def test_the_restricted_likelihood_is_that_of_the_dense_model_and_its_ridge_the_best(surrogate):
    rng = np.random.default_rng(4)
    membership = uniform_design(rng, N, 3, 40)
    membership[:, 0] |= rng.random(40) < 0.5  # subsets of several sizes
    scores = inside_only(membership, membership @ rng.normal(size=(N, N)).T + rng.normal(size=(40, N)))
    fitted = surrogate().fit(membership, scores)

    def likelihood(ridge):
        total = 0.0
        for i in range(N):
            rows = membership[:, i]
            company = membership[rows].astype(float)
            company[:, i] = 0.0
            # Coordinates in which the mean, that has a flat prior, is left out.
            rest = np.linalg.qr(np.column_stack([np.ones(len(company)), np.eye(len(company))[:, 1:]]))[0][
                :, 1:
            ]
            A = rest.T @ fitted._kernel(company, company) @ rest + ridge * np.eye(len(company) - 1)
            y = rest.T @ scores[rows, i]
            scale = y @ np.linalg.solve(A, y) / len(y)
            total -= 0.5 * (np.linalg.slogdet(A)[1] + len(y) * np.log(scale))
        return total

    assert fitted.log_likelihood_ == pytest.approx(likelihood(fitted.ridge_))
    assert all(likelihood(fitted.ridge_ * factor) < fitted.log_likelihood_ for factor in (0.5, 0.9, 1.1, 2.0))
