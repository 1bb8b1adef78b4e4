"""Margins, verdicts and edge cases of the comparison of arms, on scores with known effects."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cotune.exceptions import InputError
from cotune.findings.comparison import ArmScore, compare


def simulate(
    effects,
    *,
    tasks=6,
    seeds=3,
    budgets=(100,),
    examples=40,
    noise_examples=0.3,
    noise_seeds=0.02,
    noise_run_example=0.1,
    metric=lambda task: ("accuracy", True),
    rng=0,
):
    """Records with per-example scores: task level + example + arm effect + seed of the arm + noise.

    ``effects[arm]`` is a number, or a function of (task index, budget).
    """
    rng = np.random.default_rng(rng)
    records = []
    difficulty = rng.normal(0.5, noise_examples, (tasks, examples))
    for budget in budgets:
        for arm, effect in effects.items():
            for seed in range(seeds):
                for task in range(tasks):
                    name, higher = metric(task)
                    shift = effect(task, budget) if callable(effect) else effect
                    # The effect of an arm varies over examples, which only the examples' part can see.
                    values = (
                        difficulty[task]
                        + shift * (1 + np.linspace(-1, 1, examples))
                        + rng.normal(0, noise_seeds)
                        + rng.normal(0, noise_run_example, examples)
                    )
                    values = values if higher else 2 - values
                    records.append(
                        ArmScore(
                            arm, budget, seed, f"t{task}", float(values.mean()), higher, name, tuple(values)
                        )
                    )
    return records


def contrast(comparison, arm, budget=None, metric=None):
    metric = metric or comparison.metrics[0].name
    (found,) = (c for c in comparison.contrasts if (c.arm, c.budget, c.metric) == (arm, budget, metric))
    return found


ARMS = ("grouped", "joint", "single", "random")


def test_one_task_matches_the_formulas_written_out():
    left = np.array([[1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
    right = np.array([[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    records = [
        ArmScore(arm, 10, seed, "t", float(row.mean()), True, "accuracy", tuple(row))
        for arm, rows in (("grouped", left), ("joint", right))
        for seed, row in enumerate(rows)
    ]
    gain = contrast(compare(records, ("grouped", "joint")), "joint", 10).gain
    difference = left - right
    se_examples = difference.mean(axis=0).std(ddof=1) / 2
    se_seeds = difference.mean(axis=1).std(ddof=1) / math.sqrt(3)
    rest = difference - difference.mean(axis=0) - difference.mean(axis=1, keepdims=True) + difference.mean()
    shared = (rest**2).sum() / (2 * 3) / (3 * 4)
    t_examples, t_seeds = stats.t.ppf(0.975, [3, 2])
    margins = [
        math.hypot(t_examples * se_examples, t_seeds * math.sqrt(max(se_seeds**2 - shared, 0))),
        math.hypot(t_examples * math.sqrt(max(se_examples**2 - shared, 0)), t_seeds * se_seeds),
    ]
    assert gain.mean == pytest.approx(difference.mean())
    assert gain.se_examples == pytest.approx(se_examples)
    assert gain.se_seeds == pytest.approx(se_seeds)
    assert gain.se_shared == pytest.approx(math.sqrt(shared))
    assert (gain.dof_examples, gain.dof_seeds) == (3, 2)
    assert gain.margin == pytest.approx(max(margins))
    in_both = min(shared, se_examples**2, se_seeds**2)
    assert gain.stderr == pytest.approx(math.sqrt(se_examples**2 + se_seeds**2 - in_both))
    assert (gain.examples, gain.seeds) == (4, 3)


def test_average_adds_examples_as_independent_and_keeps_seeds_together():
    records = simulate({"grouped": 0.1, "joint": 0.0}, tasks=5, noise_seeds=0.2)
    result = compare(records, ("grouped", "joint"))
    per_task = [g.gain for g in result.gains if g.budget == 100]
    average = contrast(result, "joint", 100).gain
    values = {(r.arm, r.seed, r.task): r.value for r in records}
    by_seed = [
        np.mean([values["grouped", s, f"t{t}"] - values["joint", s, f"t{t}"] for t in range(5)])
        for s in range(3)
    ]
    assert average.mean == pytest.approx(np.mean(by_seed))
    assert average.se_examples == pytest.approx(math.sqrt(sum(g.se_examples**2 for g in per_task)) / 5)
    assert average.se_seeds == pytest.approx(np.std(by_seed, ddof=1) / math.sqrt(3))


@pytest.mark.parametrize(
    ("seeds", "noise_seeds", "noise_run_example"), [(2, 0.02, 0.1), (3, 0.05, 0.05), (5, 0.1, 0.3)]
)
def test_margin_covers_the_true_gain(seeds, noise_seeds, noise_run_example):
    covered = {None: 0, "t0": 0}
    repeats = 300
    for repeat in range(repeats):
        rng = np.random.default_rng([seeds, repeat])
        records = []
        for task in range(4):
            base = rng.normal(0, 0.3, 30)
            # Examples are a sample: the true gain is the mean over all examples there could be.
            gain = rng.normal(0.1, 0.2, 30)
            for arm, shift in (("grouped", gain), ("joint", 0.0)):
                for seed in range(seeds):
                    values = base + shift + rng.normal(0, noise_seeds) + rng.normal(0, noise_run_example, 30)
                    records.append(
                        ArmScore(arm, 1, seed, f"t{task}", float(values.mean()), True, "f1", tuple(values))
                    )
        result = compare(records, ("grouped", "joint"))
        average = contrast(result, "joint", 1).gain
        alone = next(g.gain for g in result.gains if (g.task, g.budget) == ("t0", 1))
        covered[None] += abs(average.mean - 0.1) <= average.margin
        covered["t0"] += abs(alone.mean - 0.1) <= alone.margin
    assert all(0.95 <= count / repeats <= 0.995 for count in covered.values()), covered


@pytest.mark.parametrize(
    ("effect", "decision"),
    [(0.2, "train in these groups"), (-0.2, "train together"), (0.0, "not decided by these runs")],
)
@pytest.mark.parametrize("higher", [True, False])
def test_verdict_follows_the_effect_in_either_direction_of_the_metric(effect, decision, higher):
    name = "accuracy" if higher else "nll"
    records = simulate({"grouped": effect, "joint": 0.0}, metric=lambda task: (name, higher))
    result = compare(records, ("grouped", "joint"))
    assert result.overall.decision == decision
    assert [v.decision for v in result.verdicts] == [decision]
    assert result.readings == (result.overall,), "of one budget there is one verdict"
    assert contrast(result, "joint").gain.mean == pytest.approx(effect, abs=0.05)
    means = {m.arm: m.score.mean for m in result.means if m.task == "t0"}
    if effect:
        assert (means["grouped"] > means["joint"]) == ((effect > 0) == higher)
    assert name in result.overall.sentence
    assert "6 tasks, 3 seeds" in result.overall.sentence


def test_sentence_gives_the_size_and_margin_of_the_contrast():
    result = compare(simulate({"grouped": 0.2, "joint": 0.0}), ("grouped", "joint"))
    gain = contrast(result, "joint", 100).gain
    assert f"{gain.mean:.3f} ± {gain.margin:.3f} accuracy" in result.verdicts[0].sentence


def test_one_seed_never_decides():
    result = compare(simulate({"grouped": 5.0, "joint": 0.0}, seeds=1), ("grouped", "joint"))
    gain = contrast(result, "joint").gain
    assert math.isnan(gain.margin)
    assert math.isnan(gain.se_seeds)
    assert gain.se_examples > 0
    assert gain.sign == 0
    assert result.overall.decision == "not decided by these runs"
    assert "one training seed" in result.overall.sentence


def test_one_example_never_decides():
    result = compare(simulate({"grouped": 5.0, "joint": 0.0}, examples=1), ("grouped", "joint"))
    assert result.overall.decision == "not decided by these runs"
    assert "one test example" in result.overall.sentence


def test_opposite_budgets_leave_the_overall_verdict_open():
    records = simulate(
        {"grouped": lambda task, budget: 0.5 if budget == 400 else -0.2, "joint": 0.0}, budgets=(400, 100)
    )
    result = compare(records, ("grouped", "joint"))
    assert result.budgets == (100, 400)
    assert [v.decision for v in result.verdicts] == ["train together", "train in these groups"]
    assert contrast(result, "joint").gain.sign == 1
    assert result.overall.decision == "not decided by these runs"
    assert result.readings == (*result.verdicts, result.overall)
    assert "depends on the budget" in result.overall.sentence
    assert "train together at 100 steps a task" in result.overall.sentence


def test_overall_pools_budgets_by_seed():
    records = simulate({"grouped": 0.1, "joint": 0.0}, budgets=(1, 2), noise_seeds=0.2)
    result = compare(records, ("grouped", "joint"))
    value = {(r.arm, r.budget, r.seed, r.task): r.value for r in records}
    by_seed = [
        np.mean(
            [
                value["grouped", b, s, f"t{t}"] - value["joint", b, s, f"t{t}"]
                for t in range(6)
                for b in (1, 2)
            ]
        )
        for s in range(3)
    ]
    overall = contrast(result, "joint").gain
    assert overall.mean == pytest.approx(np.mean(by_seed))
    assert overall.se_seeds == pytest.approx(np.std(by_seed, ddof=1) / math.sqrt(3))


def test_single_beating_both_is_the_verdict_and_random_doing_as_well_is_said():
    result = compare(simulate({"grouped": 0.1, "joint": 0.0, "single": 0.4, "random": 0.1}), ARMS)
    assert result.overall.decision == "train each alone"
    assert "training each task alone beats training in these groups by 0." in result.overall.sentence
    assert " and training all tasks together by 0." in result.overall.sentence
    assert "Random groups of the same sizes do as well as the found groups" in " ".join(
        result.overall.remarks
    )


def test_found_groups_beating_random_ones_and_single_is_said():
    result = compare(simulate({"grouped": 0.3, "joint": 0.0, "single": 0.0, "random": 0.0}), ARMS)
    remarks = " ".join(result.overall.remarks)
    assert "The found groups beat random groups" in remarks
    assert result.overall.decision == "train in these groups"


def test_random_groups_beating_the_found_ones_is_said():
    result = compare(simulate({"grouped": 0.0, "joint": 0.0, "random": 0.3}), ("grouped", "joint", "random"))
    assert "Random groups of the same sizes beat the found groups" in " ".join(result.overall.remarks)


def test_a_loss_on_some_tasks_is_named_even_when_the_average_gains():
    effects = {"grouped": lambda task, budget: -0.2 if task == 3 else 0.3, "joint": 0.0}
    result = compare(simulate(effects), ("grouped", "joint"))
    assert result.overall.decision == "train in these groups"
    assert any(
        "at a false discovery rate of 5 %, 5 are better in the groups than in joint training and 1 worse: t3."
        in r
        for r in result.overall.remarks
    )


def test_metrics_are_not_averaged_together_and_the_majority_decides():
    def metric(task):
        return ("accuracy", True) if task < 4 else ("nll", False)

    effects = {"grouped": lambda task, budget: 0.2 if task < 4 else -0.3, "joint": 0.0}
    result = compare(simulate(effects, metric=metric), ("grouped", "joint"))
    assert [(m.name, m.higher_is_better, len(m.tasks)) for m in result.metrics] == [
        ("accuracy", True, 4),
        ("nll", False, 2),
    ]
    assert result.overall.decision == "train in these groups"
    assert contrast(result, "joint", metric="accuracy").gain.mean == pytest.approx(0.2, abs=0.05)
    assert contrast(result, "joint", metric="nll").gain.mean == pytest.approx(-0.3, abs=0.05)
    remarks = " ".join(result.overall.remarks)
    assert "accuracy, the metric of 4 of the 6 tasks" in remarks
    assert "On nll (2 tasks) the groups are worse than joint training: \N{MINUS SIGN}0." in remarks


def test_missing_records_leave_out_their_pairs_and_are_counted():
    records = simulate({"grouped": 0.2, "joint": 0.0}, seeds=4)
    gone = [r for r in records if r.arm == "grouped" and r.seed == 1 and r.task in ("t0", "t1")]
    result = compare([r for r in records if r not in gone], ("grouped", "joint"))
    average = contrast(result, "joint", 100)
    assert (average.pairs, average.missing) == (6 * 4 - 2, 2)
    assert average.gain.seeds == 4
    assert average.gain.mean == pytest.approx(0.2, abs=0.05)
    assert result.overall.decision == "train in these groups"
    assert any("2 of grouped" in note for note in result.notes)
    t0 = next(g.gain for g in result.gains if (g.task, g.budget) == ("t0", 100))
    assert t0.seeds == 3


def test_a_task_with_one_seed_left_widens_the_margin_of_the_average_instead_of_removing_it():
    records = simulate({"grouped": 0.2, "joint": 0.0}, seeds=2, noise_seeds=0.1, rng=3)
    whole = contrast(compare(records, ("grouped", "joint")), "joint", 100).gain
    left = [r for r in records if not (r.arm == "joint" and r.seed == 1 and r.task == "t2")]
    result = compare(left, ("grouped", "joint"))
    gain = contrast(result, "joint", 100).gain
    alone = next(g.gain for g in result.gains if (g.task, g.budget) == ("t2", 100))
    assert math.isnan(alone.margin)
    assert whole.se_seeds < gain.se_seeds < math.inf
    assert gain.seeds == 2
    assert math.isfinite(gain.margin)


def test_a_task_that_never_ran_is_left_out_of_the_average():
    records = [
        r for r in simulate({"grouped": 0.2, "joint": 0.0}) if not (r.arm == "joint" and r.task == "t5")
    ]
    average = contrast(compare(records, ("grouped", "joint")), "joint", 100)
    assert average.tasks == ("t0", "t1", "t2", "t3", "t4")
    assert average.missing == 3


def test_an_arm_without_a_record_is_not_decided_upon():
    records = simulate({"grouped": 0.2, "single": 0.0})
    result = compare(records, ("grouped", "joint", "single"))
    assert result.overall.decision == "not decided by these runs"
    assert "no run of the groups can be paired" in result.overall.sentence
    assert any("of joint" in note for note in result.notes)


def test_score_table_has_every_cell_and_the_averages():
    result = compare(simulate({"grouped": 0.2, "joint": 0.0}, budgets=(1, 2)), ("grouped", "joint"))
    assert {(m.arm, m.budget, m.task) for m in result.means} == {
        (arm, budget, f"t{t}") for arm in ("grouped", "joint") for budget in (1, 2) for t in range(6)
    }
    average = next(a for a in result.averages if (a.arm, a.budget) == ("grouped", 1))
    means = [m.score.mean for m in result.means if (m.arm, m.budget) == ("grouped", 1)]
    assert average.score.mean == pytest.approx(np.mean(means))
    assert all(m.score.stderr > 0 for m in result.means)


def test_identical_arms_have_a_zero_margin_and_no_verdict():
    records = simulate({"grouped": 0.0})
    records += [dataclasses.replace(r, arm="joint") for r in records]
    result = compare(records, ("grouped", "joint"))
    gain = contrast(result, "joint").gain
    assert (gain.mean, gain.margin, gain.sign) == (0.0, 0.0, 0)
    assert result.overall.decision == "not decided by these runs"


def test_a_recorded_value_that_is_no_mean_over_examples_is_noted():
    records = simulate({"grouped": 0.0, "joint": 0.0})
    records[0] = dataclasses.replace(records[0], value=0.123)
    result = compare(records, ("grouped", "joint"))
    assert any("t0" in note and "means over examples" in note for note in result.notes)


@settings(max_examples=25, deadline=None)
@given(order=st.randoms(use_true_random=False), scale=st.floats(1e-3, 1e3))
def test_order_of_records_is_irrelevant_and_units_scale(order, scale):
    records = simulate({"grouped": 0.1, "joint": 0.0, "random": 0.05}, tasks=3, budgets=(1, 2))
    arms = ("grouped", "joint", "random")
    before = contrast(compare(records, arms), "joint").gain
    shuffled = [
        dataclasses.replace(r, value=r.value * scale, per_example=tuple(v * scale for v in r.per_example))
        for r in records
    ]
    order.shuffle(shuffled)
    after = contrast(compare(shuffled, arms), "joint").gain
    assert after.mean == pytest.approx(before.mean * scale)
    assert after.margin == pytest.approx(before.margin * scale)
    assert after.sign == before.sign


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_swapping_the_reference_negates_the_gain(seed):
    records = simulate({"grouped": 0.1, "joint": 0.0}, tasks=2, rng=seed)
    forth = contrast(compare(records, ("grouped", "joint")), "joint").gain
    back = contrast(compare(records, ("grouped", "joint"), reference="joint"), "grouped").gain
    assert back.mean == pytest.approx(-forth.mean)
    assert back.margin == pytest.approx(forth.margin)


@pytest.mark.parametrize("reference", ARMS)
def test_every_arm_can_be_the_reference_and_is_contrasted_once(reference):
    result = compare(simulate(dict.fromkeys(ARMS, 0.0), tasks=2), ARMS, reference=reference)
    found = [(c.arm, c.budget) for c in result.contrasts]
    assert sorted(found, key=str) == sorted(
        [(arm, b) for arm in ARMS if arm != reference for b in (100, None)], key=str
    )


def test_to_dict_is_json_with_unknown_numbers_as_null():
    result = compare(simulate({"grouped": 0.1, "joint": 0.0}, seeds=1), ("grouped", "joint"))
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["overall"]["decision"] == "not decided by these runs"
    assert plain["contrasts"][0]["gain"]["margin"] is None
    assert plain["contrasts"][0]["gain"]["mean"] == pytest.approx(result.contrasts[0].gain.mean)


def _edited(**change):
    records = simulate({"grouped": 0.0, "joint": 0.0})
    return [dataclasses.replace(records[0], **change), *records[1:]]


@pytest.mark.parametrize(
    ("records", "arms", "message"),
    [
        (simulate({"grouped": 0.0}), ("grouped",), "two or more different names"),
        (simulate({"grouped": 0.0}), ("grouped", "grouped"), "two or more different names"),
        (simulate({"grouped": 0.0}), ("joint", "single"), "must be one of its arms"),
        ([], ("grouped", "joint"), "no record of any of the arms grouped, joint"),
        (simulate({"grouped": 0.0}) * 2, ("grouped", "joint"), "'t0' of arm 'grouped' .* has two records"),
        (_edited(value=math.nan), ("grouped", "joint"), "not finite"),
        (_edited(per_example=()), ("grouped", "joint"), "no values per example"),
        (_edited(per_example=(1.0,), value=1.0), ("grouped", "joint"), "1 .* examples? .*40|40 .*1;"),
        (_edited(metric="f1"), ("grouped", "joint"), "metric 'accuracy' but another .* 'f1'"),
        (_edited(higher_is_better=False), ("grouped", "joint"), "direction"),
    ],
)
def test_unusable_input_is_refused_in_one_sentence(records, arms, message):
    with pytest.raises(InputError, match=message) as caught:
        compare(records, arms)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
