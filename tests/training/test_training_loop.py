import json
import math
import subprocess
import sys
from itertools import cycle, islice

import numpy as np
import pytest
import torch
from training_steps import train
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.optimization import Adafactor
from transformers.trainer_pt_utils import LabelSmoother

from cotune.exceptions import RunError
from cotune.models import LanguageModel
from cotune.training._loop import OPTIMIZERS, TrainingRun, dropout_of
from cotune.training.config import TrainingConfig
from cotune.training.methods import Lora

WORDS = ["red", "green", "blue", "one", "two", "three", "four", "five"]
PAIRS = [(" ".join(WORDS[: 1 + i]), WORDS[i]) for i in range(len(WORDS))]


@pytest.fixture
def batches(model, encode):
    return three_batches(model, encode)


def three_batches(model, encode):
    """Make batches that take turns, of targets of unequal lengths."""
    examples = encode(model, [*PAIRS, ("six", "six six six six"), ("six seven", "seven six seven six")])
    return [examples[:4], examples[4:8], examples[6:]]


def run(model, batches, config, n_steps, seed=0, method=None):
    """Train a fresh adapter; return its log and its weights."""
    torch.manual_seed(seed)
    with (method or Lora()).attach(model) as attached:
        log = train(model, attached, cycle(batches), n_steps, config)
        weights = [p.detach().clone() for p in attached.trained]
    return log, weights


def labelled_loss(model, module, examples, label_smoothing=0.0):
    """Return transformers' own loss of a padded batch, labels masked on prompt and padding.

    With label smoothing that of their trainer's smoother.
    """
    if model.seq2seq:
        rows = [example.prompt for example in examples]
        labels = [list(example.target) for example in examples]
    else:
        rows = [(*example.prompt, *example.target) for example in examples]
        labels = [[-100] * len(example.prompt) + list(example.target) for example in examples]
    pad = torch.nn.utils.rnn.pad_sequence
    ids = pad([torch.tensor(row) for row in rows], batch_first=True)
    mask = pad([torch.ones(len(row), dtype=torch.long) for row in rows], batch_first=True)
    targets = pad([torch.tensor(row) for row in labels], batch_first=True, padding_value=-100)
    output = module(input_ids=ids, attention_mask=mask, labels=targets)
    if not label_smoothing:
        return output.loss
    smoother = LabelSmoother(epsilon=label_smoothing)
    return smoother(output, targets, shift_labels=not model.seq2seq)


def rate(config, step, n_steps):
    """Compute the learning rate of a step, by the textbook."""
    warmup = math.ceil(config.warmup * n_steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, n_steps - warmup)
    shapes = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return config.learning_rate * shapes[config.schedule]


def textbook_run(model, batches, config, n_steps):
    """Train by hand: transformers' loss, clipping by the norm, one learning rate a step."""
    torch.manual_seed(0)
    losses = []
    with Lora().attach(model) as attached:
        module, weights = attached.module, attached.trained
        options = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
        if config.optimizer == "adamw":
            optimizer = torch.optim.AdamW(weights, **options)
        else:
            scale = config.scale_parameter
            optimizer = Adafactor(weights, **options, scale_parameter=scale, relative_step=False)
        module.train()
        for step, examples in enumerate(islice(cycle(batches), n_steps)):
            loss = labelled_loss(model, module, examples, config.label_smoothing)
            losses.append(loss.item())
            loss.backward()
            norm = torch.stack([p.grad.square().sum() for p in weights]).sum().sqrt()
            for p in weights:
                p.grad *= min(1.0, (config.clip or math.inf) / (norm.item() + 1e-6))
            optimizer.param_groups[0]["lr"] = rate(config, step, n_steps)
            optimizer.step()
            optimizer.zero_grad()
        module.eval()
        return losses, [p.detach().clone() for p in weights]


