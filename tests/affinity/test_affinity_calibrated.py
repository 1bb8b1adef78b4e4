import numpy as np
import pytest
from affinity_designs import all_subsets, inside_only, off_diagonal, uniform_design

from cotune.affinity import calibrated, higher_order, spread_tasks
from cotune.exceptions import InputError

N, SIZE = 10, 3
POOL = all_subsets(N, SIZE)
OFF = off_diagonal(N)


def world(rng, error=0.3):
    """Scores of all subsets, with interactions and a unit for each task, and flawed predictions of them."""
    X = POOL.astype(float)
    pairs = 0.7 * rng.normal(size=(N, N, N)) * np.tri(N, k=-1)
    unit = np.exp(rng.normal(size=N))
    f = (X @ rng.normal(size=(N, N)).T + np.einsum("rj,rk,ijk->ri", X, X, pairs)) * unit
    wrong = 3.0 + 0.6 * f + error * rng.normal(size=f.shape) * unit
    return inside_only(POOL, f), inside_only(POOL, wrong), unit


def train(rng, truth, unit, m, replace=False):
    while True:
        rows = rng.choice(len(POOL), m, replace=replace)
        if POOL[rows].any(0).all():
            return rows, truth[rows] + 0.3 * unit * rng.normal(size=(m, N))


def test_without_bias_whatever_the_predictions():
    rng = np.random.default_rng(0)
    truth, predicted, unit = world(rng)
    T = higher_order(POOL, truth).matrix
    for p in (predicted, -predicted, inside_only(POOL, rng.normal(size=POOL.shape))):
        errors = []
        for _ in range(100):
            rows, scores = train(rng, truth, unit, 30)
            found = calibrated(POOL[rows], scores, p[rows], POOL, p, shrink=False).affinity.matrix
            errors.append(((found - T) / unit[:, None])[OFF])
        mean, spread = (
            np.nanmean(errors, axis=0),
            np.nanstd(errors, axis=0) / np.sqrt(np.isfinite(errors).sum(0)),
        )
        assert np.mean(np.abs(mean) < 3 * spread) > 0.96
        assert abs(mean.mean()) < 0.04


@pytest.mark.parametrize("shrink", [True, False])
def test_standard_errors_cover_the_truth(shrink):
    hits = []
    for repeat in range(200):
        rng = np.random.default_rng(repeat)
        truth, predicted, unit = world(rng, error=1.0)
        T = higher_order(POOL, truth).matrix
        rows, scores = train(rng, truth, unit, 30)
        found = calibrated(POOL[rows], scores, predicted[rows], POOL, predicted, shrink=shrink).affinity
        known = OFF & np.isfinite(found.stderr)
        hits.append((np.abs(found.matrix - T) <= 1.96 * found.stderr)[known].mean())
    assert 0.90 <= np.mean(hits) <= 0.98


def test_good_predictions_are_worth_many_runs_and_bad_ones_do_no_harm():
    error = {}
    for name, noise in (("good", 0.15), ("useless", 50.0)):
        for repeat in range(20):
            rng = np.random.default_rng(repeat)
            truth, predicted, unit = world(rng, noise)
            T = higher_order(POOL, truth).matrix
            rows, scores = train(rng, truth, unit, 24)
            found = calibrated(POOL[rows], scores, predicted[rows], POOL, predicted)
            plain = higher_order(POOL[rows], scores)
            met = OFF & (plain.counts > 0)
            for key, matrix in ((name, found.affinity.matrix), (name + " plain", plain.matrix)):
                error.setdefault(key, []).append(np.sqrt(np.mean((((matrix - T) / unit[:, None])[met]) ** 2)))
            if name == "good":
                assert np.nanmedian(found.unexplained) < 0.4
                assert np.isfinite(found.affinity.matrix).all()  # also pairs without a run
                assert (found.affinity.counts[OFF] == 0).any()
    median = {key: np.median(values) for key, values in error.items()}
    assert median["good"] < median["good plain"] / 2.5
    assert median["useless"] < 1.05 * median["useless plain"]


