from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from cotune.answering import encode_choices, encode_fitting
from cotune.exceptions import InputError
from cotune.models import Encoded
from cotune.training.gradients import example_gradients, mean_gradient
from cotune.training.language_model._linearised import Question, margins
from cotune.training.methods import Full, Lora, Prefix, Prompt
from cotune.training.sketch import Sketch

COLOURS = ("red", "green", "blue", "a colour of another name")
PAIRS = [("red green blue", "red green blue"), ("one", "one two three"), ("six seven", "six")]


def whole(parameters):
    size = sum(p.numel() for p in parameters)
    return Sketch(size, size)


def one_by_one(model, attached, parameters, examples):
    """Differentiate transformers' own loss, an example at a time."""
    losses, rows = [], []
    for example in examples:
        if model.seq2seq:
            inputs = {"input_ids": torch.tensor([example.prompt]), "labels": torch.tensor([example.target])}
        else:
            ids = [*example.prompt, *example.target]
            labels = [-100] * len(example.prompt) + list(example.target)
            inputs = {"input_ids": torch.tensor([ids]), "labels": torch.tensor([labels])}
        loss = attached.module(**inputs).loss
        grads = torch.autograd.grad(loss, parameters)
        losses.append(loss.item())
        rows.append(torch.cat([g.flatten() for g in grads]).numpy())
    return np.array(losses), np.stack(rows)


@pytest.mark.parametrize("method", [Lora(), Prefix(prefix_length=4), Full()], ids=lambda m: type(m).__name__)
def test_examples_together_have_the_gradients_of_each_alone(model, encode, method):
    examples = encode(model, PAIRS)
    torch.manual_seed(3)
    with method.attach(model) as attached:
        attached.module.eval()
        with torch.no_grad():
            for parameter in attached.parameters:  # no gradient is zero by construction
                parameter.add_(0.05 * torch.randn(parameter.shape))
        parameters = attached.parameters
        expected_losses, expected = one_by_one(model, attached, parameters, examples)
        losses, gradients = example_gradients(
            model, attached, parameters, examples, whole(parameters), pass_tokens=10_000
        )
        again = example_gradients(
            model, attached, parameters, examples, whole(parameters), pass_tokens=10_000, together=False
        )[1]
        mean = mean_gradient(model, attached, parameters, examples, pass_tokens=10_000)
        assert all(p.grad is None and p.requires_grad for p in parameters)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(losses, expected_losses, atol=1e-5)
    np.testing.assert_allclose(gradients, expected, atol=1e-5 * scale)
    np.testing.assert_allclose(again, expected, atol=1e-5 * scale)
    np.testing.assert_allclose(mean, expected.mean(0), atol=1e-5 * scale)


def test_a_soft_prompt_has_gradients_of_each_example_too(model, encode):
    torch.manual_seed(3)
    with Prompt(prompt_length=4).attach(model) as attached:
        examples = [e.under(attached.prompt_ids("")) for e in encode(model, PAIRS)]
        parameters = attached.parameters
        _, gradients = example_gradients(
            model, attached, parameters, examples, whole(parameters), pass_tokens=10_000
        )
        mean = mean_gradient(model, attached, parameters, examples, pass_tokens=10_000)
    assert np.abs(gradients[0] - gradients[1]).max() > 1e-3
    np.testing.assert_allclose(gradients.mean(0), mean, atol=1e-6)


