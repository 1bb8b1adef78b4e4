import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.benchmark.screening import screen
from cotune.exceptions import InputError

TASKS = ["a", "b", "c", "d", "e", "f"]
FAMILIES = ["one"] * 4 + ["two"] * 2


def test_families_that_help_one_another_stay_whole():
    found = screen(TASKS, FAMILIES, np.ones((6, 6)))
    assert found.kept == tuple(TASKS)
    assert not found.dropped
    assert found.positive == {"one": 1.0, "two": 1.0}


def test_the_task_that_does_harm_is_dropped_and_the_reason_told():
    gains = np.ones((6, 6))
    gains[:4, 2] = -1.0  # c harms all of its family
    gains[2, 4:] = -9.0  # and what crosses families does not matter
    found = screen(TASKS, FAMILIES, gains)
    assert found.kept == ("a", "b", "d", "e", "f")
    assert found.dropped["c"].startswith("3 of its 6 transfers within 'one' are not positive, and 75 %")
    assert found.positive["one"] == 1.0


def test_of_equals_the_one_whose_transfers_sum_to_least_goes():
    gains = np.ones((6, 6))
    gains[0, 1] = gains[1, 0] = -1.0  # a and b harm each other alike
    gains[2, 1] = 0.5  # and b helps c less than a does
    found = screen(TASKS, FAMILIES, gains)
    assert list(found.dropped) == ["b"]


def test_a_family_that_falls_apart_goes_whole():
    gains = np.ones((6, 6))
    gains[4, 5] = gains[5, 4] = -1.0
    found = screen(TASKS, FAMILIES, gains)
    assert found.kept == ("a", "b", "c", "d")
    assert set(found.dropped) == {"e", "f"}
    assert "fewer than 2 tasks left" in " ".join(found.dropped.values())


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), min_positive=st.floats(0.5, 1.0), bias=st.floats(-0.2, 1.0))
def test_what_is_left_has_the_share_asked_for(seed, min_positive, bias):
    rng = np.random.default_rng(seed)
    families = rng.permutation(["x"] * 4 + ["y"] * 3 + ["z"] * 3).tolist()
    tasks = [f"t{i}" for i in range(10)]
    gains = rng.normal(bias, 1, size=(10, 10))
    try:
        found = screen(tasks, families, gains, min_positive=min_positive)
    except InputError:
        return
    assert set(found.kept).isdisjoint(found.dropped)
    assert {*found.kept, *found.dropped} == set(tasks)
    for family, share in found.positive.items():
        at = [i for i, task in enumerate(tasks) if task in found.kept and families[i] == family]
        block = gains[np.ix_(at, at)][~np.eye(len(at), dtype=bool)]
        assert len(at) >= 2
        assert share == np.mean(block > 0) >= min_positive


def test_what_is_not_measured_cannot_be_screened():
    gains = np.ones((6, 6))
    gains[1, 3] = np.nan
    with pytest.raises(InputError, match="What b gains from d was not measured"):
        screen(TASKS, FAMILIES, gains)


def test_nothing_left_is_an_error():
    with pytest.raises(InputError, match="No family has enough positive transfers"):
        screen(TASKS, FAMILIES, -np.ones((6, 6)))