def test_a_run_of_one_step_trains(causal, encode):
    _, before = run(causal, three_batches(causal, encode), TrainingConfig(learning_rate=0.02), 0)
    _, after = run(causal, three_batches(causal, encode), TrainingConfig(learning_rate=0.02), 1)
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


RECIPES = {
    "default": {},
    "constant": {"schedule": "constant", "warmup": 0},
    "linear": {"schedule": "linear", "warmup": 0.25},
    "cosine": {"schedule": "cosine", "warmup": 0.5},
    "weight decay": {"weight_decay": 0.5},
    "clipped": {"clip": 1e-3, "optimizer": "adafactor"},
    "not clipped": {"clip": None},
    "in parts": {"pass_tokens": 1},
    "adafactor": {"optimizer": "adafactor", "weight_decay": 0.1},
    "adafactor of T5": {"optimizer": "adafactor", "scale_parameter": True, "learning_rate": 0.2},
    "label smoothing": {"label_smoothing": 0.2},
    "no dropout": {"dropout": 0.0},
}


@pytest.mark.parametrize(
    ("kind", "recipe"),
    [*(("causal", recipe) for recipe in RECIPES), ("seq2seq", "default"), ("seq2seq", "label smoothing")],
)
def test_training_is_the_textbooks_loop_on_the_loss_of_transformers(kind, recipe, request, encode):
    model = request.getfixturevalue(kind)
    batches = three_batches(model, encode)
    config = TrainingConfig(**{"learning_rate": 0.02, **RECIPES[recipe]})
    log, weights = run(model, batches, config, 6)
    losses, expected = textbook_run(model, batches, config, 6)
    np.testing.assert_allclose(log.losses, losses, atol=1e-4, rtol=0)
    for got, wanted in zip(weights, expected, strict=True):
        torch.testing.assert_close(got, wanted, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"schedule": "linear"}),
        ({"schedule": "linear"}, {"schedule": "cosine"}),
        ({}, {"warmup": 0.5}),
        ({}, {"weight_decay": 0.5}),
        ({"clip": None}, {"clip": 1e-3}),
        ({}, {"optimizer": "adafactor"}),
        ({}, {"learning_rate": 0.01}),
        ({}, {"label_smoothing": 0.3}),
        ({}, {"dropout": 0.5}),
        ({"optimizer": "adafactor"}, {"optimizer": "adafactor", "scale_parameter": True}),
    ],
)
def test_every_option_of_the_recipe_matters(causal, encode, one, other):
    examples = encode(causal, PAIRS)
    batches = [examples[:4], examples[4:]]
    (_, first), (_, second) = (
        run(causal, batches, TrainingConfig(**{"learning_rate": 0.02, **options}), 8)
        for options in (one, other)
    )
    distance = max((a - b).abs().max().item() for a, b in zip(first, second, strict=True))
    assert distance > 3e-3


