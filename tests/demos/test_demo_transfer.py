"""What the demo of the transfer study promises, by the command itself: minutes, and no download."""

import pytest

DEMO = "transfer"
pytestmark = pytest.mark.demo


def test_it_holds_three_schemes_with_and_without_replay_on_three_seeds(found):
    assert sum(not task["held_out"] for task in found["tasks"]) >= 12
    assert sum(task["held_out"] for task in found["tasks"]) >= 6
    assert {(arm["scheme"], arm["replay"]) for arm in found["arms"]} == {
        (scheme, replay)
        for scheme in ("proportional", "uniform", "annealed 10 1 64")
        for replay in (0.0, 0.5)
    }
    assert sorted(run["seed"] for run in found["runs"]) == [0] * 6 + [1] * 6 + [2] * 6
    assert found["failures"] == []


def test_every_arm_has_seen_the_same_number_of_instructions(found):
    assert {arm["instructions"] for arm in found["findings"]["arms"]} == {128 * 16}
    for run in found["runs"]:
        replayed = next(arm["replay"] for arm in found["arms"] if arm["label"] == run["arm"])
        assert run["windows"] == 128 * 16 * replayed


def test_transfer_suffers_and_replay_helps_it_beyond_their_margins(found):
    for arm in found["findings"]["arms"]:
        assert arm["relative"] < 1.0
    (replay,) = found["findings"]["replay"]
    assert -replay["transfer_loss"]["mean"] > replay["transfer_loss"]["margin"] > 0
    drop, together, best, in_context, fine_tuned, early = (claim["agreement"] for claim in found["claims"])
    assert (drop, fine_tuned) == ("agrees", "agrees")
    assert {together, best, in_context, early} == {"undecided"}


def test_what_is_within_its_margin_is_not_claimed(found):
    (replay,) = found["findings"]["replay"]
    assert abs(replay["in_context_loss"]["mean"]) < replay["in_context_loss"]["margin"]
    best = found["claims"][2]["measured"]
    assert best.count("undecided") == 2


def test_correlations_are_given_over_all_points_and_within_tasks(found):
    relation = found["findings"]["relation"]
    # The pretrained model, and four checkpoints of eighteen runs, on six tasks.
    assert len(relation["points"]) == relation["overall"]["n"] == (1 + 4 * 18) * 6
    for kind in ("overall", "within"):
        assert relation[kind]["low"] < relation[kind]["r"] < relation[kind]["high"]
