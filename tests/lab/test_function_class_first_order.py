"""Linearised predictions and the lookahead of function classes, beside plain autograd."""

import numpy as np
import pytest
import torch

from cotune.exceptions import InputError
from cotune.lab import FunctionClassConfig
from cotune.lab.function_classes._first_order import linearise
from cotune.lab.function_classes._training import Training
from cotune.training import LinearisedLearner, LookaheadLearner

TINY = {
    "classes": ("linear-1.0", "relu-1.0", "tree-1.0"),
    "points": 4,
    "width": 8,
    "base_steps": 10,
    "steps": 3,
    "batch_size": 6,
    "eval_prompts": 5,
    "lr": 0.01,
}


@pytest.fixture(scope="module")
def learner():
    torch.set_num_threads(1)
    return FunctionClassConfig(**TINY).build()


def test_it_has_the_abilities(learner):
    assert isinstance(learner, LinearisedLearner)
    assert isinstance(learner, LookaheadLearner)
    assert learner.linear_loss == "squared"


def test_gradients_are_those_of_every_prediction_alone(learner):
    base = learner._runner.base
    x, y = torch.randn(3, 4, 3), torch.randn(3, 4)
    gradients, predictions, targets = linearise(base, (x, y), dimension=10**7, seed=0)
    parameters = list(base.parameters())
    predicted = base(x.unsqueeze(0), y.unsqueeze(0)).squeeze(0)
    expected = [
        torch.cat([g.flatten() for g in torch.autograd.grad(one, parameters, retain_graph=True)]).numpy()
        for one in predicted.flatten()
    ]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(gradients, np.stack(expected), atol=1e-5 * scale)
    np.testing.assert_allclose(predictions, predicted.detach().flatten().numpy(), atol=1e-5)
    assert (targets == y.flatten().numpy()).all()


def test_evaluation_margins_give_the_score_of_the_base_model(learner):
    arrays = learner.linearise("relu-1.0", examples=100, seed=0, dimension=16)
    assert arrays["train_margins"].shape == (400,)
    assert arrays["eval_margins"].shape == (20,)  # five prompts of four points
    errors = learner._runner._errors(learner._runner.base, "relu-1.0", "validation")
    found = (arrays["eval_margins"] - arrays["eval_targets"]) ** 2
    np.testing.assert_allclose(found.reshape(5, 4), errors, rtol=1e-4, atol=1e-6)
    few = learner.linearise("relu-1.0", examples=2, seed=0, dimension=16)
    np.testing.assert_allclose(few["eval_margins"], arrays["eval_margins"][:8], rtol=1e-4)


def test_projections_are_shared_by_the_classes(learner):
    """The inner products of sketches of one seed are near those of the gradients."""
    options = {"examples": 5, "seed": 3}
    short = [learner.linearise(t, dimension=512, **options)["eval_gradients"].mean(0) for t in learner.tasks]
    whole = [
        learner.linearise(t, dimension=10**7, **options)["eval_gradients"].mean(0) for t in learner.tasks
    ]
    spread = np.linalg.norm(whole[0]) * np.linalg.norm(whole[1]) * np.sqrt(2 / 512)
    assert abs(short[0] @ short[1] - whole[0] @ whole[1]) < 4 * spread


def test_a_look_ahead_is_one_step_of_a_run_on_the_class_alone(learner):
    """At the first measurement the optimiser is fresh, as in a run on one class."""
    before, after = learner.lookahead(7, steps=4, every=2)
    assert before.shape == (2, 3)
    assert after.shape == (2, 3, 3)
    gain = before[:, :, None] - after
    assert (gain.diagonal(axis1=1, axis2=2) > 0).all()
    batches = [next(learner._runner._batches((name,), ("lookahead", 7))) for name in learner.tasks]
    for j, (x, y) in enumerate(batches):
        model = learner._runner.base.copies(1)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01 / 20, betas=(0.9, 0.98))
        (model(x[None], y[None]) - y).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            losses = [(model(a[None], b[None]) - b).square().mean().item() for a, b in batches]
        np.testing.assert_allclose(after[0, :, j], losses, rtol=1e-4)


def test_a_run_goes_on_as_if_its_copies_had_not_stepped(learner):
    losses = []
    for looks in (False, True):
        run = Training(learner._runner.base.copies(1), steps=3, lr=0.01)
        stream = learner._runner._batches(learner.tasks, ("run", 7))
        for _, (x, y) in zip(range(3), stream, strict=False):
            if looks:
                run.copies(2).step(torch.stack([x, x]), torch.stack([y, -y]))
            losses.append(run.step(x[None], y[None]).item())
    assert losses[:3] == losses[3:]


def test_numbers_are_checked(learner):
    with pytest.raises(InputError, match="examples must be at least 1, got 0"):
        learner.linearise("relu-1.0", examples=0, seed=0, dimension=8)
    with pytest.raises(InputError, match="every must be at least 1, got 0"):
        learner.lookahead(0, steps=3, every=0)
    with pytest.raises(InputError, match="got 'sine'"):
        learner.linearise("sine", examples=1, seed=0, dimension=8)
