import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cotune.findings.transfer import cluster_bootstrap, paired_effect, pooled_correlation, within_correlation


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 60), st.integers(0, 2**32 - 1), st.floats(-2, 2))
def test_pearson_with_interval_and_p_is_that_of_scipy(n, seed, slope):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = slope * x + rng.normal(size=n)
    found, known = pooled_correlation(x, y), stats.pearsonr(x, y)
    interval = known.confidence_interval(0.95)
    assert found.r == pytest.approx(known.statistic, rel=1e-9)
    assert found.p == pytest.approx(known.pvalue, rel=1e-6, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.n == n


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [2.0]), ([1, 1, 1], [1, 2, 3]), ([1, 2], [3, 4])])
def test_what_has_no_correlation_has_none(x, y):
    found = pooled_correlation(x, y)
    assert math.isnan(found.p)
    assert math.isnan(found.low)


def test_a_perfect_line():
    found = pooled_correlation([1, 2, 3, 4, 5], [2, 4, 6, 8, 10])
    assert found.r == 1
    assert found.p < 1e-12


def test_within_groups_difficulty_does_not_count():
    """Ten tasks of very different difficulty, within which the two go against one another."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 8)
    inner = rng.normal(size=80)
    difficulty = 20.0 * groups
    x, y = difficulty + inner, difficulty - inner + 0.1 * rng.normal(size=80)
    assert pooled_correlation(x, y).r > 0.99
    within = within_correlation(x, y, groups.tolist())
    assert within.r < -0.95
    assert within.high < -0.9


def test_within_is_the_slope_of_an_analysis_of_covariance():
    """Bakdash and Marusich (2017): r^2 is the covariate's share, p that of its F test."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(5), 6)
    x = rng.normal(size=30) + groups
    y = 0.4 * x + rng.normal(size=30)
    dummies = np.eye(5)[groups]

    def residual(design):
        return float(np.linalg.lstsq(design, y, rcond=None)[1][0])

    without, full = residual(dummies), residual(np.column_stack([dummies, x]))
    freedom = 30 - 5 - 1
    f = (without - full) / (full / freedom)
    found = within_correlation(x, y, groups.tolist())
    assert found.r == pytest.approx(math.sqrt((without - full) / without))
    assert found.p == pytest.approx(stats.f(1, freedom).sf(f))
    half = 1.959963984540054 / math.sqrt(freedom - 1)
    assert math.atanh(found.high) - math.atanh(found.r) == pytest.approx(half)


def test_the_interval_over_tasks_is_wider_where_points_of_a_task_are_alike():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(12), 20)
    a, b = rng.normal(size=12), rng.normal(size=12)
    x = a[groups] + 0.1 * rng.normal(size=240)
    y = (0.5 * a + b)[groups] + 0.1 * rng.normal(size=240)
    naive = pooled_correlation(x, y)
    low, high = cluster_bootstrap(x, y, groups.tolist(), repeats=400)
    assert high - low > 1.8 * (naive.high - naive.low)
    assert low < naive.r < high
    assert (low, high) == cluster_bootstrap(x, y, groups.tolist(), repeats=400)
    inner = cluster_bootstrap(x, y, groups.tolist(), within=True, repeats=400)
    assert inner[0] < within_correlation(x, y, groups.tolist()).r < inner[1]
    assert all(map(math.isnan, cluster_bootstrap(x, y, [0] * 240)))


def test_paired_effects_respect_tasks_and_seeds():
    # Tasks differ in their effect, seeds do not.
    differences = [1.0, 1.0, 3.0, 3.0]
    effect = paired_effect(differences, ["a", "a", "b", "b"], [0, 1, 0, 1])
    assert effect.mean == 2
    assert effect.stderr_tasks == pytest.approx(1.0)
    assert effect.stderr_seeds == 0
    assert math.isnan(paired_effect([1.0], ["a"], [0]).stderr_tasks)
    assert math.isnan(paired_effect([], [], []).mean)
