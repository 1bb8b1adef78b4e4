import numpy as np
import pytest
from affinity_designs import uniform_design
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.affinity import by_evidence

N, CANDIDATES = 10, [0.01, 0.1, 1.0, 10.0, 100.0]


def world(seed, runs, *, right, correlation, best):
    """Scores that one candidate's predictions correlate with; another has the least loss."""
    rng = np.random.default_rng(seed)
    inside = uniform_design(rng, N, 3, runs)
    predicted = [np.where(inside, rng.normal(size=inside.shape) - 2.0, np.nan) for _ in CANDIDATES]
    predicted[best] = predicted[best] + 0.5
    mean, noise = (
        np.nan_to_num(predicted[right] - np.nanmean(predicted[right])),
        rng.normal(size=inside.shape),
    )
    f = correlation * mean + np.sqrt(1 - correlation**2) * noise
    units, levels = np.exp(rng.normal(size=N)), 5.0 * rng.normal(size=N)
    return inside, np.where(inside, levels + units * f, np.nan), predicted


def test_many_runs_decide_and_say_so():
    inside, f, predicted = world(0, 80, right=3, correlation=0.8, best=2)
    found = by_evidence(CANDIDATES, predicted, inside, f)
    assert found.told
    assert found.prior == 1.0
    assert found.low <= 10.0 <= found.high
    assert found.value == pytest.approx(10.0, rel=0.2)
    assert max(found.log_evidence, key=found.log_evidence.get) == 10.0


def test_without_runs_or_difference_the_gradients_decide():
    inside, f, predicted = world(1, 12, right=3, correlation=0.8, best=1)
    for nothing in (np.full_like(f, np.nan), np.where(inside, 3.0, np.nan)):
        found = by_evidence(CANDIDATES, predicted, inside, nothing)
        assert not found.told
        assert found.prior == 0.1
        assert found.low < 0.1 < found.high
        assert 0.02 < found.value < 0.5  # the prior is cut at the least candidate


def test_a_few_runs_of_noise_seldom_overrule_the_gradients():
    moved = []
    for seed in range(40):
        inside, _, predicted = world(seed, 12, right=0, correlation=0.5, best=2)
        noise = np.where(inside, np.random.default_rng(seed).normal(size=inside.shape), np.nan)
        moved.append(np.log10(by_evidence(CANDIDATES, predicted, inside, noise).value))
    assert np.mean(np.abs(moved)) < 0.6
    assert abs(np.mean(moved)) < 0.3


def test_tasks_alone_and_all_together_count_beyond_what_their_size_does():
    inside, f, predicted = world(3, 40, right=3, correlation=0.8, best=2)
    more = np.concatenate([np.eye(N, dtype=bool), np.ones((1, N), dtype=bool)])
    rng = np.random.default_rng(0)
    wider = [np.concatenate([p, np.where(more, rng.normal(size=more.shape), np.nan)]) for p in predicted]
    # The sizes differ by far more than any prediction says, alike for all tasks.
    unit = np.nanstd(f, axis=0)
    offset = np.where(more.sum(1) == 1, 30.0, -30.0)[:, None] * unit
    scores = np.concatenate(
        [f, np.where(more, np.nanmean(f, 0) + offset + 0.1 * unit * wider[3][40:], np.nan)]
    )
    both = np.concatenate([inside, more])
    assert by_evidence(CANDIDATES, wider, both, scores).value == pytest.approx(10.0, rel=0.3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100.0), st.floats(-50.0, 50.0))
def test_units_and_levels_of_tasks_do_not_matter(seed, unit, level):
    inside, f, predicted = world(seed, 20, right=3, correlation=0.7, best=2)
    plain = by_evidence(CANDIDATES, predicted, inside, f)
    units = np.where(np.arange(N) % 2, unit, 1.0)
    other = by_evidence(CANDIDATES, predicted, inside, f * unit + level)
    mixed = by_evidence(CANDIDATES, predicted, inside, f + level * units)
    for found in (other, mixed):
        assert found.value == pytest.approx(plain.value, rel=1e-4)
        assert found.told == plain.told
