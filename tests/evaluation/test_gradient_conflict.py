"""Gradients of tasks at a model: what is planted, and what is worked out by transformers' own loss."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples.gradients import gradients

from cotune.evaluation.gradient_conflict import TaskGradients, compare_gradients, measure_gradients
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models import LanguageModel
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.methods import Lora


def test_gradients_are_compared_without_their_noise():
    found = compare_gradients("abcde", gradients(0.6, 4.0, 0))
    off = np.array(found.cosines)[np.triu_indices(5, 1)]
    # The plain cosine of means would be 0.6 / (1 + 4.0 / 4) = 0.3.
    assert off.mean() == pytest.approx(0.6, abs=0.06)
    assert np.mean(found.norms) == pytest.approx(1, abs=0.05)
    assert np.mean(found.noise) == pytest.approx(4, rel=0.15)
    assert np.diag(found.cosines).tolist() == [1] * 5
    lost = gradients(0.6, 4.0, 0)
    lost[2] -= lost[2].mean(0)
    found = compare_gradients("abcde", lost)
    assert np.isnan(found.norms[2])
    assert np.isnan(np.array(found.cosines)[2]).all()
    again = TaskGradients.from_dict(found.to_dict())
    np.testing.assert_equal(again.cosines, found.cosines)
    np.testing.assert_equal(again.noise, found.noise)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5), st.integers(2, 5), st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_a_scale_changes_lengths_alone_and_an_order_nothing(n_tasks, n_batches, seed, scale):
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(n_tasks, n_batches, 30)) + rng.normal(size=(n_tasks, 1, 30))
    found = compare_gradients("abcde"[:n_tasks], g)
    larger = compare_gradients("abcde"[:n_tasks], scale * g[:, ::-1])
    np.testing.assert_allclose(larger.cosines, found.cosines, atol=1e-9)
    np.testing.assert_allclose(larger.norms, scale * np.array(found.norms), rtol=1e-6)
    np.testing.assert_allclose(larger.noise, found.noise, rtol=1e-6)
    cosines = np.array(found.cosines)
    np.testing.assert_array_equal(cosines, cosines.T)
    assert np.nanmax(np.abs(cosines), initial=0) <= 1


def test_the_gradients_of_a_model_are_those_of_its_loss():
    """Every batch of a task has the same examples, so that there is no noise to take out."""
    model = LanguageModel.load(TOY_CHECKPOINT, precision="fp32", device="cpu")
    tasks = toy_tasks(["copy", "max"], train=2, validation=1, test=1)
    data = EncodedTasks(tasks, lambda: model.encoder)
    examples = {name: 4 * data.encoded(name, "train")[:1] for name in data.tasks}
    torch.manual_seed(0)
    with Lora(r=2).attach(model) as attached:
        parameters = attached.first_order
        found = measure_gradients(model, attached, parameters, examples)
        expected = []
        for encoded, *_ in examples.values():
            ids = torch.tensor([[*encoded.prompt, *encoded.target]])
            labels = torch.tensor([[-100] * len(encoded.prompt) + list(encoded.target)])
            loss = attached.module(input_ids=ids, labels=labels).loss
            slopes = torch.autograd.grad(loss, parameters)
            expected.append(torch.cat([slope.flatten() for slope in slopes]).double().numpy())
        assert all(parameter.grad is None and parameter.requires_grad for parameter in parameters)
    assert sum(p.numel() for p in parameters) < 16384, "short enough not to be sketched"
    one, other = expected
    assert found.tasks == ("copy", "max")
    assert found.norms == pytest.approx([np.linalg.norm(one), np.linalg.norm(other)], rel=1e-4)
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert found.cosines[0][1] == pytest.approx(cosine, abs=1e-4)
    assert max(found.noise) < 1e-6
