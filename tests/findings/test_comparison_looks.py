"""Looking repeatedly and stopping when it is decided: what is said stays wrong in 5 % of studies at most."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit
from test_comparison import simulate

from cotune.findings.comparison import Look, Looks, compare
from cotune.findings.comparison._choice import most_equal
from cotune.findings.comparison._looks import POWER, nominal
from cotune.findings.comparison._statistics import margin_at, with_more

ARMS = ("grouped", "joint", "single")
UNDECIDED = "not decided by these runs"


@pytest.mark.parametrize("seeds", [(2, 3, 4, 5, 6), (3, 4, 5, 6, 8, 10), (5,), (2, 12)])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 3])
def test_looks_at_t_statistics_spend_what_they_may(seeds, alpha):
    rng, repeats = np.random.default_rng(1), 200_000
    levels = nominal(seeds, alpha)
    total, squares, found = np.zeros(repeats), np.zeros(repeats), np.zeros(repeats, dtype=bool)
    for count in range(1, seeds[-1] + 1):
        values = rng.standard_normal(repeats)
        total, squares = total + values, squares + values**2
        if count not in seeds:
            continue
        stderr = np.sqrt((squares - total**2 / count) / (count - 1) / count)
        limit = stdtrit(count - 1, 1 - levels[seeds.index(count)] / 2) * stderr
        found |= np.abs(total / count) > limit
        due = alpha * (count / seeds[-1]) ** POWER
        assert found.mean() == pytest.approx(due, abs=4 * math.sqrt(due / repeats) + 0.01 * due)


def test_a_single_look_has_all_of_the_significance():
    assert Look(1, (4,), {}).significance(0.05) == pytest.approx(0.05, rel=1e-3)
    assert Look(1, (1, 2), {"joint": 1}).significance(0.05) == 0, "one seed tells nothing and costs nothing"
    assert Look(2, (1, 2), {"joint": 2}).significance(0.05) == pytest.approx(0.05, rel=1e-3)


@settings(max_examples=10, deadline=None)
@given(first=st.integers(2, 5), more=st.integers(0, 12), p=st.floats(1e-4, 0.4), number=st.integers(0, 12))
@example(first=2, more=1, p=1 / 128, number=1)
@example(first=2, more=1, p=1.2558e-3, number=1)
@example(first=2, more=2, p=1e-4, number=2)
def test_significance_over_all_looks_is_that_of_a_look_turned_round(first, more, p, number):
    planned = tuple(range(first, first + more + 1))
    look = Look(1 + min(number, more), planned, {})
    here = look.significance(p)
    assert 0 < here <= p * (1 + 1e-3)
    assert look.overall(np.array([here, np.nan]))[0] == pytest.approx(p, rel=0.03)
    assert np.isnan(look.overall(np.array([np.nan]))[0])


@pytest.mark.parametrize(
    ("arms", "told", "pairs"),
    [
        ("ab", [], 1),
        ("abc", [], 3),
        ("abc", ["ab"], 1),
        ("abcd", [], 6),
        ("abcd", ["ab"], 3),
        ("abcd", ["ab", "bc"], 3),
        ("abcd", ["ab", "ac", "ad"], 3),
        ("abcd", ["ab", "ac", "bc"], 1),
        ("abcd", ["ab", "ac", "ad", "bc", "bd", "cd"], 0),
    ],
)
def test_as_many_pairs_can_be_equal_as_logic_allows(arms, told, pairs):
    assert most_equal(tuple(arms), frozenset((a, b) for a, b in told)) == pairs


def looked(records, planned, arms=ARMS):
    """Look until there is an ending, giving every arm as many seeds as it is trained for."""
    looks, ending = Looks(arms, planned), None
    while ending is None:
        ending = looks.take(r for r in records if r.seed < looks.seeds[r.arm])
    return looks.comparison, looks.course(ending)


def test_studies_without_any_effect_stay_undecided_however_often_they_are_looked_at():
    planned, decided, told = tuple(range(2, 9)), 0, 0
    worlds = ((0.05, 0.02), (0.02, 0.1))
    for noise_seeds, noise_examples in worlds:
        for study in range(40):
            records = simulate(
                dict.fromkeys(ARMS, 0.0),
                tasks=2,
                seeds=8,
                examples=10,
                noise_seeds=noise_seeds,
                noise_run_example=noise_examples,
                rng=[study, int(100 * noise_seeds)],
            )
            comparison, _ = looked(records, planned)
            decided += comparison.overall.decision != UNDECIDED
            told += bool(comparison.overall.outlook.told_apart)
    assert decided / 80 <= 0.05
    assert told / 80 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 80)


def test_a_clear_best_ends_it_early_and_arms_that_are_worse_are_trained_no_more():
    records = simulate(
        {"grouped": 0.12, "joint": 0.02, "single": -1.0}, tasks=8, seeds=12, noise_seeds=0.06, rng=4
    )
    comparison, course = looked(records, tuple(range(3, 13)))
    assert comparison.overall.decision == "train in these groups"
    assert course.ending == "decided"
    assert 1 < len(course.looks) < 10
    assert course.looks[0].arms == ARMS
    assert "single" not in course.looks[-1].arms
    assert ("grouped", "single") in comparison.overall.outlook.told_apart
    assert course.sentence.startswith(f"Ended after {len(course.looks)} looks at 3 to ")
    assert "Trained no more once they were read for the last time: single at look" in course.sentence
    assert comparison.notes == (), "seeds that an arm was not to have are not missing"
    assert json.loads(json.dumps(comparison.to_dict()))["overall"]["outlook"]["chance"] == 1.0


def test_what_no_affordable_seed_can_decide_ends_early():
    # Spread between examples alone, which further seeds leave as it is.
    effects = {"grouped": 0.001, "joint": 0.0}
    records = simulate(effects, noise_seeds=1e-4, noise_run_example=0.4, rng=2, seeds=20)
    comparison, course = looked(records, tuple(range(3, 21)), ("grouped", "joint"))
    assert course.ending == "hopeless"
    assert len(course.looks) < 18
    assert "20 seeds would decide with a probability of about " in course.sentence
    assert comparison.overall.needs is not None


def test_more_seeds_are_reckoned_at_the_looks_that_are_planned_for_them():
    records = simulate(
        {"grouped": 0.04, "joint": 0.0}, noise_seeds=0.02, noise_run_example=0.3, seeds=3, rng=7
    )
    look = Look(1, tuple(range(3, 13)), dict.fromkeys(("grouped", "joint"), 1))
    comparison = compare(records, ("grouped", "joint"), look=look)
    (gain,) = (c.gain for c in comparison.contrasts if c.budget is None)
    wanted = comparison.overall.needs.seeds

    def decides(more, number):
        limit = margin_at(with_more(gain, seeds=more), 1 - look.at(number).significance(0.05))
        return abs(gain.mean) > limit

    assert 1 < wanted < 10
    assert decides(wanted, 1 + wanted)
    assert not decides(wanted - 1, wanted)
    assert not decides(wanted, 1), "at the first look itself it would take more"


def test_margins_of_a_look_are_wider_and_hold_over_all_of_them():
    records = simulate(dict.fromkeys(ARMS, 0.0), seeds=3)
    once = compare(records, ARMS)
    look = Look(1, tuple(range(3, 11)), dict.fromkeys(ARMS, 1))
    first = compare(records, ARMS, look=look)
    for wide, narrow in zip(first.contrasts, once.contrasts, strict=True):
        assert wide.gain.margin > narrow.gain.margin
        assert wide.missing == 0
    assert "95 % margins, all looks together" in first.overall.sentence


def test_arms_that_no_verdict_is_about_are_read_once():
    records = simulate({"grouped": 0.0, "joint": 0.0, "random": 0.0}, seeds=4)
    arms = ("grouped", "joint", "random")
    kept = [r for r in records if r.arm != "random" or r.seed < 3]
    look = Look(2, (3, 4, 5), {"grouped": 2, "joint": 2})
    at_second = compare(kept, arms, look=look)
    alone = compare([r for r in kept if r.seed < 3], arms)
    margin = {c.arm: c.gain.margin for c in at_second.contrasts}
    assert margin["random"] == {c.arm: c.gain.margin for c in alone.contrasts}["random"]
    assert at_second.notes == ()
