"""The smallest replay: where a planted curve is met, and when nothing is said."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.findings.retention import smallest_ratio

RATIOS = (0.02, 0.06, 0.2, 0.6)


def planted(at, slope=1.5, noise=0.02, seeds=3, floor=0.2, seed=0):
    """Draw what is kept under a curve that keeps 0.9 at a ratio."""
    rng = np.random.default_rng(seed)
    level = math.log((0.9 - floor) / (1 - floor) / (0.1 / (1 - floor)))
    kept = {0.0: list(floor + noise * rng.standard_normal(seeds))}
    for ratio in RATIOS:
        mean = floor + (1 - floor) / (1 + math.exp(-(level + slope * math.log(ratio / at))))
        kept[ratio] = list(mean + noise * rng.standard_normal(seeds))
    return kept


@pytest.mark.parametrize("at", [0.05, 0.1, 0.3])
def test_a_planted_ratio_is_found(at):
    found = smallest_ratio(planted(at), 0.9)
    assert found.why == ""
    assert found.ratio == pytest.approx(at, rel=0.25)
    assert found.low < found.ratio < found.high
    assert found.short < at < found.enough


def test_the_interval_holds_the_planted_ratio_about_as_often_as_it_says():
    held = known = 0
    for seed in range(200):
        found = smallest_ratio(planted(0.1, noise=0.05, seed=seed), 0.9)
        if not found.why:
            known += 1
            held += found.low <= 0.1 <= found.high
    assert known > 120
    assert 0.8 <= held / known <= 0.98


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from((0.0, 0.02, 0.06, 0.2, 0.6)),
        st.lists(st.floats(0, 1.3), min_size=1, max_size=4),
        max_size=5,
    ),
    st.floats(0.05, 0.95),
)
def test_whatever_was_measured_the_answer_is_within_what_was_tried_or_says_why_not(kept, wanted):
    found = smallest_ratio(kept, wanted)
    if len(kept) < 2:
        assert found is None
        return
    assert [ratio for ratio, _ in found.tried] == sorted(kept)
    if found.why:
        assert math.isnan(found.ratio)
    else:
        assert found.short <= found.ratio <= found.enough
        assert found.low <= found.ratio <= found.high


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        ({0.0: [0.95, 0.92], 0.1: [0.97, 0.96]}, "it takes no replay"),
        ({0.1: [0.95, 0.92], 0.2: [0.97, 0.96]}, "0.1 keeps it already, and nothing less was tried"),
        ({0.0: [0.2, 0.2], 0.1: [0.5, 0.6]}, "none of the ratios tried keeps as much, up to 0.1"),
        ({0.0: [0.2, 0.2], 0.1: [0.5, 0.6], 0.4: [0.95, 0.93]}, "it takes 3 ratios above 0, there are 2"),
        ({r: [0.3 + r] for r in (0.0, 0.1, 0.2, 0.4, 0.7)}, "it takes 2 seeds of every ratio"),
        (
            {0.0: [0.2, 0.9], 0.1: [0.1, 0.95], 0.2: [0.9, 0.2], 0.4: [0.95, 0.9]},
            "more replay does not keep more beyond the seeds' spread; by the runs it is between 0.2 and 0.4",
        ),
    ],
)
def test_it_says_when_it_does_not_know(kept, why):
    found = smallest_ratio(kept, 0.9)
    assert found.why == why
    assert math.isnan(found.ratio)