def test_few_runs_leave_fair_predictions_in_force_and_many_overrule_wrong_ones():
    agreement, slopes = [], []
    for repeat in range(20):
        rng = np.random.default_rng(repeat)
        truth, predicted, unit = world(rng, error=1.0)
        T = higher_order(POOL, truth).matrix
        first = spread_tasks(N, SIZE, 7, repeat)
        rows = [int(np.flatnonzero(POOL[:, subset].all(1))[0]) for subset in first]
        scores = truth[rows] + 6.0 * unit * rng.normal(size=(len(rows), N))
        found = calibrated(POOL[rows], scores, predicted[rows], POOL, predicted).affinity.matrix
        agreement += [
            np.corrcoef(row[keep], want[keep])[0, 1] for row, want, keep in zip(found, T, OFF, strict=True)
        ]
        rows, scores = train(rng, truth, unit, 90)
        slopes.append(calibrated(POOL[rows], scores, -predicted[rows], POOL, -predicted).slopes)
    assert np.mean(agreement) > 0.75
    assert np.median(slopes) < -0.5


def test_perfect_predictions_leave_no_error():
    rng = np.random.default_rng(2)
    truth, _, _ = world(rng)
    rows, _ = train(rng, truth, np.ones(N), 40)
    predicted = 5.0 * truth - 2.0
    for shrink in (True, False):
        found = calibrated(POOL[rows], truth[rows], predicted[rows], POOL, predicted, shrink=shrink)
        np.testing.assert_allclose(found.slopes, 0.2)
        known = np.isfinite(found.affinity.matrix)
        np.testing.assert_allclose(
            found.affinity.matrix[known], higher_order(POOL, truth).matrix[known], atol=1e-6
        )


def test_a_sampled_pool_adds_its_own_error():
    rng = np.random.default_rng(3)
    truth, predicted, unit = world(rng)
    rows, scores = train(rng, truth, unit, 40)
    part = rng.permutation(len(POOL))[:60]
    whole = calibrated(POOL[rows], scores, predicted[rows], POOL, predicted).affinity
    sampled = calibrated(POOL[rows], scores, predicted[rows], POOL[part], predicted[part]).affinity
    assert (sampled.stderr > whole.stderr).mean() > 0.9


def test_permuting_tasks_permutes_the_estimate():
    rng = np.random.default_rng(4)
    truth, predicted, unit = world(rng)
    rows, scores = train(rng, truth, unit, 25)
    order = rng.permutation(N)
    for shrink in (True, False):
        plain = calibrated(POOL[rows], scores, predicted[rows], POOL, predicted, shrink=shrink).affinity
        moved = calibrated(
            POOL[rows][:, order],
            scores[:, order],
            predicted[rows][:, order],
            POOL[:, order],
            predicted[:, order],
            shrink=shrink,
        ).affinity
        np.testing.assert_allclose(moved.matrix, plain.matrix[np.ix_(order, order)], rtol=1e-5, atol=1e-6)


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(5)
    _, predicted, _ = world(rng)
    pairs = uniform_design(rng, N, 2, 30)
    with pytest.raises(InputError, match=r"one size of at least 2, got sizes \[2, 3\]"):
        calibrated(pairs, inside_only(pairs, 1.0), inside_only(pairs, 1.0), POOL, predicted)
    apart = POOL[~(POOL[:, 0] & POOL[:, 1])]
    with pytest.raises(InputError, match="Tasks 0 and 1 are in no subset of the pool"):
        calibrated(POOL, predicted, predicted, apart, inside_only(apart, 1.0))
    without = POOL[~POOL[:, 3]]
    with pytest.raises(InputError, match="Task 3 is in no trained run"):
        calibrated(without, inside_only(without, 1.0), inside_only(without, 1.0), POOL, predicted)
