from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from cotune.answering import InContextConfig
from cotune.evaluation.transfer import (
    FineTuning,
    TransferConfig,
    TransferEvaluation,
    area,
    check_transfer,
    checkpoint_as_base,
    draw_trials,
    fine_tune,
    relative_transfer,
    task_id,
    transfer_curve,
)
from cotune.exceptions import InputError
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models import LanguageModel
from cotune.tasks import draw_demonstrations
from cotune.training.config import TrainingConfig
from cotune.training.methods import Full, Lora, Promot, Prompt

ASKED = InContextConfig(max_examples=12)
RECIPE = TrainingConfig(learning_rate=0.01, batch_size=4, pass_tokens=4096)
CONFIG = TransferConfig(examples=(0, 3, 6), draws=2, steps=4, training=RECIPE, method=Lora(r=2))


@pytest.fixture(scope="module")
def model():
    return LanguageModel.load(TOY_CHECKPOINT, precision="fp32")


@pytest.fixture(scope="module")
def tasks():
    return toy_tasks(["reverse", "less"], train=24, validation=1, test=12)


def evaluation(model, tasks, config=CONFIG, seed=5):
    return TransferEvaluation(tasks, config, ASKED, model.encoder, seed=seed, context=model.context)


def weights(model):
    return [parameter.detach().clone() for parameter in model.base.parameters()]


def test_fewer_examples_are_the_first_of_more_and_none_is_evaluated(model, tasks):
    task = tasks[0]
    first, second = draw_trials(task, CONFIG, ASKED, seed=5)
    fewer = TransferConfig(examples=(0, 3), draws=2)
    assert [trial.examples for trial in draw_trials(task, fewer, ASKED, seed=5)] == [
        first.examples[:3],
        second.examples[:3],
    ]
    assert len(set(first.examples)) == 6
    assert first.examples != second.examples
    asked = {example.input for example in task["test"][:12]}
    assert not asked & {example.input for example in (*first.examples, *second.examples)}
    # The demonstrations of an in-context evaluation under the same seed.
    assert first.examples[:3] == draw_demonstrations(task, 3, seed=5, draw=(0,), exclude=asked)


@pytest.mark.parametrize("marking", ["id", "exemplars", "instruction"])
def test_markings(model, tasks, marking):
    config = CONFIG.model_copy(update={"marking": marking, "exemplars": 2})
    task = tasks[0]
    trial = next(draw_trials(replace(task, instruction="3 3"), config, ASKED, seed=5))
    prompt = model.tokenizer.decode(trial.encoded(model.encoder)[0].prompt)
    own = trial.examples[0].input
    if marking == "exemplars":
        assert len(trial.exemplars) == 2
        assert not {e.input for e in trial.exemplars} & {e.input for e in trial.examples}
        assert prompt.count(">") == 3
        # Asked with the same exemplars.
        asked = evaluation(model, [task], config)._prepared[0].questions._scores._prepared[0].prompts(2, 0)
        assert model.tokenizer.decode(asked[0].prompt).split("\n")[:2] == prompt.split("\n")[:2]
    elif marking == "instruction":
        assert [line.strip() for line in prompt.split("\n")] == ["3 3", own]
    else:
        assert trial.task.instruction == task_id(task) != task_id(tasks[1])
        assert prompt.endswith(own)


def test_an_untouched_model_is_its_own_baseline(model, tasks):
    before = weights(model)
    ready = evaluation(model, tasks)
    pretrained = ready.run(model)
    assert [(m.task, m.draw, m.examples) for m in pretrained[:4]] == [
        ("reverse", 0, 0),
        ("reverse", 0, 3),
        ("reverse", 0, 6),
        ("reverse", 1, 0),
    ]
    with Full().attach(model) as attached:
        parts = {name: [p.detach().clone() for p in part] for name, part in attached.parts.items()}
    with checkpoint_as_base(model, Full(), ["copy"], parts):
        again = ready.run(model)
    assert again == pretrained
    for task in tasks:
        one, other = (
            transfer_curve(m for m in found if m.task == task.name) for found in (pretrained, again)
        )
        assert relative_transfer(other, one) == 1
        assert other.score_area - one.score_area == 0
    assert all(torch.equal(old, new) for old, new in zip(before, weights(model), strict=True))
    assert not any(parameter.requires_grad for parameter in model.base.parameters())


