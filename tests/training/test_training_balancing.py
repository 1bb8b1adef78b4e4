import copy
import math
from itertools import cycle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_steps import train

from cotune._config import parse
from cotune.exceptions import InputError
from cotune.training._loop import TrainingRun
from cotune.training._objective import Objective
from cotune.training.balancing import BALANCING, DynamicWeightAverage, NoBalancing, PCGrad
from cotune.training.batches import TaskBatch
from cotune.training.config import TrainingConfig
from cotune.training.methods import Lora

PAIRS = {
    "copy": [("red", "red"), ("green blue", "green blue")],
    "last": [("one two", "two"), ("three four five", "five"), ("six seven", "seven")],
    "first": [("one two", "one")],
}


def batch_of(model, encode, *tasks):
    """Make a batch of some tasks, in their turn."""
    examples, names = [], []
    for task in tasks:
        encoded = encode(model, PAIRS[task])
        examples += encoded
        names += [task] * len(encoded)
    return TaskBatch(examples, names)


def gradient(model, batch, *, history=(), dropped=(), **options):
    """Return losses and the flat gradient of a batch, tasks that are dropped counted in its size alone."""
    config = TrainingConfig(**options)
    torch.manual_seed(0)
    with Lora().attach(model) as attached:
        with torch.no_grad():
            for parameter in attached.trained:
                parameter.normal_(std=0.1)

        objective = Objective(model, attached.module, attached.trained, config, attached.terms)
        kept = [at for at, task in enumerate(batch.tasks) if task not in dropped]
        part = TaskBatch([batch[at] for at in kept], [batch.tasks[at] for at in kept])
        losses = objective.backward(part, history).read()
        flat = torch.cat([p.grad.flatten() for p in attached.trained])
        n_targets = [sum(len(e.target) for e in one) for one in (part, batch)]
        return losses, flat * n_targets[0] / n_targets[1]


def test_a_task_of_weight_zero_is_left_out_of_the_gradient(model, encode):
    batch = batch_of(model, encode, "copy", "last", "first")
    losses, without = gradient(model, batch, task_weights={"la*": 0.0})
    _, expected = gradient(model, batch, dropped=("last",))
    torch.testing.assert_close(without, expected, rtol=1e-4, atol=1e-7)
    _, unweighted = gradient(model, batch)
    assert not torch.allclose(without, unweighted, rtol=1e-2)
    plain, _ = gradient(model, batch)
    assert losses.by_task.keys() == {"copy", "last", "first"}
    assert losses == plain  # what is logged has no weights in it


def test_weights_scale_the_gradient_of_their_task(model, encode):
    batch = batch_of(model, encode, "copy", "last")
    parts = [gradient(model, batch, dropped=(task,))[1] for task in ("last", "copy")]
    _, weighted = gradient(model, batch, task_weights={"copy": 3.0, "*": 0.5})
    torch.testing.assert_close(weighted, 3 * parts[0] + 0.5 * parts[1], rtol=1e-4, atol=1e-7)


def test_losses_by_task_are_means_over_their_target_tokens(model, encode):
    batch = batch_of(model, encode, "copy", "last")
    losses, _ = gradient(model, batch, pass_tokens=1)
    whole = 0.0
    for task in ("copy", "last"):
        alone, _ = gradient(model, batch_of(model, encode, task))
        assert losses.by_task[task] == pytest.approx(alone.loss, rel=1e-5)
        n_targets = sum(len(e.target) for e, name in zip(batch, batch.tasks, strict=True) if name == task)
        whole += alone.loss * n_targets
    assert losses.loss == pytest.approx(whole / sum(len(e.target) for e in batch), rel=1e-5)


def test_surgery_in_the_plane_has_a_closed_form():
    """Two gradients at an obtuse angle: each loses what it has along the other, in either order."""
    g1, g2 = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    # g1 . g2 = -1, |g1|^2 = 1, |g2|^2 = 2: g1 + g2 / 2 = (1/2, 1/2) and g2 + g1 = (0, 1).
    combined = PCGrad().combine(torch.stack([g1, g2]))
    torch.testing.assert_close(combined, torch.tensor([0.5, 1.5]))