@pytest.mark.parametrize("label_score", ["sum", "mean"])
def test_a_margin_is_the_log_odds_of_the_answer_and_its_slope_the_chain_rule(label_score):
    rng = np.random.default_rng(0)
    start, slopes = rng.uniform(0.1, 3, 6), rng.normal(size=(6, 4)).astype(np.float32)
    long, short = Encoded((1,), (2, 3, 4)), Encoded((1,), (2,))
    questions = [
        Question((long,)),
        Question((short, long, short), (False, True, False)),
        Question((long, short), (False, True)),
    ]

    def at(w):
        return margins(questions, lambda answers: (start + slopes @ w, slopes), label_score=label_score)

    values, gradients = at(np.zeros(4))
    # A single answer is a target, whose loss is by the token whatever choices are compared by.
    p = np.exp(-start * (np.array([1, 1, 3, 1, 3, 1]) if label_score == "sum" else 1))
    expected = [
        np.log(p[0] / (1 - p[0])),
        np.log(p[2] / (p[1] + p[3])),
        np.log(p[5] / p[4]),
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    for direction in np.eye(4):
        high, low = (at(sign * 1e-3 * direction)[0].astype(float) for sign in (1, -1))
        np.testing.assert_allclose((high - low) / 2e-3, gradients @ direction, rtol=2e-3, atol=2e-3)


def test_a_certain_answer_has_a_finite_margin():
    (margin,), (row,) = margins(
        [Question((Encoded((1,), (2,)),))],
        lambda answers: (np.zeros(1), np.ones((1, 2), dtype=np.float32)),
        label_score="sum",
    )
    assert 13 < margin < 14
    assert np.isfinite(row).all()


@pytest.mark.parametrize("warm", [None, {"steps": 4}])
def test_margins_of_targets_are_those_of_the_score(warm, learner_of, make_task):
    learner = learner_of("causal", [make_task("copy"), make_task("last")], warm_start=warm)
    arrays = learner.linearise("copy", examples=100, seed=0, dimension=64)
    assert arrays["train_margins"].shape == (12,)
    assert arrays["eval_margins"].shape == (4,)
    with learner._attached(("copy",), 0) as attached:
        score = learner.score(attached.module, "copy", "validation")
    np.testing.assert_allclose(np.logaddexp(0, -arrays["eval_margins"]), score.per_example, rtol=1e-4)


def test_margins_of_choices_are_positive_where_the_right_one_is_likeliest(learner_of, make_task):
    task = make_task("last", metric="accuracy", sizes=(4, 12, 2), choices=COLOURS)
    right = [COLOURS[i % 4] for i in range(12)]
    validation = tuple(replace(e, targets=(r,)) for e, r in zip(task["validation"], right, strict=True))
    learner = learner_of("causal", [replace(task, splits={**task.splits, "validation": validation})])
    arrays = learner.linearise("last", examples=100, seed=0, dimension=64)
    with learner._attached(("last",), 0) as attached:
        encoder, asked = learner.model.encoder, learner._tasks["last"]
        options = [
            option
            for e in validation
            for option in encode_choices(partial(encode_fitting, encoder, asked, e), e.choices)
        ]
        losses = learner.model.nll(attached.module, options) * [len(option.target) for option in options]
        score = learner.score(attached.module, "last", "validation")
    p = np.exp(-losses).reshape(12, 4)
    of_right = p[np.arange(12), np.arange(12) % 4]
    np.testing.assert_allclose(
        arrays["eval_margins"], np.log(of_right / (p.sum(1) - of_right)), rtol=1e-3, atol=1e-3
    )
    assert 0 < score.value < 1
    assert ((p.argmax(1) == np.arange(12) % 4) == (np.array(score.per_example) == 1)).all()
    # A choice that is likeliest of four need not be likelier than the others together.
    assert (p.argmax(1)[arrays["eval_margins"] > 0] == (np.arange(12) % 4)[arrays["eval_margins"] > 0]).all()


def test_an_answer_that_is_no_choice_has_the_margin_of_a_target(learner_of, make_task):
    learner = learner_of("causal", [make_task("last", metric="accuracy", choices=("nothing", "of these"))])
    arrays = learner.linearise("last", examples=4, seed=0, dimension=64)
    p = np.exp(-learner.model.nll(learner.model.base, learner._data.encoded("last", "validation")))
    np.testing.assert_allclose(arrays["eval_margins"], np.log(p / (1 - p)), rtol=1e-4)


def test_a_step_along_a_training_gradient_raises_margins_as_foretold(learner_of, make_task):
    """To first order, the margins move by the inner products of gradients."""
    learner = learner_of("causal", [make_task("copy")], warm_start={"steps": 4})
    arrays = learner.linearise("copy", examples=100, seed=0, dimension=10**7)
    direction = arrays["train_gradients"].mean(0)
    direction /= np.linalg.norm(direction)
    before = arrays["eval_margins"].astype(float)
    moved = {name: value.clone() for name, value in learner._start.items()}
    at, step = 0, 1e-2
    for value in moved.values():
        value += step * torch.from_numpy(direction[at : at + value.numel()]).view(value.shape)
        at += value.numel()
    assert at == len(direction)
    learner._start = moved
    after = learner.linearise("copy", examples=100, seed=0, dimension=64)["eval_margins"]
    foretold = step * arrays["eval_gradients"] @ direction
    assert (foretold > 0).all()
    np.testing.assert_allclose(after - before, foretold, rtol=0.1)


def test_a_method_that_shares_nothing_is_refused(learner_of, make_task):
    method = {"name": "prompt", "prompt_length": 3, "prompts": "per_task"}
    learner = learner_of("causal", [make_task("copy")], method=method)
    with pytest.raises(InputError, match="trains nothing that tasks have in common"):
        learner.linearise("copy", examples=2, seed=0, dimension=8)


def test_the_prompt_of_a_task_alone_is_left_out(learner_of, make_task):
    lora = {"name": "lora"}
    alone = learner_of("causal", [make_task("copy")], method=lora)
    method = {"name": "promot", "prompt_length": 3, "prompt_steps": 1, "weights": lora}
    prompted = learner_of("causal", [make_task("copy")], method=method)
    sizes = [
        learner.linearise("copy", examples=2, seed=0, dimension=10**7)["train_gradients"].shape[1]
        for learner in (alone, prompted)
    ]
    assert sizes[0] == sizes[1]
    shared = learner_of("causal", [make_task("copy")], method={**method, "prompts": "shared"})
    both = shared.linearise("copy", examples=2, seed=0, dimension=10**7)["train_gradients"].shape[1]
    assert both == sizes[0] + 3 * 32
