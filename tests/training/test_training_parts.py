"""A run that is parted goes on as if it had not been; runs on groups go on from a part on all tasks."""

import numpy as np
import pytest
import torch

from cotune.exceptions import InputError, RunError
from cotune.training._branch_point import BranchPoint, values_of
from cotune.training.parts import Part, PartLearner, Patience, Span

NAMES = ("copy", "last", "swap")
MOVING = {"batch_size": 4, "learning_rate": 0.02, "schedule": "cosine", "warmup": 0.3}

LEARNERS = {
    "lora, dropout": ("causal", {"method": {"name": "lora", "dropout": 0.2}, "training": MOVING}),
    "lora, adafactor": ("seq2seq", {"training": {**MOVING, "optimizer": "adafactor"}}),
    "lora, dwa": ("causal", {"training": {**MOVING, "balancing": {"name": "dwa"}}}),
    "lora, annealed": (
        "causal",
        {"training": {**MOVING, "scheme": {"name": "annealed", "start": 4, "end": 1, "horizon": 5}}},
    ),
    "lora, warm": ("causal", {"training": MOVING, "warm_start": {"steps": 3}}),
    "full": ("causal", {"method": {"name": "full"}, "training": {**MOVING, "learning_rate": 1e-3}}),
    "prefix": ("causal", {"method": {"name": "prefix", "prefix_length": 4}, "training": MOVING}),
    "prompts of tasks": (
        "seq2seq",
        {"method": {"name": "prompt", "prompt_length": 4}, "training": {"batch_size": 4}},
    ),
    "two stages": (
        "causal",
        {"method": {"name": "promot", "prompt_length": 4, "prompt_steps": 3}, "training": MOVING},
    ),
}


@pytest.fixture(scope="module")
def tasks(make_task):
    return [make_task(name) for name in NAMES]


def beginning(learner, folder, *, steps=6, rest=6, seed=1):
    folder.mkdir(parents=True, exist_ok=True)
    part = Part(NAMES, seed, steps, Span(rest=rest))
    return learner.begin(part, folder)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_run_on_all_tasks_goes_on_to_the_last_bit_as_if_it_had_not_been_parted(
    name, learner_of, tasks, tmp_path, one_thread
):
    kind, options = LEARNERS[name]
    learner = learner_of(kind, tasks, **options)
    assert isinstance(learner, PartLearner)
    learner.check_parts()
    first = beginning(learner, tmp_path)
    (then,) = learner.fit_parts([Part(NAMES, 1, 6, Span(since=6), tmp_path)], split="validation")
    whole = learner.fit(NAMES, 1, steps=12, split="validation")
    assert first.losses + then.losses == whole.losses
    assert first.tokens + then.tokens == whole.tokens
    assert not first.scores
    assert then.scores == whole.scores
    assert {task: first.examples[task] + then.examples[task] for task in NAMES} == dict(whole.examples)


def test_a_part_is_the_joint_run_of_its_steps_where_the_rate_does_not_move(
    learner_of, tasks, tmp_path, one_thread
):
    learner = learner_of("causal", tasks, training={"batch_size": 4, "warmup": 0.0})
    part = beginning(learner, tmp_path, steps=5, rest=20)
    kept = tmp_path / "kept"
    kept.mkdir()
    alone = learner.fit(NAMES, 1, steps=5, split="validation", save_to=kept)
    assert part.losses == alone.losses
    point = BranchPoint.load(tmp_path)
    from safetensors.torch import load_file

    written = list(load_file(kept / "adapter_model.safetensors").values())
    assert sum(any(torch.equal(value, other) for other in written) for value in point.values.values()) == len(
        written
    )


@pytest.mark.parametrize("name", LEARNERS)
def test_groups_begin_where_the_joint_part_ended(name, learner_of, tasks, tmp_path):
    kind, options = LEARNERS[name]
    learner = learner_of(kind, tasks, **options)
    beginning(learner, tmp_path)
    point = BranchPoint.load(tmp_path)
    subset = ("copy", "swap")
    with learner._attached(subset, 5, point) as attached:
        start = values_of(attached)
    assert start
    assert all(torch.equal(value, point.values[name]) for name, value in start.items())
    part = Part(subset, 1, 4, Span(since=4), tmp_path)
    (fit,), (again,) = (learner.fit_parts([part], split="validation") for _ in range(2))
    assert len(fit.losses) == 4
    assert set(fit.examples) == set(fit.scores) == set(subset)
    assert fit.losses == pytest.approx(again.losses)
    fresh = learner.fit(subset, 1, steps=4, split="validation")
    assert fit.losses != fresh.losses