def test_gradients_that_agree_are_added():
    gradients = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    assert torch.equal(PCGrad().combine(gradients), gradients.sum(0))


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_two_projected_gradients_no_longer_conflict(seed, dimension):
    generator = torch.Generator().manual_seed(seed)
    gradients = torch.randn(2, dimension, generator=generator, dtype=torch.float64)
    combined = PCGrad().combine(gradients)
    assert (gradients @ combined >= -1e-9).all()


@pytest.mark.parametrize("size", [1e-45, 1e-40, 1e-30, 1e-23, 1.0, 1e19, 1e25, 1e37])
@pytest.mark.parametrize("tilt", [0.0, 0.5, -2.0])
def test_surgery_does_not_depend_on_the_size_of_the_gradient_projected_on(size, tilt):
    """Squared, these lengths underflow to 0 or overflow to infinity; their direction is what counts."""
    against = torch.tensor([-1.0, tilt])
    expected = PCGrad().combine(torch.stack([torch.tensor([1.0, 0.0]), against]))
    small = torch.stack([torch.tensor([1.0, 0.0]), against * size])
    torch.manual_seed(0)
    combined = PCGrad().combine(small)
    along = small[1].double() / size
    left = torch.tensor([1.0, 0.0]).double()
    left = left - left @ along / (along @ along) * along
    other = torch.tensor([0.0, tilt]).double() * size
    assert combined.isfinite().all()
    close = {"rtol": 1e-5 if size > 1e-37 else 0.3, "atol": 1e-6}
    torch.testing.assert_close(combined.double(), left + other, **close)
    if size == 1.0:
        assert torch.equal(combined, expected)


def test_a_gradient_of_zero_takes_nothing_off_the_others():
    gradients = torch.tensor([[0.0, 0.0], [-1.0, 3.0], [2.0, 1.0]])
    torch.testing.assert_close(PCGrad().combine(gradients), gradients.sum(0))


def test_powers_of_two_in_the_surgery_change_no_bit():
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(5, 64, generator=generator) * torch.logspace(-3, 2, 5)[:, None]
    torch.manual_seed(1)
    combined = PCGrad().combine(gradients)
    torch.manual_seed(1)
    projected, norms = gradients.clone(), gradients.square().sum(1)
    for i in range(5):
        for j in torch.randperm(5).tolist():
            along = projected[i] @ gradients[j]
            if i != j and along < 0:
                projected[i] -= along / norms[j] * gradients[j]
    assert torch.equal(combined, projected.sum(0))


def test_surgery_on_a_batch_is_surgery_on_the_gradients_of_its_tasks(model, encode):
    batch = batch_of(model, encode, "copy", "last")
    parts = torch.stack([gradient(model, batch, dropped=(task,))[1] for task in ("last", "copy")])
    plain, summed = gradient(model, batch)
    torch.testing.assert_close(summed, parts.sum(0), rtol=1e-4, atol=1e-7)
    losses, combined = gradient(model, batch, balancing={"name": "pcgrad"})
    torch.testing.assert_close(combined, PCGrad().combine(parts), rtol=1e-3, atol=1e-6)
    assert losses.loss == pytest.approx(plain.loss, rel=1e-6)
    assert losses.by_task == pytest.approx(plain.by_task)


def test_a_dynamic_weight_average_is_its_formula():
    chosen = DynamicWeightAverage(temperature=2, period=2)
    losses = [{"a": 4.0, "b": 2.0}, {"a": 2.0}, {"a": 1.5, "b": 1.0}, {"b": 3.0}, {"a": 9.0}]
    assert chosen.weights(losses[:3], ["a", "b"]) == {"a": 1.0, "b": 1.0}
    # Periods: a 3 then 1.5, b 2 then 2; the fifth step is of a period that is not over.
    powers = np.exp(np.array([1.5 / 3, 2 / 2]) / 2)
    weights = chosen.weights(losses, ["a", "b"])
    np.testing.assert_allclose([weights["a"], weights["b"]], 2 * powers / powers.sum())
    # A task that the last periods did not see counts as one whose loss stands still.
    three = chosen.weights(losses, ["a", "b", "new"])
    assert three["new"] == pytest.approx(three["b"])
    assert math.fsum(three.values()) == pytest.approx(3)


