"""The solver's conduct: limits, interrupts, warm starts, progress, exact settling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.benchmark.planted import block_model, fig2, noise
from cotune.grouping import SDPClustering, exact_partitions
from cotune.grouping.acceleration import Anderson
from cotune.grouping.eigen import FilteredEigenspace, capped_weights, simplex_weights, top_eigenpairs


def test_progress_reports_rising_objectives_and_falling_bounds():
    heard = []
    SDPClustering(4, callback=lambda *state: heard.append(state)).fit(noise(0, 60))
    iterations, objectives, bounds = zip(*heard, strict=True)
    assert list(iterations) == sorted(iterations)
    assert list(objectives) == sorted(objectives)
    assert list(bounds) == sorted(bounds, reverse=True)
    assert objectives[-1] <= bounds[-1]


def test_an_interrupt_ends_the_fit_and_is_not_kept_back():
    def stop(iteration, value, bound):
        if iteration >= 10:
            raise KeyboardInterrupt

    model = SDPClustering(4, callback=stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(noise(1, 60))
    assert not hasattr(model, "labels_")


def test_the_time_limit_and_the_iteration_limit_are_named_in_the_status():
    T = noise(2, 60)
    assert SDPClustering(4, time_limit=0.0).fit(T).status_ == "time_limit"
    limited = SDPClustering(4, max_iter=7).fit(T)
    assert limited.status_ == "max_iter"
    assert limited.n_iter_ == 7
    assert limited.upper_bound_ >= SDPClustering(4).fit(T).objective_


def test_small_problems_that_the_relaxation_leaves_open_are_settled_exactly():
    T = noise(3, 10)
    model, plain = SDPClustering(3).fit(T), SDPClustering(3, exact_max=0).fit(T)
    assert plain.status_ == "solved"
    assert model.certified_
    assert model.upper_bound_ == pytest.approx(model.objective_)
    assert model.objective_ == pytest.approx(exact_partitions(T, 3)[3].objective)
    assert model.sdp_bound_ == pytest.approx(plain.upper_bound_)
    assert model.sdp_bound_ > model.upper_bound_


def test_fifteen_of_fifteen_random_problems_are_optimal_without_exact_search():
    for seed in range(15):
        T = noise(seed, 12)
        k = 2 + seed % 3
        assert SDPClustering(k, exact_max=0).fit(T).objective_ == pytest.approx(
            exact_partitions(T, k)[k].objective
        )


def test_warm_starts_reach_the_same_answer():
    planted = block_model(1, 60, 4, snr=1.2)
    cold = SDPClustering(4).fit(planted.matrix)
    from_labels = SDPClustering(4, warm_start=planted.labels).fit(planted.matrix)
    from_x = SDPClustering(4, warm_start=cold.X_).fit(planted.matrix)
    assert np.array_equal(cold.labels_, from_labels.labels_)
    assert np.array_equal(cold.labels_, from_x.labels_)


def test_labels_of_another_number_of_groups_do_not_disturb():
    planted = block_model(2, 40, 4)
    model = SDPClustering(4, warm_start=np.zeros(40)).fit(planted.matrix)
    assert np.array_equal(model.labels_, planted.labels)


def test_a_filtered_block_and_a_full_decomposition_solve_alike():
    T = fig2(3, 90).matrix
    a = SDPClustering(3).fit(T)
    shuffled = np.random.default_rng(0).permutation(90)
    b = SDPClustering(3, random_state=1).fit(T[np.ix_(shuffled, shuffled)])
    assert a.sdp_value_ == pytest.approx(b.sdp_value_, rel=1e-5)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), m=st.integers(1, 20), data=st.data())
def test_weights_are_projections(seed, m, data):
    rng = np.random.default_rng(seed)
    values = np.sort(rng.standard_normal(m) * 3)
    total = data.draw(st.floats(0.01, m))
    for x, highest in ((simplex_weights(values, total), np.inf), (capped_weights(values, total), 1.0)):
        assert x.min() >= 0
        assert x.max() <= highest + 1e-12
        assert x.sum() == pytest.approx(total)
        shares = rng.dirichlet(np.ones(m)) * total
        if shares.max() <= highest:  # the projection makes an obtuse angle with every feasible point
            assert (values - x) @ (shares - x) <= 1e-9 * (1 + m)


@pytest.mark.parametrize("rank", [3, 10])
def test_the_filtered_block_follows_a_drifting_matrix(rank):
    rng = np.random.default_rng(0)
    n = 150
    U = np.linalg.qr(rng.standard_normal((n, rank)))[0]
    N = rng.standard_normal((n, n)) / np.sqrt(n)
    B = 8 * U @ U.T + (N + N.T) / 2
    tracker = FilteredEigenspace(n, simplex_weights, rng)
    J = np.eye(n) - 1 / n
    for _ in range(5):
        D = rng.standard_normal((n, n)) * 0.01
        B = B + D + D.T
        x, Q = tracker.top(B, 2.0, 1e-8)
        values, vectors = np.linalg.eigh(J @ B @ J)
        assert x.sum() == pytest.approx(2.0)
        assert np.abs(Q.sum(axis=0)).max() < 1e-9
        assert np.abs(Q.T @ Q - np.eye(len(x))).max() < 1e-9
        assert np.allclose((Q * x) @ Q.T, (vectors * simplex_weights(values, 2.0)) @ vectors.T, atol=1e-6)


def test_leading_eigenpairs_of_a_large_matrix_are_close_enough_to_propose_with():
    planted = block_model(5, 500, 6)
    S = (planted.matrix + planted.matrix.T) / 2
    C = S - S.mean(axis=0) - S.mean(axis=1)[:, None] + S.mean()
    values, vectors = top_eigenpairs(C, 5, np.random.default_rng(0))
    exact = np.linalg.eigvalsh(C)[-5:]
    assert np.allclose(values, exact, rtol=1e-3)
    assert np.abs(vectors.sum(axis=0)).max() < 1e-9


def test_acceleration_solves_a_linear_map_in_few_steps_and_never_diverges():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((30, 30))
    A *= 0.98 / np.abs(np.linalg.eigvals(A)).max()
    A = (A + A.T) / 2 * 0.9
    A *= 0.99 / np.abs(np.linalg.eigvalsh(A)).max()
    b = rng.standard_normal(30)
    solution = np.linalg.solve(np.eye(30) - A, b)
    plain = point = np.zeros(30)
    anderson = Anderson(10, 5)
    for _ in range(120):
        plain = A @ plain + b
        point = anderson.advance(point, A @ point + b)
    assert np.linalg.norm(point - solution) < 1e-2 * np.linalg.norm(plain - solution)
