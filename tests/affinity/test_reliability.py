import numpy as np
import pytest
from affinity_designs import uniform_design

from cotune.affinity import reliability

N = 12


def scores_of(rng, membership, signal):
    """Levels and units of the tasks' own; of the variance within a task a part comes from companions."""
    effects = rng.normal(size=(N, N))
    np.fill_diagonal(effects, 0.0)
    truth = membership @ effects.T
    inside = np.where(membership, truth, np.nan)
    truth = (truth - np.nanmean(inside, 0)) / np.nanstd(inside, 0)
    noisy = np.sqrt(signal) * truth + np.sqrt(1.0 - signal) * rng.normal(size=truth.shape)
    return np.where(membership, 10.0 * rng.normal(size=N) + np.exp(rng.normal(size=N)) * noisy, np.nan)


@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("signal", [0.3, 0.7])
def test_the_share_of_the_company_is_found(signal, repeats):
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        membership = np.repeat(uniform_design(rng, N, 3, 60), repeats, axis=0)
        told = reliability(membership, scores_of(rng, membership, signal))
        found.append(told.share)
    assert np.mean(found) == pytest.approx(signal, abs=0.08)


@pytest.mark.parametrize("repeats", [1, 2])
def test_noise_is_called_noise_and_signal_is_not(repeats):
    beyond = {0.0: 0, 0.5: 0}
    for signal in beyond:
        for seed in range(40):
            rng = np.random.default_rng(seed)
            membership = np.repeat(uniform_design(rng, N, 3, 40), repeats, axis=0)
            beyond[signal] += reliability(membership, scores_of(rng, membership, signal)).beyond_chance
    assert beyond[0.0] <= 5
    assert beyond[0.5] >= 36


def test_what_runs_cannot_tell_is_not_said():
    rng = np.random.default_rng(0)
    pairs = np.array([[i in (a, b) for i in range(6)] for a in range(6) for b in range(a)])
    assert np.isnan(reliability(pairs, rng.normal(size=pairs.shape)).share)  # companions of one run each
    same = np.ones((5, 3), dtype=bool)
    assert np.isnan(reliability(uniform_design(rng, N, 3, 40), np.ones((40, N))).share)
    assert np.isnan(reliability(same, rng.normal(size=(5, 3))).share)  # one subset: nothing to differ from
    twice = np.repeat(pairs, 2, axis=0)
    assert reliability(twice, rng.normal(size=twice.shape)).share < 0.6
