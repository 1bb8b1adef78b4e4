"""The choice among four: the groups, the groups after a joint part, one model a task and one for all."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from test_comparison import simulate

from cotune.findings.comparison import MeanWithMargin, compare
from cotune.findings.comparison._choice import CHOICES, IN_GROUPS, UNDECIDED, Standing, most_equal
from cotune.findings.comparison._statistics import margin_at

FOUR = tuple(CHOICES)
FIRST = "train together first, then in these groups"


def standing_of(values):
    """Judge four arms by values (arms, seeds), trained seed by seed; examples add nothing."""
    gains = {}
    for (i, left), (j, right) in itertools.combinations(enumerate(FOUR), 2):
        difference = values[i] - values[j]
        seeds = len(difference)
        se = difference.std(ddof=1) / math.sqrt(seeds)
        gain = MeanWithMargin(
            float(difference.mean()), 0.0, float(se), 0.0, math.nan, seeds - 1.0, math.nan, 10, 1, seeds
        )
        gains[left, right] = dataclasses.replace(gain, margin=margin_at(gain, 0.95))
    return Standing.of(gains)


@pytest.mark.parametrize(
    ("told", "most"),
    [
        ([], 6),
        ([(0, 1)], 3),  # the three others are equal, with one of the two
        ([(0, 1), (0, 2)], 3),
        ([(0, 1), (2, 3)], 2),
        ([(0, 1), (0, 2), (0, 3)], 3),
        ([(0, 1), (0, 2), (1, 3)], 2),
        ([(0, 1), (0, 2), (1, 2)], 1),
        ([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)], 1),
        ([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], 0),
    ],
)
def test_pairs_that_can_still_be_equal_are_those_of_the_procedure(told, most):
    pairs = frozenset((FOUR[i], FOUR[j]) for i, j in told)
    assert most_equal(FOUR, pairs) == most
    # Never more than where it is not looked which ones were told apart: 6, 3, 3, 3, 2, 1.
    assert most <= (6, 3, 3, 3, 2, 1, 0)[len(told)]


@pytest.mark.parametrize("effects", [(0, 0, 0, 0), (0, 0, 0, 3), (0, 0, 3, 3), (3, 0, 0, 6), (0, 2, 4, 4)])
@pytest.mark.parametrize("seeds", [2, 4])
def test_what_is_said_of_four_is_wrong_in_5_percent_whatever_the_truth(effects, seeds):
    rng = np.random.default_rng([seeds, *effects])
    repeats, wrong = 400, 0
    for _ in range(repeats):
        noise = rng.normal(0, 1, (4, seeds)) + rng.normal(0, 1, seeds)
        standing = standing_of(np.array(effects)[:, None] + noise)
        truth = dict(zip(FOUR, effects, strict=True))
        wrong += any(truth[better] <= truth[worse] for better, worse in standing.told_apart)
        if standing.decided and not set(standing.contenders) <= set(IN_GROUPS):
            assert standing.decision == CHOICES[standing.best]
    assert wrong / repeats <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / repeats)


def test_a_clear_difference_makes_the_others_easier_to_tell_apart():
    rng = np.random.default_rng(1)
    stepped = first = 0
    for _ in range(200):
        standing = standing_of(np.array([4.0, 0, 0, 8.0])[:, None] + rng.normal(0, 1, (4, 4)))
        at_first = {p for p, gain in standing.gains.items() if gain.mean > margin_at(gain, 1 - 0.05 / 6)}
        assert at_first <= standing.told_apart
        stepped, first = stepped + len(standing.told_apart), first + len(at_first)
    assert stepped > 1.15 * first


@pytest.mark.parametrize("best", FOUR)
def test_the_best_of_four_is_named(best):
    effects = {arm: 0.5 if arm == best else 0.0 for arm in FOUR}
    comparison = compare(simulate(effects, rng=2), FOUR)
    assert comparison.overall.decision == CHOICES[best]
    assert comparison.overall.sentence.count(" by ") == 3


def test_two_ways_to_train_in_the_groups_need_not_be_told_apart():
    verdict = compare(
        simulate({"grouped": 0.5, "branched": 0.5, "joint": 0.0, "single": 0.0}, rng=1), FOUR
    ).overall
    assert verdict.decision == "train in these groups"
    assert verdict.needs is None
    assert " is better or worse is open, the gain over it " in verdict.sentence
    assert "beats training all tasks together by 0." in verdict.sentence
    assert "and training each task alone by 0." in verdict.sentence


def test_groups_that_beat_the_others_only_after_a_joint_part_are_said_to():
    effects = {"grouped": 0.0, "branched": 0.5, "joint": 0.2, "single": 0.0}
    verdict = compare(simulate(effects, rng=4), FOUR).overall
    assert verdict.decision == FIRST
    assert "training together first, then in these groups beats training each task" in verdict.sentence


def test_no_effect_is_left_undecided_and_says_what_would_decide():
    verdict = compare(simulate(dict.fromkeys(FOUR, 0.0), rng=3), FOUR).overall
    assert verdict.decision == UNDECIDED
    assert verdict.needs is not None
    assert verdict.sentence.count("nor can") == 2


def test_all_tasks_in_one_group_are_three_ways_of_one_choice():
    records = simulate({"joint": 0.4, "single": 0.0})
    for arm in IN_GROUPS:
        records += [dataclasses.replace(r, arm=arm) for r in records if r.arm == "joint"]
    verdict = compare(records, FOUR).overall
    assert verdict.decision == "train together"
    assert sum("is the same as" in remark for remark in verdict.remarks) == 2


def test_two_ways_in_the_groups_at_two_budgets_are_no_contradiction():
    early = {"grouped": 0.0, "branched": 0.6, "joint": 0.2, "single": 0.0}
    late = {"grouped": 0.6, "branched": 0.3, "joint": 0.0, "single": 0.0}
    records = [
        dataclasses.replace(record, budget=budget)
        for budget, effects in ((1, early), (2, late))
        for record in simulate(effects, rng=5)
    ]
    comparison = compare(records, FOUR)
    assert [v.decision for v in comparison.verdicts] == [FIRST, "train in these groups"]
    assert not comparison.overall.sentence.startswith("It depends on the budget")
