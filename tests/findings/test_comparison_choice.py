"""The choice among groups, one model for each task and one for all: never inside the noise."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_comparison import simulate

from cotune.findings.comparison import ArmScore, compare
from cotune.findings.comparison._compare import discovered
from cotune.findings.comparison._statistics import SeedValues, added, estimate, margin_at, p_values, with_more

ARMS = ("grouped", "joint", "single")
UNDECIDED = "not decided by these runs"


def cells(rng, seeds, examples, of_seeds, of_examples, of_both, tasks=1):
    """Differences without effect: what a seed, an example of a task, and one on the other bring."""
    trained = rng.normal(0, of_seeds, (seeds, 1))
    return [
        SeedValues(
            f"t{task}",
            1,
            dict(
                enumerate(
                    trained
                    + rng.normal(0, of_examples, (1, examples))
                    + rng.normal(0, of_both, (seeds, examples))
                )
            ),
        )
        for task in range(tasks)
    ]


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(
    "spread", [(1.0, 0.0, 0.0), (0.3, 0.1, 0.1), (0.1, 0.5, 0.1), (0.1, 0.3, 0.5), (0.0, 0.0, 1.0)]
)
def test_margins_cover_no_effect_in_95_percent_whatever_spreads(seeds, spread):
    rng = np.random.default_rng([seeds, *(int(10 * s) for s in spread)])
    repeats = 1500
    found = [estimate(cells(rng, seeds, 12, *spread)) for _ in range(repeats)]
    covered = np.mean([abs(f.mean) <= f.margin for f in found])
    # With spread between seeds alone it is exactly 0.95: three standard errors of the simulation below that.
    assert 0.95 - 3 * math.sqrt(0.95 * 0.05 / repeats) <= covered <= 0.995


@pytest.mark.parametrize("seeds", [2, 3, 6])
@pytest.mark.parametrize(
    ("joint", "single"), [((0.1, 0.0), (0.0, 0.1)), ((0.1, 0.02), (0.02, 0.0)), ((0.0, 0.3), (0.0, 0.01))]
)
def test_margins_of_arms_that_have_nothing_in_common_cover_too(seeds, joint, single):
    # Of each arm the spread of what all its tasks share, and of each task's own; two and uneven tasks.
    rng = np.random.default_rng([seeds, int(100 * joint[0]), int(100 * single[1])])
    repeats, uneven, covered, narrower = 1200, np.array([1.0, 0.2])[:, None], 0, 0
    for _ in range(repeats):
        sides = []
        for shared, own in (joint, single):
            trained = rng.normal(0, shared or 1e-9, (1, seeds)) + uneven * rng.normal(
                0, own or 1e-9, (2, seeds)
            )
            sides.append(trained[:, :, None] + rng.normal(0, 0.01, (2, seeds, 6)))
        left, right, differences = (
            [SeedValues(f"t{t}", 1, dict(enumerate(values))) for t, values in enumerate(side)]
            for side in (*sides, sides[0] - sides[1])
        )
        paired = estimate(differences)
        gain = added(paired, differences, left, right)
        covered += abs(gain.mean) <= gain.margin
        narrower += gain.margin < paired.margin
    assert covered / repeats >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / repeats)
    assert narrower / repeats > 0.4


def test_a_training_that_two_arms_share_adds_no_spread():
    rng = np.random.default_rng(0)
    shared = SeedValues("a", 1, {seed: rng.normal(0, 5, 4) for seed in range(3)})
    own, other = (SeedValues("b", 1, {seed: rng.normal(0, 1, 4) for seed in range(3)}) for _ in range(2))
    zero = SeedValues("a", 1, {seed: np.zeros(4) for seed in range(3)})
    gap = SeedValues("b", 1, {seed: own.by_seed[seed] - other.by_seed[seed] for seed in range(3)})
    both = added(estimate([zero, gap]), [zero, gap], [shared, own], [shared, other])
    alone = added(estimate([gap]), [gap], [own], [other])
    assert both.se_seeds == pytest.approx(alone.se_seeds / 2)
    assert both.dof_seeds == pytest.approx(alone.dof_seeds)


def test_studies_without_any_effect_are_left_undecided_in_95_percent():
    decided, ranked, studies = 0, 0, 0
    for seeds in (2, 3):
        for noise_seeds, noise_examples in ((0.05, 0.02), (0.02, 0.1)):
            for study in range(100):
                rng = np.random.default_rng([study, seeds, int(100 * noise_seeds)])
                records = []
                for arm in ARMS:
                    of_seed = rng.normal(0, noise_seeds, seeds)
                    for task in range(2):
                        liked = rng.normal(0, noise_examples / 2, 10)
                        for seed in range(seeds):
                            values = 0.5 + of_seed[seed] + liked + rng.normal(0, noise_examples, 10)
                            of = (arm, 1, seed, f"t{task}", float(values.mean()), True, "f1")
                            records.append(ArmScore(*of, tuple(values)))
                verdict = compare(records, ARMS).overall
                decided += verdict.decision != UNDECIDED
                ranked += "beat" in verdict.sentence  # two are said to beat the third, or one to beat another
                studies += 1
    assert studies == 400
    assert decided / studies <= 0.05
    assert ranked / studies <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / studies)


def test_tasks_without_effect_are_found_in_few_studies_and_real_ones_in_most():
    rng = np.random.default_rng(5)
    studies, false, true = 200, 0, 0
    for _ in range(studies):
        none = [estimate(cells(rng, 3, 20, 0.02, 0.2, 0.1)) for _ in range(20)]
        false += any(discovered(none))
        real = [dataclasses.replace(gain, mean=gain.mean + 1.0) for gain in none[:10]]
        signs = discovered([*real, *none[10:]])
        true += sum(signs[:10]) >= 9
    assert false / studies <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / studies)
    assert true / studies > 0.9


def test_single_tasks_are_marked_at_a_false_discovery_rate_and_not_each_by_its_margin():
    rng = np.random.default_rng(2)
    gains = [estimate(cells(rng, 3, 20, 0.02, 0.2, 0.1)) for _ in range(200)]
    assert any(gain.sign for gain in gains), "some are beyond their own margin by chance"
    assert not any(discovered(gains))
    p = p_values(gains)
    adjusted = stats.false_discovery_control(p)
    assert [abs(sign) for sign in discovered(gains)] == [int(a <= 0.05) for a in adjusted]
    assert discovered([]) == []


def test_a_task_with_one_seed_is_none_of_those_judged():
    rng = np.random.default_rng(3)
    unknown = estimate(cells(rng, 1, 20, 0.1, 0.1, 0.1))
    clear = [dataclasses.replace(estimate(cells(rng, 3, 20, 0.01, 0.1, 0.1)), mean=s) for s in (1.0, -1.0)]
    assert discovered([unknown, *clear]) == [0, 1, -1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), seeds=st.integers(2, 5), confidence=st.floats(0.5, 0.999))
def test_significance_is_where_the_interval_reaches_zero(seed, seeds, confidence):
    gain = estimate(cells(np.random.default_rng(seed), seeds, 10, 0.3, 0.2, 0.1))
    at = dataclasses.replace(gain, mean=margin_at(gain, confidence))
    assert p_values([at])[0] == pytest.approx(1 - confidence, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), more=st.integers(1, 50))
def test_more_of_anything_only_narrows_the_margin(seed, more):
    gain = estimate(cells(np.random.default_rng(seed), 3, 10, 0.3, 0.2, 0.1, tasks=2))
    assert with_more(gain).margin == pytest.approx(gain.margin)
    for axis in ("seeds", "examples"):
        before = with_more(gain, **{axis: more - 1})
        assert with_more(gain, **{axis: more}).margin <= before.margin * (1 + 1e-9)
    assert with_more(gain, examples=more).examples == 2 * (10 + more)


def test_what_is_foreseen_is_what_more_seeds_and_examples_bring():
    rng = np.random.default_rng(0)
    spread = (0.2, 0.4, 0.8)
    foreseen = {
        "seeds": np.mean(
            [with_more(estimate(cells(rng, 4, 10, *spread)), seeds=8).margin for _ in range(400)]
        ),
        "examples": np.mean(
            [with_more(estimate(cells(rng, 4, 10, *spread)), examples=30).margin for _ in range(400)]
        ),
    }
    came = {
        "seeds": np.mean([estimate(cells(rng, 12, 10, *spread)).margin for _ in range(400)]),
        "examples": np.mean([estimate(cells(rng, 4, 40, *spread)).margin for _ in range(400)]),
    }
    assert foreseen == pytest.approx(came, rel=0.1)


def test_needs_are_the_smallest_numbers_that_would_be_beyond_the_margin():
    records = simulate({"grouped": 0.03, "joint": 0.0}, noise_run_example=0.4, rng=1)
    result = compare(records, ("grouped", "joint"))
    verdict = result.overall
    (gain,) = (c.gain for c in result.contrasts if c.budget is None)
    assert verdict.decision == UNDECIDED
    for axis, number in (("seeds", verdict.needs.seeds), ("examples", verdict.needs.examples)):
        assert number > 0
        assert with_more(gain, **{axis: number}).sign != 0
        assert with_more(gain, **{axis: number - 1}).sign == 0
    assert verdict.answer == f"Not decided by these runs, would need {verdict.needs.text}."
    assert verdict.sentence.endswith(f"Deciding would need {verdict.needs.text}.")
    assert json.loads(json.dumps(result.to_dict()))["overall"]["needs"]["seeds"] == verdict.needs.seeds


def test_what_more_test_examples_would_do_is_said_with_how_many_the_data_have():
    records = simulate({"grouped": 0.03, "joint": 0.0}, noise_run_example=0.4, rng=1)
    needs = compare(records, ("grouped", "joint")).overall.needs
    assert needs.left_out is None
    tasks = {record.task for record in records}

    def words(left_out):
        counts = {task: left_out + number for number, task in enumerate(sorted(tasks))}
        verdict = compare(records, ("grouped", "joint"), left_out=counts).overall
        assert dataclasses.replace(verdict.needs, text=needs.text, left_out=None) == needs
        assert verdict.needs.left_out == left_out, "of the task that has the fewest"
        assert verdict.needs.text.startswith(needs.text)
        return verdict.needs.text.removeprefix(needs.text)

    assert words(needs.examples) == ", which the data have"
    assert words(needs.examples - 1) == f", of which the data have {needs.examples - 1:,} at most"
    assert words(0) == ", of which the data have none"
    unsaid = dict.fromkeys(sorted(tasks)[1:], 1000)
    assert compare(records, ("grouped", "joint"), left_out=unsaid).overall.needs == needs


@pytest.mark.parametrize(
    ("spread", "words"),
    [
        ((0.3, 0.01, 0.01), "about 1 more seed (test examples alone would not do)"),
        ((0.001, 0.9, 0.001), "more test examples a task (seeds alone would not do)"),
        ((300.0, 300.0, 0.1), "more than 100 more seeds or 10,000 more test examples a task"),
    ],
)
def test_what_no_number_would_decide_is_said(spread, words):
    rng = np.random.default_rng(1)
    records = []
    (noise,) = cells(rng, 3, 20, *spread)
    by_seed = noise.by_seed
    mean = estimate([noise]).mean
    for seed, values in by_seed.items():
        for arm, shown in (("grouped", values - mean + 0.15), ("joint", 0 * values)):
            records.append(ArmScore(arm, 1, seed, "t", float(shown.mean()), True, "f1", tuple(shown)))
    verdict = compare(records, ("grouped", "joint")).overall
    assert verdict.decision == UNDECIDED
    assert words in verdict.answer


def test_one_seed_needs_a_second():
    verdict = compare(simulate(dict.fromkeys(ARMS, 0.0), seeds=1), ARMS).overall
    assert verdict.answer == "Not decided by these runs, would need a second training seed."


@pytest.mark.parametrize("best", ARMS)
def test_the_best_of_three_is_named_in_any_order_of_the_arms(best):
    effects = {arm: 0.4 if arm == best else 0.0 for arm in ARMS}
    records = simulate(effects)
    answers = {"grouped": "train in these groups", "joint": "train together", "single": "train each alone"}
    for arms in (ARMS, ARMS[::-1]):
        for reference in arms:
            assert compare(records, arms, reference).overall.decision == answers[best]


def test_two_that_cannot_be_told_apart_are_undecided_though_both_beat_the_third():
    verdict = compare(simulate({"grouped": 0.3, "joint": 0.0, "single": 0.3}, rng=3), ARMS).overall
    assert verdict.decision == UNDECIDED
    assert "training in these groups and training each task alone cannot be told apart" in verdict.sentence
    assert "; both beat training all tasks together, by 0." in verdict.sentence
    assert verdict.needs is not None


def test_groups_that_are_all_tasks_share_the_verdict_of_joint_training():
    records = simulate({"joint": 0.4, "single": 0.0})
    records += [dataclasses.replace(r, arm="grouped") for r in records if r.arm == "joint"]
    verdict = compare(records, ARMS).overall
    assert verdict.decision == "train together"
    assert verdict.remarks[0] == (
        "Training in these groups is the same as training all tasks together: all scores agree."
    )


def test_arms_with_nothing_to_choose_from_are_said():
    records = simulate({"grouped": 0.4, "random": 0.0})
    verdict = compare(records, ("grouped", "random")).overall
    assert (verdict.decision, verdict.needs) == (UNDECIDED, None)
    assert "neither one model per task nor joint training is among the arms" in verdict.sentence