def test_the_loss_falls_on_an_easy_task(model, encode):
    examples = encode(model, [(word, "red") for word in WORDS])
    log, _ = run(model, [examples], TrainingConfig(learning_rate=0.05), 30)
    # The tiny decoder's embeddings are so short that no weights bring it below about 5.1 nats.
    assert log.losses[-1] < log.losses[0] - (3 if model.seq2seq else 0.5)
    assert log.losses[0] == pytest.approx(math.log(model.vocabulary_size), rel=0.5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_repeats_exactly(model, batches, optimizer):
    config = TrainingConfig(optimizer=optimizer, learning_rate=0.02)
    method = Lora(dropout=0.2)
    (log, weights), (again, same), (other, _) = (
        run(model, batches, config, 6, seed, method) for seed in (3, 3, 4)
    )
    assert again.losses == log.losses
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    assert other.losses != log.losses


def test_every_token_of_every_example_is_counted(model, batches):
    log, _ = run(model, batches, TrainingConfig(), 4)
    lengths = [sum(len(example) for example in batch) for batch in batches]
    assert log.tokens == sum(lengths) + lengths[0]
    assert len(log.losses) == 4
    assert log.seconds > 0


def test_only_target_tokens_count(model, encode):
    """Two examples of very unequal targets weigh by their tokens, and no token of a prompt counts."""
    examples = encode(model, [("red", "red"), ("blue", "one two three four five six seven")])
    log, _ = run(model, [examples], TrainingConfig(), 1)
    means = model.nll(model.base, examples)
    sizes = [len(example.target) for example in examples]
    assert log.losses[0] == pytest.approx(np.average(means, weights=sizes), abs=1e-5)
    assert abs(log.losses[0] - means.mean()) > 1e-4


def test_a_loss_that_is_not_a_number_ends_the_run_and_names_the_step(causal, encode):
    examples = encode(causal, PAIRS)
    config = TrainingConfig(learning_rate=1e12, warmup=0)
    message = r"^The loss became nan at step [2-9] of 9; try a lower learning rate\.$"
    with pytest.raises(RunError, match=message):
        run(causal, [examples], config, 9)


def test_an_exploding_loss_ends_the_run_and_names_the_step(model, batches):
    first = run(model, batches, TrainingConfig(), 1)[0].losses[0]
    config = TrainingConfig(max_loss=first - 0.1)
    message = rf"^The loss exploded to {first:.1f} nats a token \(limit {first - 0.1:.1f}\) at step 1 of 3; "
    with pytest.raises(RunError, match=message):
        run(model, batches, config, 3)
    run(model, batches, TrainingConfig(max_loss=first + 0.1), 1)


def test_by_default_a_loss_explodes_at_four_times_that_of_guessing(tiny_causal, encode):
    model = LanguageModel.load(tiny_causal, precision="fp32", device="cpu")
    examples = encode(model, PAIRS)
    with torch.no_grad():
        # Huge logits, most of their mass on wrong tokens: about 20 times the size, 20 times the loss.
        model.base.get_input_embeddings().weight.mul_(400)
    loss = model.nll(model.base, examples).mean()
    limit = 4 * math.log(model.vocabulary_size)
    assert limit < loss < math.inf
    with pytest.raises(RunError, match=rf"\(limit {limit:.1f}\) at step 1 of 2"):
        run(model, [examples], TrainingConfig(), 2)


def test_weights_that_overflow_in_the_last_step_end_the_run(model, batches):
    config = TrainingConfig(optimizer="adafactor", learning_rate=3e38, warmup=0)
    with pytest.raises(RunError, match=r"^The weights are not finite after step 1 of 1; try a lower"):
        run(model, batches, config, 1)


@pytest.mark.parametrize("order", [("fp32", "bf16"), ("bf16", "fp32")])
def test_models_of_either_precision_are_trained_in_one_process(tiny_causal, causal, encode, order):
    examples = encode(causal, PAIRS)
    config = TrainingConfig(learning_rate=0.02)
    losses = {}
    for precision in order:
        model = LanguageModel.load(tiny_causal, precision=precision, device="cpu")
        log, weights = run(model, [examples], config, 8)
        losses[precision] = log.losses
        assert {w.dtype for w in weights} == {torch.float32}
    np.testing.assert_allclose(losses["bf16"], losses["fp32"], rtol=0.03)
    assert losses["bf16"] != losses["fp32"]
    assert losses["fp32"] == run(causal, [examples], config, 8)[0].losses


BEFORE_AND_AFTER = """
import json, sys
from pathlib import Path
import torch
from accelerate import Accelerator
from cotune.models import LanguageModel
from cotune.training._loop import TrainingRun
from cotune.training.config import TrainingConfig
from cotune.training.methods import Lora

torch.set_num_threads(1)
model = LanguageModel.load(Path(sys.argv[1]), precision="fp32", device="cpu")
examples = [model.encoder.encode(lambda text: text, text, " " + text) for text in ("red", "green blue")]

def losses():
    torch.manual_seed(0)
    with Lora().attach(model) as attached:
        run = TrainingRun(model, attached, 4, TrainingConfig(clip=0.1))
        run.run([examples] * 4)
        return run.log.losses

runs = [losses()]
# Of accelerate both are the process's: its precision, and that two passes make one step.
accelerator = Accelerator(mixed_precision="bf16", gradient_accumulation_steps=2, cpu=True)
prepared = accelerator.prepare(torch.nn.Linear(1, 1))
with accelerator.accumulate(prepared):
    runs.append(losses())
print(json.dumps(runs))
"""


def test_a_run_does_not_depend_on_who_trains_in_the_process_besides(tiny_causal):
    command = [sys.executable, "-c", BEFORE_AND_AFTER, str(tiny_causal)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    alone, beside = json.loads(done.stdout)
    assert beside == alone
    assert alone[0] > alone[-1]


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 0},
        {"warmup": 1.5},
        {"optimizer": "sgd"},
        {"label_smoothing": 1.0},
        {"dropout": 1.0},
        {"optimizer": "adamw", "scale_parameter": True},
        {"batch_size": 2, "tasks_per_batch": 3},
        {"steps": 3},
    ],
)
def test_recipes_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=next(reversed(options))):
        TrainingConfig(**options)


