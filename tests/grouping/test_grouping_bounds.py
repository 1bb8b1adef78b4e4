"""Upper bounds and certificates: never below the exact optimum, tight where the groups are clear."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.benchmark.planted import block_model, fig2
from cotune.grouping import SDPClustering, exact_partitions, objective
from cotune.grouping._partition import density_sum
from cotune.grouping._problem import CentredProblem
from cotune.grouping.bounds import cholesky_bound, eigenvalue_bound, ritz_estimate
from cotune.grouping.certificate import DualForm, certify


def random_matrix(seed: int, n: int) -> np.ndarray:
    """Noise, clear blocks, blocks in noise or a low-rank matrix, by turns."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, n))
    labels = rng.integers(0, 3, n)
    blocks = (labels[:, None] == labels[None, :]).astype(float)
    factor = rng.standard_normal((n, 2))
    return [noise, blocks + 0.05 * noise, blocks + 0.5 * noise, factor @ factor.T][seed % 4]


@settings(max_examples=1000, deadline=None)
@given(seed=st.integers(0, 10**9), n=st.integers(3, 9), data=st.data())
def test_no_bound_is_ever_below_the_exact_optimum(seed, n, data):
    k = data.draw(st.integers(2, n))
    T = random_matrix(seed, n)
    rng = np.random.default_rng(seed + 1)
    problem = CentredProblem.from_affinity(T, k)
    optimum = exact_partitions(problem.C, k)[k]
    floor = optimum.objective - 1e-12 * n
    Y = np.abs(rng.standard_normal((n, n))) * rng.choice([0.0, 0.1, 1.0])
    Y += Y.T
    basis = rng.standard_normal((n, min(n - 1, k + 2)))
    assert eigenvalue_bound(problem.C, Y, k) >= floor
    assert cholesky_bound(problem.C, Y, k, basis, 0.1) >= floor
    if not problem.flat and k < n:
        form = DualForm(problem.C, optimum.labels, k)
        assert certify(problem, form, optimum.objective, 1e-5).bound >= floor


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**9), n=st.integers(4, 10), k=st.integers(2, 4))
def test_the_solver_never_claims_less_than_the_exact_optimum(seed, n, k):
    T = random_matrix(seed, n)
    best = exact_partitions(T, k)[k]
    model = SDPClustering(k, exact_max=0).fit(T)
    slack = 1e-9 * max(1.0, abs(best.objective))
    assert model.objective_ <= best.objective + slack
    assert model.upper_bound_ >= best.objective - slack
    assert model.sdp_bound_ >= best.objective - slack
    if model.certified_:
        assert model.objective_ >= best.objective - 1e-4 * max(1.0, abs(best.objective))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_both_factorisations_agree_when_the_basis_is_right(seed):
    rng = np.random.default_rng(seed)
    problem = CentredProblem.from_affinity(random_matrix(seed, 30), 4)
    Y = np.abs(rng.standard_normal((30, 30))) * 0.1
    Y += Y.T
    B = problem.C + Y
    row = B.mean(axis=0)
    vectors = np.linalg.eigh(B - row - row[:, None] + row.mean() - 100 / 30)[1]
    exact = eigenvalue_bound(problem.C, Y, 4)
    assert cholesky_bound(problem.C, Y, 4, vectors[:, -6:], 1e-6) == pytest.approx(exact, abs=2e-6)
    assert ritz_estimate(problem.C, Y, 4, vectors[:, -6:]) == pytest.approx(exact, abs=1e-9)
    assert ritz_estimate(problem.C, Y, 4, rng.standard_normal((30, 6))) <= exact


def test_a_degenerate_leading_eigenvalue_is_counted_with_its_multiplicity():
    # k - 1 equal eigenvalues are what a single-vector Lanczos method loses.
    labels = np.repeat(np.arange(10), 10)
    problem = CentredProblem.from_affinity((labels[:, None] == labels[None, :]).astype(float), 10)
    value = density_sum(problem.C, labels, 10)
    assert eigenvalue_bound(problem.C, np.zeros((100, 100)), 10) == pytest.approx(value, rel=1e-9)
    assert eigenvalue_bound(problem.C, np.zeros((100, 100)), 10) >= value


def test_the_dual_form_has_the_sums_that_slackness_asks_for():
    planted = block_model(0, 60, 4)
    problem = CentredProblem.from_affinity(planted.matrix, 4)
    form = DualForm(problem.C, planted.labels, 4)
    lower, upper = form.limits
    assert 0 < lower < upper
    Y = form.matrix((lower + upper) / 2, 1e-9)
    assert Y.min() >= 0
    assert np.array_equal(Y, Y.T)
    assert (Y[planted.labels[:, None] == planted.labels[None, :]] == 0).all()
    sums = form.sums((lower + upper) / 2)
    assert np.abs((Y @ form.V)[form.order] - sums).max() <= 1e-8 * sums.max()


@pytest.mark.parametrize("planted", [block_model(1, 100, 5), fig2(0, 500), block_model(2, 300, 12)])
def test_clear_groups_are_proven_without_iterating(planted):
    model = SDPClustering(planted.n_clusters).fit(planted.matrix)
    assert np.array_equal(model.labels_, planted.labels)
    assert model.certified_
    assert model.n_iter_ == 0
    assert model.gap_ <= 1e-5


def test_a_loose_relaxation_is_solved_and_said_to_be_loose():
    T = np.random.default_rng(3).standard_normal((60, 60))
    model = SDPClustering(4).fit(T)
    assert model.status_ == "solved"
    assert not model.certified_
    assert model.sdp_gap_ <= 1e-5 < 1e-2 < model.gap_
    assert model.objective_ == pytest.approx(objective(T, model.labels_))
    X = model.X_
    assert np.abs(X.sum(axis=1) - 1).max() < 1e-9
    assert np.trace(X) == pytest.approx(4)
    assert np.linalg.eigvalsh(X)[0] > -1e-9
    assert X.min() >= -1e-5
    assert np.vdot(X, (T + T.T) / 2) == pytest.approx(model.sdp_value_)


@pytest.mark.parametrize(("n", "k"), [(40, 3), (80, 7)])
def test_the_value_agrees_with_a_generic_conic_solver(n, k):
    cvxpy = pytest.importorskip("cvxpy")
    T = np.random.default_rng(n + k).standard_normal((n, n))
    X = cvxpy.Variable((n, n), PSD=True)
    problem = cvxpy.Problem(
        cvxpy.Maximize(cvxpy.trace((T + T.T) / 2 @ X)), [X @ np.ones(n) == 1, cvxpy.trace(X) == k, X >= 0]
    )
    value = problem.solve(solver=cvxpy.SCS, eps_abs=1e-4, eps_rel=1e-4)
    assert SDPClustering(k).fit(T).sdp_value_ == pytest.approx(value, rel=2e-3)
