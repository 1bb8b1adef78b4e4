from itertools import cycle

import numpy as np
import pytest
import torch

from cotune.exceptions import InputError, RunError
from cotune.training._loop import TrainingRun
from cotune.training.config import TrainingConfig
from cotune.training.methods import Lora

PAIRS = [("red", "red green"), ("blue one", "one"), ("two", "two"), ("three four", "four")]


def weights(attached):
    return [p.detach().clone() for p in attached.trained]


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_a_step_ahead_is_a_step_of_the_run_and_leaves_no_trace(causal, encode, optimizer):
    examples = encode(causal, PAIRS)
    config = TrainingConfig(learning_rate=0.01, optimizer=optimizer, batch_size=2, tasks_per_batch=1)
    after, losses = [], []
    for looks in (False, True):
        torch.manual_seed(0)
        with Lora(dropout=0.1).attach(causal) as attached:
            run = TrainingRun(causal, attached, 3, config)
            batches = cycle([examples[:2], examples[2:]])
            if looks:
                with run.step_ahead(examples[1:]):
                    pass
            run.run([next(batches)])
            if looks:
                before = weights(attached)
                with run.step_ahead(examples[1:]):
                    moved = weights(attached)
                assert all((a == b).all() for a, b in zip(weights(attached), before, strict=True))
                assert any((a != b).any() for a, b in zip(moved, before, strict=True))
            run.run([next(batches), next(batches)])
            after.append(weights(attached))
            losses.append(run.log.losses)
            assert run.log.tokens == sum(map(len, [*examples, *examples[:2]]))
    assert losses[0] == losses[1]
    assert all((a == b).all() for a, b in zip(*after, strict=True))


def test_a_step_ahead_is_the_step_the_run_would_take(causal, encode):
    examples = encode(causal, PAIRS)
    config = TrainingConfig(learning_rate=0.01, warmup=0.0, batch_size=2, tasks_per_batch=1)
    torch.manual_seed(0)
    with Lora().attach(causal) as attached:
        run = TrainingRun(causal, attached, 3, config)
        run.run([examples[:2]])
        with run.step_ahead(examples[2:]):
            ahead = weights(attached)
        run.run([examples[2:]])
        assert all((a == b).all() for a, b in zip(weights(attached), ahead, strict=True))


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_the_measured_run_is_the_joint_run(kind, learner_of, make_task):
    """At the last of two measurements, losses are those after the joint run's first step."""
    learner = learner_of(kind, [make_task("swap", sizes=(4, 2, 2)), make_task("copy", sizes=(4, 2, 2))])
    before, after = learner.lookahead(3, steps=2, every=1)
    with learner._attached(("copy", "swap"), 0) as attached:
        # Batches of four of four examples: every batch of a task holds all of them.
        fresh = [
            learner.model.nll(attached.module, learner._data.encoded(task, "train")).mean()
            for task in learner.tasks
        ]
    np.testing.assert_allclose(before[0], fresh, atol=1e-5)
    assert before.shape == (2, 2)
    assert after.shape == (2, 2, 2)
    # A step on a task helps it on these very examples, and more than a step on the other one.
    gain = before[:, :, None] - after
    assert (gain.diagonal(axis1=1, axis2=2) > 0).all()
    assert (before[1] < before[0]).any()


def test_tasks_in_sequence_cannot_be_looked_ahead(learner_of, make_task):
    method = {"name": "promot", "prompt_length": 3, "prompt_steps": 1, "order": "sequence"}
    learner = learner_of("causal", [make_task("copy"), make_task("last")], method=method)
    with pytest.raises(InputError, match="in sequence have no step on all tasks"):
        learner.lookahead(0, steps=2, every=1)


def test_a_run_that_diverges_says_so(learner_of, make_task):
    recipe = {"learning_rate": 1e30, "batch_size": 4, "clip": None}
    learner = learner_of("causal", [make_task("copy"), make_task("last")], training=recipe)
    with pytest.raises(RunError, match=r"^The joint run of the lookahead with seed 4: "):
        learner.lookahead(4, steps=6, every=6)