def rates(module):
    """Every dropout rate of a module: of its dropout layers and of attention that drops by a function."""
    layers = [m.p for m in module.modules() if isinstance(m, torch.nn.Dropout)]
    names = ("dropout", "attention_dropout")
    return layers + [vars(m)[n] for m in module.modules() for n in names if isinstance(vars(m).get(n), float)]


def test_dropout_is_set_everywhere_but_in_adapters_and_only_for_a_while(model):
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99, "embd_pdrop": 0.3}
    for base in (model.base, GPT2LMHeadModel(GPT2Config(**sizes))):
        before = rates(base)
        with dropout_of(base, 0.25) as n_places:
            assert n_places == len(before) > 0
            assert set(rates(base)) == {0.25}
        assert rates(base) == before
        with dropout_of(base, None) as n_places:
            assert (n_places, rates(base)) == (0, before)
    with Lora(dropout=0.5).attach(model), dropout_of(model.base, 0.25):
        assert {0.25, 0.5} == set(rates(model.base))


def test_dropout_is_random_and_acts_while_training_only(model, batches):
    config = TrainingConfig(learning_rate=0.02, dropout=0.3)
    expected = model.nll(model.base, batches[0])
    (log, _), (again, _), (other, _), (without, _) = (
        run(model, batches, c, 3, seed)
        for c, seed in ((config, 3), (config, 3), (config, 4), (TrainingConfig(learning_rate=0.02), 3))
    )
    assert log.losses == again.losses != other.losses
    assert log.losses[0] != without.losses[0]
    assert (model.nll(model.base, batches[0]) == expected).all()


def test_a_run_can_stop_after_any_step_and_go_on(causal, encode):
    batches = three_batches(causal, encode)
    config = TrainingConfig(learning_rate=0.02, schedule="cosine", warmup=0.3)
    whole, expected = run(causal, batches, config, 6)
    torch.manual_seed(0)
    steps = []
    with Lora().attach(causal) as attached:
        first = TrainingRun(causal, attached, 6, config)
        first.run(batches[:2], lambda step, loss: steps.append((step, loss)))
        second = TrainingRun(causal, attached, 6, config)
        second.load_state_dict(first.state_dict())
        second.run(batches[2:] + batches, lambda step, loss: steps.append((step, loss)))
        weights = [p.detach() for p in attached.trained]
    assert second.log.losses == whole.losses
    assert second.log.tokens == whole.tokens
    one, two, three, four, _, six = whole.losses
    told = [one, one, two, three, four, six]  # the step that a device is at is not waited for
    assert [loss for _, loss in steps] == told
    assert [step for step, _ in steps] == [1, 2, 3, 4, 5, 6]
    assert all(torch.equal(a, b) for a, b in zip(weights, expected, strict=True))
