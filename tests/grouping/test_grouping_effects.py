"""The most likely variance of effects, against the likelihood of each variance itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune.grouping.effects import VARIANCES, Effects


def minus_log_likelihood(total, weight, s2, variance, mean):
    """Return that of the means total / weight, normal with variance s2 (variance + 1 / weight)."""
    spread = s2 * (variance + 1.0 / weight)
    return float((np.log(spread) + (total / weight - mean) ** 2 / spread).sum())


@pytest.mark.parametrize("alike", [True, False])
@given(seed=st.integers(0, 10_000), true=st.sampled_from([0.0, 0.3, 30.0]))
def test_no_other_variance_is_more_likely(alike, seed, true):
    rng = np.random.default_rng(seed)
    weight = np.full(7, 4.0) if alike else rng.uniform(0.5, 9.0, 7)
    s2 = float(rng.uniform(0.1, 3.0))
    for middle in (0.0, 1.5):
        means = middle + rng.normal(size=7) * np.sqrt(s2 * (true + 1.0 / weight))
        total = means * weight
        effects = Effects(weight)
        if middle == 0:
            variance = effects.variance(total, s2)
            centres = np.zeros(len(VARIANCES))
        else:
            variance, mean = effects.variance_and_mean(total, s2)
            share = weight / (1.0 + VARIANCES[:, None] * weight)
            centres = np.maximum((share * means).sum(1) / share.sum(1), 0.0)
            assert mean == pytest.approx(centres[variance == VARIANCES][0])
        costs = [
            minus_log_likelihood(total, weight, s2, v, c) for v, c in zip(VARIANCES, centres, strict=True)
        ]
        chosen = costs[int(np.flatnonzero(variance == VARIANCES)[0])]
        assert chosen == pytest.approx(min(costs), abs=1e-9)


def test_nothing_observed_has_no_variance():
    none = Effects(np.zeros(0))
    assert none.variance(np.zeros(0), 1.0) == VARIANCES[0]
    assert none.variance_and_mean(np.zeros(0), 1.0) == (VARIANCES[0], 0.0)