def test_fine_tuning_learns_and_leaves_the_random_numbers_alone(model, tasks):
    config = CONFIG.model_copy(update={"steps": 30, "examples": (0, 12), "method": Lora(r=8)})
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    curve = transfer_curve(evaluation(model, tasks[:1], config).run(model))
    assert torch.equal(torch.rand(2), expected)
    zero, twelve = curve.mean_losses
    assert twelve < zero / 2
    assert curve.mean_scores[1] > curve.mean_scores[0] + 0.2


def test_some_numbers_of_examples_alone_are_measured_alike(model, tasks):
    ready = evaluation(model, tasks)
    some = ready.run(model, [6])
    every = [measured for measured in ready.run(model) if measured.examples == 6]
    assert [(m.task, m.draw, m.score) for m in some] == [(m.task, m.draw, m.score) for m in every]
    # How many are trained in a pass moves roundings alone.
    assert [m.loss for m in some] == pytest.approx([m.loss for m in every], rel=1e-4)


def test_side_by_side_is_one_by_one(model, tasks):
    trial = next(draw_trials(tasks[0], CONFIG, ASKED, seed=5))
    encoded = trial.encoded(model.encoder)
    runs = [FineTuning(f"{n}", "reverse", tuple(encoded[:n]), seed=n) for n in (1, 3, 6)]
    # A dropout of nearly nothing is enough to train them apart.
    alone = CONFIG.model_copy(update={"method": Lora(r=2, dropout=1e-9)})

    def losses(run, attached):
        return run.name, model.nll(attached.module, encoded)

    together, apart = (dict(fine_tune(model, runs, config, losses)) for config in (CONFIG, alone))
    for name in ("1", "3", "6"):
        np.testing.assert_allclose(together[name], apart[name], rtol=1e-4)
        assert not np.allclose(together[name], model.nll(model.base, encoded), rtol=1e-2)


@pytest.mark.parametrize(
    "method",
    [Lora(r=2), Promot(prompt_length=2, prompt_steps=1, weights=Lora(r=2)), Full()],
    ids=["lora", "promot", "full"],
)
def test_a_checkpoint_takes_the_place_of_the_base(model, tasks, method):
    before = weights(model)
    encoded = next(draw_trials(tasks[0], CONFIG, ASKED, seed=5)).encoded(model.encoder)
    torch.manual_seed(0)
    with method.attach(model, ["reverse"]) as attached:
        with torch.no_grad():
            for parameter in attached.parts["weights"]:
                parameter.add_(0.05 * torch.randn_like(parameter))
        parts = {name: [p.detach().clone() for p in part] for name, part in attached.parts.items()}
        expected = model.nll(attached.module, encoded)
    assert not np.allclose(expected, model.nll(model.base, encoded), rtol=1e-2)
    with checkpoint_as_base(model, method, ["reverse"], parts):
        np.testing.assert_allclose(model.nll(model.base, encoded), expected, rtol=1e-4)
        # What is put on the checkpoint is put on the tuned weights, and taken off again.
        with Lora(r=2).attach(model) as fresh:
            np.testing.assert_allclose(model.nll(fresh.module, encoded), expected, rtol=1e-4)
        with Full().attach(model) as fresh:
            np.testing.assert_allclose(model.nll(fresh.module, encoded), expected, rtol=1e-4)
    assert all(torch.equal(old, new) for old, new in zip(before, weights(model), strict=True))


def test_methods_with_a_soft_prompt_are_asked_under_it(model, tasks):
    prompt = Prompt(prompt_length=3, prompt_steps=8, prompt_learning_rate=0.1)
    config = CONFIG.model_copy(update={"method": prompt, "examples": (0, 6), "draws": 1})
    zero, six = evaluation(model, tasks[:1], config).run(model)
    assert zero.loss != six.loss


def test_what_does_not_fit_is_told_before_anything_is_done(model, tasks):
    check = partial(check_transfer, tasks, in_context=ASKED, encoder=model.encoder, seed=0)
    check(CONFIG)
    with pytest.raises(InputError, match=r"Task reverse has 24 training examples .* fewer than the 30"):
        check(CONFIG.model_copy(update={"examples": (0, 30)}))
    with pytest.raises(InputError, match="fewer than the 26"):
        check(CONFIG.model_copy(update={"examples": (0, 22), "marking": "exemplars"}))
    with pytest.raises(ValueError, match="increasing"):
        TransferConfig(examples=(5, 0))


def test_the_area_is_the_mean_height():
    assert area((0, 5, 10), (1.0, 1.0, 1.0)) == 1.0
    assert area((0, 10, 40), (0.0, 1.0, 1.0)) == pytest.approx((5 + 30) / 40)