def test_groups_go_on_side_by_side_as_alone(learner_of, tasks, tmp_path):
    learner = learner_of("causal", tasks, side_by_side=4, training=MOVING)
    parts = []
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        beginning(learner, folder, seed=seed)
        parts += [
            Part(subset, seed, 4, Span(since=4), folder) for subset in (("copy", "last"), ("last", "swap"))
        ]
    together = learner.fit_parts(parts, split="validation")
    for part, fit in zip(parts, together, strict=True):
        (alone,) = learner.fit_parts([part], split="validation")
        np.testing.assert_allclose(fit.losses, alone.losses, rtol=0, atol=1e-4)
        for task, score in fit.scores.items():
            np.testing.assert_allclose(score.per_example, alone.scores[task].per_example, atol=1e-4)
    # The moments came along: from parameters alone the second step would be another.
    bare = BranchPoint.load(tmp_path / "0")
    (tmp_path / "bare").mkdir()
    BranchPoint(bare.values, {}, bare.task_losses, bare.random).save(tmp_path / "bare")
    without = Part(parts[0].subset, 0, 4, Span(since=4), tmp_path / "bare")
    (other,) = learner.fit_parts([without], split="validation")
    assert other.losses[0] == pytest.approx(together[0].losses[0], abs=1e-4)
    assert abs(other.losses[-1] - together[0].losses[-1]) > 1e-3


def test_what_cannot_be_parted_is_said(learner_of, tasks, tmp_path):
    method = {"name": "promot", "prompt_length": 4, "prompt_steps": 2, "order": "sequence"}
    with pytest.raises(InputError, match=r"Tasks in sequence have no part .* set order: together\."):
        learner_of("causal", tasks, method=method).check_parts()
    learner = learner_of("causal", tasks, training=MOVING)
    with pytest.raises(
        RunError, match="Training copy with seed 0: The joint part that it goes on from is not"
    ):
        learner.fit_parts([Part(("copy",), 0, 2, Span(since=2), tmp_path / "none")], split="test")
    with pytest.raises(InputError, match="same steps and the same span"):
        learner.fit_parts([Part(("copy",), 0, 2), Part(("copy",), 0, 3)], split="test")


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_a_run_with_patience_ends_where_validation_stops_falling_and_keeps_the_best(
    kind, learner_of, tasks, tmp_path, one_thread
):
    learner = learner_of(kind, tasks, training={"batch_size": 4, "learning_rate": 0.05, "warmup": 0.0})
    part = Part(NAMES, 1, 400, patience=Patience(every=3, looks=2))
    (fit,) = learner.fit_parts([part], split="validation", save_to=tmp_path)
    steps, losses = zip(*fit.looks.losses, strict=True)
    assert list(steps) == list(range(0, 3 * len(steps), 3))
    assert len(fit.losses) == steps[-1] < 400
    best = int(np.argmin(losses))
    assert fit.looks.kept == steps[best] == steps[-1] - 2 * 3
    assert min(losses[:-2]) <= min(losses[-2:])
    # What is scored, and saved, is the state at the lowest loss: the run of so many steps.
    alone = learner.fit(NAMES, 1, steps=fit.looks.kept, split="validation")
    assert fit.scores == alone.scores
    mean = np.mean([score.value for score in fit.scores.values()])
    assert losses[best] == pytest.approx(mean, rel=1e-5), "the scores are losses here too"


def test_a_run_with_patience_ends_at_its_steps_and_never_gets_worse(learner_of, tasks):
    learner = learner_of("causal", tasks, training={"batch_size": 4, "learning_rate": 1e-4})
    part = Part(NAMES, 1, 7, patience=Patience(every=3, looks=9))
    (fit,) = learner.fit_parts([part], split="validation")
    assert [step for step, _ in fit.looks.losses] == [0, 3, 6, 7]
    assert len(fit.losses) == 7
    recipe = {"batch_size": 4, "learning_rate": 1.0, "max_loss": 1e9, "warmup": 0.0}
    worse = learner_of("causal", tasks, method={"name": "full"}, training=recipe)
    (fit,) = worse.fit_parts([part], split="validation")
    assert fit.looks.kept == 0


def test_groups_go_on_from_the_best_of_a_joint_part_with_patience(learner_of, tasks, tmp_path, one_thread):
    learner = learner_of("causal", tasks, training={"batch_size": 4, "learning_rate": 0.05, "warmup": 0.0})
    patience = Patience(every=3, looks=2)
    begun = learner.begin(Part(NAMES, 1, 400, Span(rest=60), patience=patience), tmp_path)
    lowest = min(loss for _, loss in begun.looks.losses)
    assert len(begun.losses) > begun.looks.kept
    (fit,) = learner.fit_parts([Part(NAMES, 1, 60, Span(since=400), tmp_path, patience)], split="validation")
    assert fit.looks.losses[0] == (0, pytest.approx(lowest, rel=1e-6))
    steps = {moments["step"].item() for moments in BranchPoint.load(tmp_path).moments.values()}
    assert steps == {begun.looks.kept}
