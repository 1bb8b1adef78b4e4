"""Claims of transfer studies on records with a known truth: what is planted is found, nothing else is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples.gradients import gradients
from samples.transfer import ARMS, HARDNESS, checkpoint, result, transfer_report

from cotune.evaluation.gradient_conflict import compare_gradients
from cotune.findings.transfer import (
    MarkedModel,
    SeenLoss,
    TransferCheckpoint,
    TransferPoint,
    TransferRun,
    TransferTask,
    dealt_anew,
    lead,
    paired_effect,
    pairs_effect,
    resampled_interval,
    transfer_findings,
)

EARLY = "Early in training"
BEST = "The training scheme that fits"
SEEDS = (0, 1, 2)


def claim(data, beginning):
    (found,) = (one for one in transfer_findings(data).claims if one.claim.startswith(beginning))
    return found


def held_out(changes, task, *, shown):
    """A task whose scores change by so much from 0.5: after fine-tuning, and in context."""
    tuned = tuple(
        TransferPoint(examples=n, scores=(0.5 + changes[task],), losses=(1.0 - changes[task],))
        for n in (0, 20)
    )
    in_context = (TransferPoint(examples=4, scores=(0.5 + shown[task],), losses=(1.0 - shown[task],)),)
    return replace(result(task, loss=1.0, score=0.5), transfer=tuned, in_context=in_context)


def planted(early, late, *, seeds=SEEDS):
    """A study of one arm: by seed and task what changes early of transfer, and late in context."""
    names = [f"task-{at}" for at in range(early.shape[1])]
    nothing = dict.fromkeys(names, 0.0)

    def at(step, changes, shown):
        changes, shown = dict(zip(names, changes, strict=True)), dict(zip(names, shown, strict=True))
        return TransferCheckpoint(
            step=step, held_out=tuple(held_out(changes, name, shown=shown) for name in names)
        )

    runs = tuple(
        TransferRun(
            arm="uniform",
            seed=seed,
            checkpoints=(
                TransferCheckpoint(step=0, held_out=()),
                at(4, early[row], 0 * late[row]),
                at(16, early[row], late[row]),
            ),
        )
        for row, seed in enumerate(seeds)
    )
    tasks = tuple(
        TransferTask(name=name, held_out=True, metric="f", higher_is_better=True, train=9, test=9)
        for name in names
    )
    before = at(0, nothing.values(), nothing.values())
    return transfer_report(labels=("uniform",), tasks=tasks, pretrained=before, runs=runs)


def draws(n_tasks, slope, seed, *, noise=0.02):
    rng = np.random.default_rng(seed)
    early = rng.normal(size=n_tasks) * 0.1 + noise * rng.normal(size=(3, n_tasks))
    other = rng.normal(size=n_tasks) * 0.1
    late = slope * early + (0 if slope else other) + noise * rng.normal(size=(3, n_tasks))
    return early, late


@pytest.mark.parametrize(("slope", "agreement"), [(1, "agrees"), (-1, "does not agree"), (0, "undecided")])
def test_what_transfer_tells_early_is_found_where_it_is_planted(slope, agreement):
    data = planted(*draws(10, slope, 1))
    found = claim(data, EARLY)
    assert found.agreement == agreement
    assert "by step 4 after fine-tuning on 20 examples" in found.measured
    row = next(
        one
        for one in transfer_findings(data).early
        if (one.step, one.measure, one.predictor) == (4, "score", "20 examples")
    )
    assert (row.tasks, row.runs, row.seeds) == (10, 3, 3)
    assert (row.skill > 0.5) == bool(slope), "of tasks and seeds that nothing was fitted on"
    assert row.skill_interval[0] <= row.skill <= row.skill_interval[1]


def test_transfer_that_tells_nothing_is_undecided_nearly_always():
    """Of 200 planted nulls of six tasks, 5 % may be decided by chance; both rules have to speak."""
    decided = 0
    for seed in range(200):
        early, late = draws(6, 0, seed)
        low, high = resampled_interval(early, late, SEEDS, repeats=300)
        decided += (low > 0 or high < 0) and dealt_anew(early, late, repeats=300) <= 0.05
    assert decided <= 18


def test_few_tasks_tell_nothing_whatever_they_show():
    found = claim(planted(*draws(4, 1, 1)), EARLY)
    assert found.agreement == "undecided"
    assert "fewer than 5 tasks nothing is known" in found.measured
    alike = np.zeros((3, 6))
    assert claim(planted(alike, alike), EARLY).agreement == "not measured"


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 9), st.integers(0, 2**32 - 1), st.floats(0.1, 50), st.floats(-5, 5))
def test_the_correlation_within_runs_sees_neither_order_nor_scale_nor_levels(n_tasks, seed, scale, level):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 3, n_tasks))
    order, of_run = rng.permutation(n_tasks), rng.normal(size=(3, 1))
    p = dealt_anew(x, y, repeats=100)
    assert dealt_anew(scale * x + level + of_run, y, repeats=100) == p
    assert dealt_anew(x, -y, repeats=100) == p
    assert 1 / 101 <= p <= 1
    low, high = resampled_interval(x, y, SEEDS, repeats=100)
    assert -1 <= low <= high <= 1
    scaled = resampled_interval(scale * x + level + of_run, y, SEEDS, repeats=100)
    assert scaled == pytest.approx((low, high), abs=1e-6)
    assert resampled_interval(x, -y, SEEDS, repeats=100) == pytest.approx((-high, -low), abs=1e-9)
    again = resampled_interval(x[:, order], x[:, order], SEEDS, repeats=50)
    assert again == pytest.approx((1, 1))


def scheme_runs(noise, *, seeds=SEEDS, apart=0.3):
    """Two schemes; proportional fits by so much better, and is better in context on most of the tasks."""
    rng = np.random.default_rng(0)

    def of(label, seed):
        factor = 1.25 if label == "proportional" else 1.25 + apart
        end = checkpoint(16, factor, seen=0.5 if label == "proportional" else 0.5 + apart)
        shaken = tuple(
            result(one.task, loss=factor * HARDNESS[one.task] + noise * rng.normal(), score=0.4)
            for one in end.held_out
        )
        names = [f"seen-{at}" for at in range(6)]
        losses = [0.5 + apart * (label != "proportional") + noise * rng.normal() for _ in names]
        seen = tuple(
            SeenLoss(task=name, train=loss, test=loss) for name, loss in zip(names, losses, strict=True)
        )
        return TransferRun(arm=label, seed=seed, checkpoints=(replace(end, held_out=shaken, seen=seen),))

    labels = ("uniform", "proportional")
    runs = tuple(of(label, seed) for label in labels for seed in seeds)
    return transfer_report(labels=labels, runs=runs)


def test_the_best_scheme_is_named_where_the_next_is_beyond_the_margin():
    clear = scheme_runs(0.02)
    found = claim(clear, BEST)
    assert found.agreement == "agrees"
    assert found.measured.count("proportional, less uniform, the next, ") == 2
    close = scheme_runs(0.5, apart=0.01)
    found = claim(close, BEST)
    assert found.agreement == "undecided"
    assert found.measured.count("undecided, ") == 2
    assert not any(one.decided for one in transfer_findings(close).leads)


def test_a_single_seed_decides_nothing():
    data = scheme_runs(0.02, seeds=(0,))
    found = claim(data, BEST)
    assert found.agreement == "undecided"
    assert "margin unknown with 6 tasks and 1 seed" in found.measured
    decided = {one.agreement for one in transfer_findings(transfer_report(seeds=(0,))).claims}
    assert decided <= {"undecided", "not measured", "agrees"}
    effects = transfer_findings(transfer_report(seeds=(0,))).replay[0]
    assert effects.in_context_loss.sign == 0


def test_a_lead_is_over_what_all_arms_have():
    data = scheme_runs(0.02)
    other = replace(data.runs[0].last, seen=(SeenLoss(task="elsewhere", train=0.1, test=0.1),))
    runs = (replace(data.runs[0], checkpoints=(other,)), *data.runs[1:])
    found = lead(replace(data, runs=runs), ("uniform", "proportional"), "seen_test")
    assert found.effect.n == 2 * 6, "the seed that saw another task is left out"
    assert lead(data, ("uniform",), "seen_test") is None


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_a_margin_is_wider_than_either_part_and_turns_with_the_sign(n_tasks, n_seeds, seed):
    values = np.random.default_rng(seed).normal(size=(n_tasks, n_seeds))
    tasks, seeds = np.indices(values.shape).reshape(2, -1).tolist()
    effect = paired_effect(values.ravel(), tasks, seeds)
    turned = paired_effect(-values.ravel(), tasks, seeds)
    assert (turned.mean, turned.margin) == (-effect.mean, effect.margin)
    assert turned.sign == -effect.sign
    assert effect.margin >= 1.9 * max(effect.stderr_tasks, effect.stderr_seeds)
    more = paired_effect([*values.ravel(), np.nan], [*tasks, 99], [*seeds, 99])
    assert more == effect, "what is unknown is left out"


def test_the_error_of_pairs_is_that_of_their_tasks():
    """A mean over pairs of a_i + a_j moves with a task twice as much as the mean of the a_i."""
    a = np.random.default_rng(3).normal(size=9)
    matrix = np.add.outer(a, a)
    effect = pairs_effect([matrix, matrix], [0, 1])
    assert effect.mean == pytest.approx(2 * a.mean())
    assert effect.stderr_tasks == pytest.approx(2 * a.std(ddof=1) / 3)
    assert effect.stderr_seeds == 0
    assert effect.n == 2 * 36


def with_gradients(at_steps):
    """The sample's runs of one arm, with gradients of so high a cosine and noise at steps."""
    data = transfer_report(labels=("uniform",), seeds=SEEDS)
    runs = [
        replace(
            run,
            gradients=tuple(
                (step, compare_gradients("abcde", gradients(*of, 100 * run.seed + step)))
                for step, of in at_steps.items()
            ),
        )
        for run in data.runs
    ]
    return transfer_findings(replace(data, runs=tuple(runs)))


