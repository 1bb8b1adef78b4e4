"""What the demo of ProMoT promises, by the command itself: minutes, and no download."""

from statistics import fmean

import pytest

DEMO = "promot"
pytestmark = pytest.mark.demo


def average(checkpoint, shots):
    values = [fmean(v["draws"]) for v in checkpoint["in_context"] if v["shots"] == shots]
    assert len(values) == 11
    return fmean(values)


def kept_at_equal_target(found, method, learning_rate):
    """Return by seed the share of the pretrained 4-shot score; None where the target is not reached."""
    before = average(found["pretrained"], 4)
    runs = [r for r in found["runs"] if (r["method"], r["learning_rate"]) == (method, learning_rate)]
    assert [run["seed"] for run in runs] == [0, 1, 2]
    return [
        None if run["equal"] is None else average(run["checkpoints"][run["equal"]], 4) / before
        for run in runs
    ]


def test_promot_keeps_nine_tenths_of_the_pretrained_score_in_every_seed(found):
    assert found["threshold"] == 0.95
    assert min(kept_at_equal_target(found, "promot", 3e-4)) >= 0.9


def test_full_tuning_forgets_most_and_answers_with_labels(found):
    for rate in found["learning_rates"]:
        assert max(kept_at_equal_target(found, "full", rate)) < 0.5
    last = next(r for r in found["runs"] if r["method"] == "full")["checkpoints"][-1]
    shares = [v["label_share"] for v in last["in_context"] if v["label_share"] is not None]
    assert fmean(shares) > 0.3
    before = [v["label_share"] for v in found["pretrained"]["in_context"] if v["label_share"] is not None]
    assert fmean(before) < 0.01


def test_a_collapsed_model_is_seen_by_the_first_word_of_its_answers(found):
    shares = {(s["method"], s["learning_rate"], s["at"]): s for s in found["label_shares"]}
    assert shares["full", 1e-3, "best"]["first_word"] > 0.95
    assert shares["full", 1e-3, "best"]["answer"] < 0.6
    assert shares["promot", 3e-4, "equal"]["first_word"] < 0.01


def test_no_result_is_of_a_model_that_nothing_was_done_to(found):
    for run in found["runs"]:
        for at in ("best", "equal"):
            if run[at] is not None:
                chosen = run["checkpoints"][run[at]]
                assert chosen["step"] > 0
                assert chosen["change"]["moved"]
    changed = {(c["method"], c["learning_rate"]): c for c in found["last_stage"] if c["at"] == "equal"}
    assert changed["promot", 3e-4]["weights"] > 0.01, "its second stage tunes the weights"
    assert changed["promot", 3e-4]["kl_other"] < changed["full", 3e-4]["kl_other"]


def test_promot_is_ahead_of_all_that_tune_the_weights_otherwise(found):
    promot = kept_at_equal_target(found, "promot", 3e-4)
    for method in ("full", "joint", "random_prompt"):
        for ours, theirs in zip(promot, kept_at_equal_target(found, method, 3e-4), strict=True):
            assert theirs is None or ours > theirs
