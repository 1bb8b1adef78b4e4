import math

from hypothesis import given
from hypothesis import strategies as st

from cotune.findings.retention import RetentionCheckpoint, TargetScore
from cotune.studies.retention import MethodArm
from cotune.studies.retention._checkpoints import Selection
from cotune.studies.retention._design import RateCell
from cotune.training.methods import METHODS

scores = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def arm(name):
    return MethodArm(label=name, method=METHODS[name]())


def run(values, stage="weights", tests=None):
    """Checkpoints whose test scores say the opposite of their validation scores."""
    return [
        RetentionCheckpoint(
            stage=stage, step=step, targets=(TargetScore(task="t", validation=value, test=1 - value),)
        )
        for step, value in enumerate(values)
    ]


@given(scores, scores)
def test_the_best_is_of_the_last_stage_and_chosen_by_validation(early, late):
    checkpoints = [*run(early, "prompt"), *run(late)]
    best = Selection(True).best(checkpoints)
    assert checkpoints[best].stage == "weights"
    assert checkpoints[best].targets[0].validation == max(late)
    assert best == len(early) + late.index(max(late)), "the first of those alike"
    lowest = Selection(False).best(checkpoints)
    assert checkpoints[lowest].targets[0].validation == min(late)


@given(scores, st.floats(0, 1))
def test_the_first_that_reaches_a_score(values, threshold):
    at = Selection(True).first_reaching(run(values), threshold)
    if at is None:
        assert max(values) < threshold
    else:
        assert values[at] >= threshold
        assert all(value < threshold for value in values[:at])
    loss = Selection(False).first_reaching(run(values), threshold)
    assert (loss is None) == (min(values) > threshold)


def test_several_targets_are_averaged():
    targets = (
        TargetScore(task="a", validation=0.5, test=math.nan),
        TargetScore(task="b", validation=1.0, test=math.nan),
    )
    checkpoint = RetentionCheckpoint(stage="weights", step=0, targets=targets)
    assert Selection(True).utility(checkpoint) == 0.75
    assert Selection(False).utility(checkpoint) == -0.75


def test_the_common_target_is_what_every_method_reaches_with_every_seed_at_its_best_rate():
    runs = {
        RateCell(arm("full"), 0.1, 0): run([0.2, 0.9]),
        RateCell(arm("full"), 0.1, 1): run([0.2, 0.8]),
        RateCell(arm("full"), 0.5, 1): run([0.85, 0.1]),
        RateCell(arm("promot"), 0.1, 0): run([0.95]),
        RateCell(arm("promot"), 0.1, 1): run([0.99]),
        RateCell(arm("prompt"), 0.1, 0): run([0.3], "prompt"),
    }
    assert Selection(True).common_target(runs) == 0.85
    assert Selection(False).common_target(runs) == 0.99
    only_prompts = {cell: of for cell, of in runs.items() if cell.arm.name == "prompt"}
    assert Selection(True).common_target(only_prompts) is None


def test_the_best_run_is_the_one_with_the_best_best_checkpoint():
    runs = {RateCell(arm("full"), rate, 0): run([rate, 1 - rate]) for rate in (0.1, 0.4, 0.7)}
    assert Selection(True).best_run(runs).learning_rate == 0.1
    assert Selection(False).best_run(runs).learning_rate == 0.1
    assert Selection(True).best_run({}) is None