def test_a_hot_average_weighs_all_alike():
    losses = [{"a": 4.0, "b": 2.0}, {"a": 1.0, "b": 1.9}]
    weights = DynamicWeightAverage(temperature=1e9, period=1).weights(losses, ["a", "b"])
    assert weights == pytest.approx({"a": 1.0, "b": 1.0})


def logged(model, encode, n_steps=8, **options):
    batches = cycle([batch_of(model, encode, "copy", "last"), batch_of(model, encode, "first", "copy")])
    torch.manual_seed(0)
    with Lora().attach(model) as attached:
        return train(model, attached, batches, n_steps, TrainingConfig(learning_rate=0.05, **options))


def test_a_log_counts_the_examples_of_every_step(causal, encode):
    log = logged(causal, encode, 3)
    assert log.examples == ({"copy": 2, "last": 3}, {"copy": 2, "first": 1}, {"copy": 2, "last": 3})
    assert log.examples_seen == {"copy": 6, "first": 1, "last": 6}
    assert [set(losses) for losses in log.task_losses] == [set(counts) for counts in log.examples]
    assert (log.windows_seen, log.replay_losses, log.replay_tokens) == (0, (None,) * 3, 0)


@pytest.mark.parametrize("name", BALANCING)
def test_every_balancing_trains(causal, encode, name):
    options = {"dwa": {"period": 2}}.get(name, {})
    log = logged(causal, encode, balancing={"name": name, **options})
    assert log.losses[-2] < log.losses[0]
    if name != "none":
        assert log.losses != logged(causal, encode).losses


def test_a_run_that_is_continued_goes_on_with_its_average(causal, encode):
    config = TrainingConfig(learning_rate=0.05, balancing={"name": "dwa", "period": 2})
    batch = batch_of(causal, encode, "copy", "last", "first")
    torch.manual_seed(0)
    with Lora().attach(causal) as attached:
        first = TrainingRun(causal, attached, 8, config)
        first.run([batch] * 5)
        state = copy.deepcopy(first.state_dict())
        values = [p.detach().clone() for p in attached.trained]
        first.run([batch] * 3)
        ends = [p.detach().clone() for p in attached.trained]
        with torch.no_grad():
            for parameter, value in zip(attached.trained, values, strict=True):
                parameter.copy_(value)
        second = TrainingRun(causal, attached, 8, config)
        second.load_state_dict(state)
        second.run([batch] * 3)
        assert all(torch.equal(a, b) for a, b in zip(ends, attached.trained, strict=True))
        assert second.log.task_losses == first.log.task_losses


def test_a_state_from_before_there_were_counts_is_continued(causal, encode):
    batch = batch_of(causal, encode, "copy")
    with Lora().attach(causal) as attached:
        first = TrainingRun(causal, attached, 4, TrainingConfig())
        first.run([batch] * 2)
        kept = ("optimizer", "schedule", "losses", "tokens", "seconds")
        state = {name: first.state_dict()[name] for name in kept}
        second = TrainingRun(causal, attached, 4, TrainingConfig())
        second.load_state_dict(state)
        second.run([batch] * 2)
        assert len(second.log.losses) == 4


def test_a_default_is_no_balancing_and_names_are_checked():
    assert isinstance(TrainingConfig().balancing, NoBalancing)
    assert TrainingConfig().is_plain
    assert not TrainingConfig(task_weights={"a": 2.0}).is_plain
    with pytest.raises(InputError, match="did you mean 'pcgrad'"):
        parse(TrainingConfig, {"balancing": {"name": "pcgrd"}}, "study.yaml")
    with pytest.raises(InputError, match=r"task_weights\.a: input should be greater than or equal to 0"):
        parse(TrainingConfig, {"task_weights": {"a": -1}}, "study.yaml")
