import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cotune.evaluation.last_stage import StageChange
from cotune.findings.retention import RetentionCheckpoint, TargetScore
from cotune.studies.retention import MethodArm
from cotune.studies.retention._checkpoints import Selection
from cotune.studies.retention._design import RateCell
from cotune.training.methods import METHODS

scores = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def arm(name):
    return MethodArm(label=name, method=METHODS[name]())


def run(values, stage="weights", moved=None, untouched=()):
    """Checkpoints whose test scores say the opposite of their validation scores."""
    return [
        RetentionCheckpoint(
            stage=stage,
            step=step,
            targets=(TargetScore(task="t", validation=value, test=1 - value),),
            change=None if moved is None else StageChange(moved=bool(step) and moved[step]),
            untouched=step in untouched,
        )
        for step, value in enumerate(values)
    ]


PRETRAINED = RetentionCheckpoint(
    stage="pretrained", step=0, targets=(TargetScore(task="t", validation=0.1, test=0.9),)
)


@given(scores, scores)
def test_the_best_is_of_the_last_stage_after_a_step_and_chosen_by_validation(early, late):
    checkpoints = [*run(early, "prompt"), *run(late)]
    best, after = Selection(True).best(checkpoints), late[1:]
    if not after:
        assert best is None, "what stands before the first step is no result of the stage"
        return
    assert checkpoints[best].stage == "weights"
    assert checkpoints[best].targets[0].validation == max(after)
    assert best == len(early) + 1 + after.index(max(after)), "the first of those alike, and never step 0"
    lowest = Selection(False).best(checkpoints)
    assert checkpoints[lowest].targets[0].validation == min(after)


@given(scores, st.floats(0, 1))
def test_the_first_after_a_step_that_reaches_a_score(values, threshold):
    at = Selection(True).first_reaching(run(values), threshold)
    if at is None:
        assert all(value < threshold for value in values[1:])
    else:
        assert at > 0
        assert values[at] >= threshold
        assert all(value < threshold for value in values[1:at])
    loss = Selection(False).first_reaching(run(values), threshold)
    assert (loss is None) == all(value > threshold for value in values[1:])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=8))
def test_a_checkpoint_that_nothing_moved_is_no_candidate(steps):
    values, moved = zip(*steps, strict=True)
    best = Selection(True).best(run(values, moved=moved))
    assert (best is None) == (not any(moved[1:]))
    if best is not None:
        assert values[best] == max(v for v, m in steps[1:] if m)


def test_several_targets_are_averaged():
    targets = (
        TargetScore(task="a", validation=0.5, test=math.nan),
        TargetScore(task="b", validation=1.0, test=math.nan),
    )
    checkpoint = RetentionCheckpoint(stage="weights", step=0, targets=targets)
    assert Selection(True).utility(checkpoint) == 0.75
    assert Selection(False).utility(checkpoint) == -0.75
    assert Selection(True).utility(checkpoint, {"a"}) == 0.5, "of a sequence those seen so far"


def test_the_common_target_is_what_every_method_reaches_with_every_seed_at_its_best_rate():
    runs = {
        RateCell(arm("full"), 0.1, 0): run([0.2, 0.9]),
        RateCell(arm("full"), 0.1, 1): run([0.2, 0.8]),
        RateCell(arm("full"), 0.5, 1): run([0.2, 0.85, 0.1]),
        RateCell(arm("promot"), 0.1, 0): run([0.2, 0.95]),
        RateCell(arm("promot"), 0.1, 1): run([1.0, 0.99]),
        RateCell(arm("prompt"), 0.1, 0): run([0.2, 0.3], "prompt"),
    }
    assert Selection(True).common_target(runs, PRETRAINED) == 0.85
    only_prompts = {cell: of for cell, of in runs.items() if cell.arm.name == "prompt"}
    assert Selection(True).common_target(only_prompts, PRETRAINED) is None
    losses = {
        RateCell(arm("full"), 0.1, 0): run([0.8, 0.09, 0.3]),
        RateCell(arm("promot"), 0.1, 0): run([0.7, 0.05]),
    }
    assert Selection(False).common_target(losses, PRETRAINED) == 0.09


def test_the_common_target_is_not_lowered_to_what_untuned_weights_reach():
    full, promot = RateCell(arm("full"), 0.1, 0), RateCell(arm("promot"), 0.1, 0)
    better = [*run([0.2, 0.6], "prompt", untouched=(0, 1)), *run([0.6, 0.9], untouched=(0,))]
    runs = {full: run([0.1, 0.5]), promot: better}
    assert Selection(True).common_target(runs, PRETRAINED) == 0.9, "full came no further than the prompt"
    assert Selection(True).first_reaching(runs[full], 0.9) is None
    runs = {full: run([0.1, 0.5]), promot: run([0.05, 0.3])}
    assert Selection(True).common_target(runs, PRETRAINED) == 0.3
    strong = replace(PRETRAINED, targets=(TargetScore(task="t", validation=0.4, test=0.4),))
    assert Selection(True).common_target(runs, strong) == 0.5
    stronger = replace(PRETRAINED, targets=(TargetScore(task="t", validation=0.5, test=0.5),))
    assert Selection(True).common_target(runs, stronger) is None
    alone = {**runs, RateCell(arm("prompt"), 0.1, 0): run([0.2, 0.45], "prompt", untouched=(0, 1))}
    assert Selection(True).common_target(alone, PRETRAINED) == 0.5


def test_the_best_run_is_the_one_with_the_best_best_checkpoint():
    runs = {RateCell(arm("full"), rate, 0): run([0.95, rate, 1 - rate]) for rate in (0.1, 0.4, 0.7)}
    assert Selection(True).best_run(runs).learning_rate == 0.1
    assert Selection(False).best_run(runs).learning_rate == 0.1
    assert Selection(True).best_run({cell: of[:1] for cell, of in runs.items()}) is None
    assert Selection(True).best_run({}) is None