def test_a_turn_of_the_gradients_is_found_and_noise_is_not_taken_for_one():
    findings = with_gradients({0: (0.8, 0.5), 16: (0.2, 0.5)})
    assert [one.step for one in findings.conflicts] == [0, 16]
    (change,) = findings.conflict_changes
    assert change.direction.sign == -1
    assert change.noise.sign == 0
    assert "seeds), falls; magnitude" in change.sentence
    assert change.sentence.endswith("seeds), undecided.")
    louder = with_gradients({0: (0.6, 0.5), 16: (0.6, 8.0)})
    (change,) = louder.conflict_changes
    assert change.noise.sign == 1
    assert change.direction.sign == 0, "plain cosines of means would fall to a half"
    assert louder.conflicts[0].conflicting == 0
    assert transfer_findings(transfer_report()).conflict_changes == ()


def marked(factor, noise):
    """The sample under a further marking, whose tuned scores are so many times the first's."""
    rng = np.random.default_rng(4)
    data = transfer_report(labels=("uniform",), seeds=SEEDS)

    def scaled(of, by):
        points = tuple(
            replace(point, scores=tuple(by * score + noise * rng.normal() for score in point.scores))
            for point in of.transfer
        )
        return replace(of, transfer=points, in_context=())

    models = [MarkedModel(marking="exemplars", held_out=data.pretrained.held_out)]
    models += [
        MarkedModel(
            marking="exemplars",
            held_out=tuple(scaled(one, factor) for one in run.last.held_out),
            arm=run.arm,
            seed=run.seed,
        )
        for run in data.runs
    ]
    return transfer_findings(replace(data, marked=tuple(models)))


def test_markings_are_compared_with_a_margin():
    findings = marked(1.2, 0.001)
    (difference,) = findings.marking_differences
    assert (difference.first, difference.marking) == ("id", "exemplars")
    assert difference.level.sign == 1
    assert difference.change.sign == 1
    assert "exemplars is higher" in difference.sentence
    assert "exemplars keeps more" in difference.sentence
    first, other = findings.markings
    assert (first.marking, other.marking) == ("id", "exemplars")
    assert other.curve[0][2] == pytest.approx(1.2 * first.curve[0][2], abs=0.002)
    (said,) = (one for one in findings.claims if "marked by exemplars" in one.claim)
    assert said.agreement == "agrees"
    (difference,) = marked(1.0, 0.05).marking_differences
    assert (difference.level.sign, difference.change.sign) == (0, 0)
    assert difference.sentence.count("undecided") == 2
    assert transfer_findings(transfer_report()).markings == ()


def test_the_headline_counts_what_did_not_come_out():
    assert set(ARMS) == {arm.label for arm in transfer_report().arms}
    assert transfer_findings(scheme_runs(0.5, apart=0.01)).headline.endswith("undecided.")
