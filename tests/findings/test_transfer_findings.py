"""The findings of a transfer study: correlations, arms, the effect of replay, and the paper's claims."""

import json

import numpy as np
import pytest
from samples.transfer import ARMS, HARDNESS, checkpoint, transfer_report
from scipy import stats

from cotune.findings.transfer import along_training, by_examples, losses_by_step, transfer_findings


def test_points_and_their_correlations():
    data = transfer_report()
    relation = transfer_findings(data).relation
    # The pretrained model once, and two checkpoints of every run, on each task.
    assert len(relation.points) == (1 + 2 * 8) * len(HARDNESS)
    x = [point.transfer_loss for point in relation.points]
    y = [point.in_context_loss for point in relation.points]
    np.testing.assert_allclose(np.array(x), 0.5 * np.array(y))
    assert relation.overall.r == pytest.approx(stats.pearsonr(x, y).statistic)
    assert relation.within.r == pytest.approx(1)
    assert (relation.examples, relation.shots) == (20, 4)


def test_arms_at_the_end_of_training():
    data = transfer_report(seeds=(0,))
    findings = transfer_findings(data)
    assert findings.pretrained.relative == 1
    hardness = np.mean(list(HARDNESS.values()))
    for row, (label, (_, _, factor, seen)) in zip(findings.arms, ARMS.items(), strict=True):
        assert row.arm == label
        assert row.seen_train == pytest.approx(seen - 0.1)
        assert row.seen_test == pytest.approx(seen)
        assert row.in_context_loss == pytest.approx(factor * hardness)
        # Losses fall along a straight line to half: their mean height is three quarters.
        assert row.transfer_loss == pytest.approx(0.75 * factor * hardness)
        assert row.relative == pytest.approx(1 / factor)
        assert row.instructions == 128
    for entry in findings.forgetting:
        factor = ARMS[entry.arm][2]
        assert entry.in_context == pytest.approx(0.5 / factor - 0.5)
        assert entry.transfer == pytest.approx(entry.in_context * 0.45)


def test_replay_is_compared_with_the_same_scheme_without_it():
    (effect,) = transfer_findings(transfer_report()).replay
    assert effect.ratio == 0.5
    gains = [ARMS[f"{scheme}, replay 0.5"][2] - ARMS[scheme][2] for scheme in ("uniform", "proportional")]
    assert effect.in_context_loss.mean == pytest.approx(np.mean(gains) * np.mean(list(HARDNESS.values())))
    assert effect.in_context_loss.n == 2 * 2 * len(HARDNESS)
    assert effect.in_context_loss.stderr_seeds == pytest.approx(0)
    by_task = [np.mean(gains) * hardness for hardness in HARDNESS.values()]
    assert effect.in_context_loss.stderr_tasks == pytest.approx(
        np.std(by_task, ddof=1) / np.sqrt(len(by_task))
    )


def test_claims_are_decided_by_what_was_measured():
    data = transfer_report()
    claims = transfer_findings(data).claims
    # Nothing of the sample differs between tasks in what it changes by, so nothing can be told early.
    assert [claim.agreement for claim in claims] == [*["agrees"] * 5, "not measured"]
    assert "proportional" in claims[2].measured
    # An arm that improves with instruction tuning, and fits worst where it learns best.
    better = transfer_report(labels=("uniform", "proportional"))
    runs = [
        run.__class__(
            arm=run.arm,
            seed=run.seed,
            checkpoints=(
                checkpoint(
                    16,
                    0.5 if run.arm == "uniform" else 0.7,
                    seen=0.9 if run.arm == "uniform" else 0.3,
                ),
            ),
        )
        for run in better.runs
    ]
    better = transfer_report(labels=("uniform", "proportional"), runs=tuple(runs))
    claims = transfer_findings(better).claims
    assert [claim.agreement for claim in claims] == [
        *("does not agree", "agrees", "does not agree"),
        "not measured",
    ]
    none = transfer_report(labels=("uniform",), runs=())
    claims = transfer_findings(none).claims
    assert [claim.agreement for claim in claims] == ["not measured"] * 4


def test_what_is_not_known_is_null_in_json():
    findings = transfer_findings(transfer_report(labels=("uniform",), seeds=(0,), runs=()))
    found = findings.to_dict()
    assert list(found)[-2:] == ["findings", "claims"]
    assert found["findings"]["pretrained"]["seen_test"] is None
    assert [claim["agreement"] for claim in found["claims"]] == ["not measured"] * 4
    assert findings.headline == "0 of 0 findings of the paper came out here too."
    json.dumps(found, allow_nan=False)


def test_curves_average_models_and_tasks():
    data = transfer_report(seeds=(0,))
    pretrained, *arms = by_examples(data, "loss", ["hard"])
    assert pretrained.arm is None
    assert pretrained.points == ((0.0, 2.0), (10.0, 1.5), (20.0, 1.0))
    for at, (curve, (_, _, factor, _)) in enumerate(zip(arms, ARMS.values(), strict=True)):
        assert curve.arm == at
        np.testing.assert_allclose([y for _, y in curve.points], factor * np.array([2.0, 1.5, 1.0]))


def test_curves_along_training_hold_what_was_measured_at_each_step():
    data = transfer_report(labels=("proportional",), seeds=(0,))
    level, curve = along_training(data, "score", lambda result: result.transferred(10))
    assert level.points == ((2.0, 0.5 * 0.45), (16.0, 0.5 * 0.45))
    # At step 2 nothing was fine-tuned on 10 examples.
    assert np.isnan(curve.points[0][1])
    assert curve.points[1] == (16.0, pytest.approx(0.5 / 1.25 * 0.45))
    nothing = transfer_report(labels=("proportional",), runs=())
    assert [one.arm for one in along_training(nothing, "score", lambda result: result.shown(4))] == [None]


def test_losses_by_step_are_of_the_steps_that_have_any():
    data = transfer_report()
    curves = losses_by_step(data, lambda run: run.replay_losses)
    assert [data.arms[curve.arm].label for curve in curves] == [label for label in ARMS if "replay" in label]
    assert [step for step, _ in curves[0].points] == [2.0 + 2 * n for n in range(8)]
