"""Methods that are to keep in-context learning: what each does to the weights or to what is minimised."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_steps import train
from transformers import GPT2Config, GPT2LMHeadModel

from cotune.exceptions import InputError
from cotune.models import LanguageModel
from cotune.training._objective import Objective
from cotune.training.batches import TaskBatch
from cotune.training.config import TrainingConfig
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.language_model import LanguageModelConfig
from cotune.training.methods import METHODS, Full, Terms, WiseFt
from cotune.training.methods.dft import probabilities
from cotune.training.replay import ReplayConfig
from cotune.training.stages import stage_run
from cotune.training.tuning import TuningConfig, tune

PAIRS = [("red", "red"), ("green blue", "green blue"), ("one two three", "one two three"), ("six", "six")]
FAST = TrainingConfig(learning_rate=0.02, warmup=0, batch_size=4)
INNER = [{"name": "full"}, {"name": "lora", "r": 4}]
OTHERS = {"tasks": ["last", "swap"], "shots": 2, "ratio": 0.5}


def values(attached):
    return [p.detach().clone() for p in attached.parameters]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(params=INNER, ids=["full", "lora"])
def weights(request):
    return request.param


@pytest.fixture
def beside(model, make_task):
    tasks = [make_task(name) for name in ("copy", "last", "swap")]
    return EncodedTasks(tasks[:1], lambda: model.encoder, others=tasks[1:])


def batches_of(data, model, attached, stage, seed=0):
    return data.batches(
        ("copy",), stage.training, seed, prompt_ids=attached.prompt_ids, context=model.context
    )


def test_mixed_weights_are_the_base_s_at_0_and_the_tuned_ones_at_1(model, encode, weights):
    examples = encode(model, PAIRS)
    untouched = model.nll(model.base, examples)
    method = WiseFt(alphas=(0.25, 0.5, 1.0), weights=weights)
    tuning, mixing = method.stages(3, FAST)
    with method.attach(model) as attached:
        run = stage_run(model, attached, tuning)
        run.run([examples] * 3)
        tuned, losses = values(attached), model.nll(attached.module, examples)
        mix = stage_run(model, attached, mixing)
        assert (model.nll(attached.module, examples) == untouched).all()
        assert attached.weight_change() == 0
        moved = []
        mix.run([examples] * 3, lambda step, loss: moved.append(attached.weight_change()))
        assert same(values(attached), tuned)
        assert (model.nll(attached.module, examples) == losses).all()
    assert moved == pytest.approx([0.25 * moved[-1], 0.5 * moved[-1], moved[-1]], rel=1e-3)
    assert mix.log.tokens == 0


@settings(deadline=None, max_examples=15)
@given(share=st.floats(0, 1))
def test_between_the_two_every_weight_lies_on_the_line(causal, share):
    with Full().attach(causal) as attached:
        base = values(attached)
        tuned = [value + 0.1 * torch.randn_like(value) for value in base]
        attached.mix(tuned, share)
        for now, start, end in zip(attached.parameters, base, tuned, strict=True):
            torch.testing.assert_close(now.detach(), start + share * (end - start), atol=1e-6, rtol=1e-5)


def test_a_lora_that_is_no_multiple_of_its_update_is_not_mixed():
    with pytest.raises(ValueError, match="a LoRA with use_dora is no multiple of an update"):
        WiseFt(weights={"name": "lora", "use_dora": True})
    with pytest.raises(ValueError, match=r"must increase, got 0\.5, 0\.5"):
        WiseFt(alphas=(0.5, 0.5))


class Likelihood:
    """Scores checkpoints by validation examples; ends a run where it is told to."""

    def __init__(self, model, data, stop_at=None):
        self.model, self.data, self.stop_at, self.seen = model, data, stop_at, []

    def checkpoint(self, attached, stage, step):
        if (stage.name, step) == self.stop_at:
            raise KeyboardInterrupt
        score = -float(self.model.nll(attached.module, self.data.encoded("copy", "validation")).mean())
        self.seen.append((stage.name, step, score))
        return score


def test_mixing_goes_on_where_it_was_killed_and_never_chooses_the_base(causal, make_task, tmp_path, weights):
    method, task = WiseFt(weights=weights, alphas=(0.3, 0.6, 1.0)), make_task("copy")
    data = EncodedTasks([task], lambda: causal.encoder)
    config = TuningConfig(
        steps=2, checkpoint_every=1, training=FAST.model_copy(update={"tasks_per_batch": 1})
    )

    def tuned(folder, stop_at=None):
        watch = Likelihood(causal, data, stop_at)
        with tune(causal, method, [task], config, seed=1, watch=watch, state=folder) as done:
            return values(done.attached), done.checkpoints, done.best, watch.seen

    whole, checkpoints, best, _ = tuned(tmp_path / "whole")
    assert [(c.stage, c.step) for c in checkpoints] == [
        *(("weights", step) for step in range(3)),
        *(("mix", step) for step in range(4)),
    ]
    assert checkpoints[3].score == checkpoints[0].score, "it begins with the base"
    assert best["mix"].step > 0
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path / "killed", ("mix", 2))
    again, *record, seen = tuned(tmp_path / "killed")
    assert same(again, whole)
    assert record == [checkpoints, best]
    assert seen[0][:2] == ("mix", 2)


def test_the_base_is_met_in_a_context_and_costs_no_copy(model, encode, weights):
    examples = encode(model, PAIRS)
    before = model.nll(model.base, examples)
    with METHODS[weights["name"]](**{k: v for k, v in weights.items() if k != "name"}).attach(
        model
    ) as attached:
        train(model, attached, [examples] * 3, 3, FAST)
        after, trained = model.nll(attached.module, examples), values(attached)
        attached.module.train()
        with attached.as_base():
            assert not attached.module.training
            assert (model.nll(attached.module, examples) == before).all()
        assert attached.module.training
        attached.module.eval()
        assert (model.nll(attached.module, examples) == after).all()
        assert not np.allclose(after, before)
        assert same(values(attached), trained)
        assert all(p.requires_grad for p in attached.trained)
        assert len(attached.trained) == len(attached.parameters)


def test_the_divergence_from_the_base_is_0_before_the_first_step(model, beside, weights):
    method = METHODS["kl_to_base"](others=OTHERS, weights=weights)
    (stage,) = method.stages(4, FAST)
    torch.manual_seed(0)
    with method.attach(model, ("copy",)) as attached:
        batch = next(batches_of(beside, model, attached, stage))
        alone = TaskBatch(batch, batch.tasks)
        objective = Objective(model, attached.module, attached.trained, stage.training, attached.terms)
        gradients = []
        for one in (batch, alone):
            losses = objective.backward(one, []).read()
            gradients.append([p.grad.clone() for p in attached.trained if p.grad is not None])
            for parameter in attached.parameters:
                parameter.grad = None
            if one is batch:
                assert losses.replay == pytest.approx(0, abs=1e-6)
        # At its lowest a divergence has no slope.
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)
        run = stage_run(model, attached, stage)
        run.run(batches_of(beside, model, attached, stage))
        *_, last = run.log.replay_losses
        assert last > 1e-4


def test_staying_near_the_base_keeps_it_nearer(causal, make_task):
    tasks = [make_task(name) for name in ("copy", "last")]
    data = EncodedTasks(tasks[:1], lambda: causal.encoder, others=tasks[1:])
    asked = data.windows(ReplayConfig(tasks="*", shots=1))
    prompts = list(islice(asked.since(0, 7), 8))
    apart = {}
    for name, options in (("full", {}), ("kl_to_base", {"others": {"tasks": "*", "shots": 1, "weight": 20}})):
        method = METHODS[name](**options)
        (stage,) = method.stages(8, FAST.model_copy(update={"learning_rate": 0.003}))
        with method.attach(causal, ("copy",)) as attached:
            stage_run(causal, attached, stage).run(batches_of(data, causal, attached, stage))
            with attached.as_base(), torch.no_grad():
                before = causal.target_logits(attached.module, causal.batch(prompts)).log_softmax(-1)
            with torch.no_grad():
                after = causal.target_logits(attached.module, causal.batch(prompts)).log_softmax(-1)
        apart[name] = float((before.exp() * (before - after)).sum(-1).mean())
    assert apart["kl_to_base"] < 0.5 * apart["full"]


def test_the_gradient_of_a_token_is_its_probability_times_that_of_its_loss(model, encode):
    example = encode(model, PAIRS[:1])[0]
    with Full().attach(model) as attached:
        batch = model.batch([example])
        losses = model.target_losses(attached.module, batch)
        for at in range(len(losses)):
            plain = torch.autograd.grad(losses[at], attached.trained, retain_graph=True, allow_unused=True)
            logits = model.target_logits(attached.module, batch)
            factor = probabilities(logits.detach(), batch.label)
            assert factor[at] == pytest.approx(float((-losses[at]).exp()), rel=1e-4)
            dft = torch.autograd.grad(
                (losses * factor)[at], attached.trained, retain_graph=True, allow_unused=True
            )
            for one, other in zip(plain, dft, strict=True):
                if one is not None:
                    torch.testing.assert_close(other, one * float((-losses[at]).exp()), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_dft_steps_by_weighted_tokens_and_tells_plain_losses(model, encode, smoothing):
    examples = encode(model, PAIRS)
    config = FAST.model_copy(update={"label_smoothing": smoothing})
    with METHODS["dft"]().attach(model) as attached:
        found = []
        for terms in (attached.terms, Terms()):
            objective = Objective(model, attached.module, attached.trained, config, terms)
            losses = objective.backward(TaskBatch(examples, ["copy"] * 4), []).read()
            found.append((losses.loss, [p.grad.clone() for p in attached.trained if p.grad is not None]))
            for parameter in attached.parameters:
                parameter.grad = None
        batch = model.batch(examples)
        losses = model.target_losses(attached.module, batch, label_smoothing=smoothing)
        with torch.no_grad():
            factors = probabilities(model.target_logits(attached.module, batch), batch.label)
        (losses * factors).mean().backward()
        expected = [p.grad for p in attached.trained if p.grad is not None]
    (told, gradients), (plain, others) = found
    assert told == pytest.approx(plain), "the losses told are those of the right tokens"
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    assert not same(gradients, others)


def test_the_model_learns_what_it_answered_before_it_was_tuned(model, beside, weights):
    method = METHODS["self_distillation"](others=OTHERS, weights=weights)
    (stage,) = method.stages(4, FAST)
    with method.attach(model, ("copy",)) as attached:
        first, *rest = islice(batches_of(beside, model, attached, stage), 4)
        objective = Objective(model, attached.module, attached.trained, stage.training, attached.terms)
        fresh = objective.answered(first).replay
        written = model.write(attached.module, first.replay, max_new_tokens=24)
        for example, asked, tokens in zip(fresh, first.replay, written, strict=True):
            assert example.prompt == asked.prompt
            assert example.target == tuple(tokens[: len(asked.target)]) != ()
        run = stage_run(model, attached, stage)
        run.run(rest)
        assert all(loss > 0 for loss in run.log.replay_losses)
        # Asked anew, what was tuned since does not show.
        again = method.around(model, attached).terms.answers(first.replay)
        assert [one.target for one in again] == [one.target for one in fresh]


def test_of_a_text_that_nothing_stands_before_the_first_half_is_asked(causal, tmp_path):
    (tmp_path / "text.txt").write_text("one two three four five six seven red green blue " * 8)
    replay = {"text": {"source": "files", "path": str(tmp_path / "text.txt")}, "seq_len": 16}
    method = METHODS["self_distillation"](others=replay)
    data = EncodedTasks([], lambda: causal.encoder)
    windows = list(islice(data.windows(method.others).since(0, 0), 3))
    with method.attach(causal) as attached:
        found = attached.terms.answers(windows)
    for window, one in zip(windows, found, strict=True):
        assert one.prompt == (*window.prompt, *window.target)[:8]
        assert 1 <= len(one.target) <= 8


def test_only_value_projections_are_tuned(model, encode):
    method, examples = METHODS["value_only"](), encode(model, PAIRS)
    before = {name: p.clone() for name, p in model.base.state_dict().items()}
    with method.attach(model) as attached:
        train(model, attached, [examples] * 3, 3, FAST)
        changed = {n for n, p in model.base.state_dict().items() if not torch.equal(p, before[n])}
        assert {name.rpartition(".")[0].rpartition(".")[2] for name in changed} == {
            "v" if model.seq2seq else "v_proj"
        }
        assert sum(p.numel() for p in attached.parameters) == sum(before[name].numel() for name in changed)
    with METHODS["value_only"](weights={"name": "lora", "r": 2}).attach(model) as attached:
        names = {n.split(".lora_")[0] for n, p in attached.module.named_parameters() if p.requires_grad}
        assert {name.rpartition(".")[2] for name in names} == {"v" if model.seq2seq else "v_proj"}
    with pytest.raises(ValueError, match="target_modules is chosen by value_only"):
        METHODS["value_only"](weights={"name": "lora", "target_modules": ["q_proj"]})


def test_where_values_are_one_matrix_with_keys_and_queries_it_is_refused(causal):
    config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=causal.vocabulary_size, n_positions=64)
    fused = LanguageModel(GPT2LMHeadModel(config), causal.encoder)
    with (
        pytest.raises(InputError, match=r"\(gpt2\) has no value projection of its own") as refused,
        METHODS["value_only"]().attach(fused),
    ):
        pass
    assert str(refused.value).count(".") == 1
    with (
        pytest.raises(InputError, match=r"no module named 'v_proj' of method\.modules"),
        Full(modules=("v_proj",)).attach(fused),
    ):
        pass
    assert "modules" not in Full().plain(), "hashes of runs are older than it"


def test_what_stands_beside_is_of_training_splits_alone(model, make_task, beside):
    tasks = {name: make_task(name) for name in ("last", "swap")}
    replay = ReplayConfig(**OTHERS)
    seen = list(islice(beside.windows(replay).since(0, 5), 60))
    texts = [model.tokenizer.decode(one.prompt) for one in seen]
    trained = {example.input for task in tasks.values() for example in task["train"]}
    scored = {e.input for task in tasks.values() for split in ("validation", "test") for e in task[split]}
    assert all(sum(f"{text}\n" in prompt for text in trained) >= 3 for prompt in texts), "two are shown"
    assert not any(f"{text}\n" in prompt for prompt in texts for text in scored - trained)
    # A place has its example, whoever asks.
    assert seen[7:9] == list(islice(beside.windows(replay).since(7, 5), 2))
    assert seen[:2] != list(islice(beside.windows(replay).since(0, 6), 2))
    assert len({one.prompt for one in seen[:24]}) == 24, "a pass meets every example once"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs either text .* or tasks .*, got neither"),
        ({"tasks": "*", "text": {"source": "files", "path": "x"}}, "got both"),
        ({"tasks": "*", "seq_len": 8}, "seq_len is of text, and there is none"),
        ({"text": {"source": "files", "path": "x"}, "shots": 2}, "shots is of examples of tasks"),
    ],
)
def test_others_are_either_text_or_tasks(options, message):
    with pytest.raises(ValueError, match=message):
        METHODS["replay"](others=options)
    with pytest.raises(ValueError, match="others"):
        METHODS["replay"]()


def test_others_that_there_are_not_are_refused(causal, make_task, beside):
    with pytest.raises(InputError, match=r"named 'lsat' \(did you mean 'last'\?\).*there are: last, swap"):
        beside.windows(ReplayConfig(tasks="lsat"))
    with pytest.raises(InputError, match="'copy'"):
        beside.windows(ReplayConfig(tasks="copy"))  # which is tuned on
    alone = EncodedTasks([make_task("copy")], lambda: causal.encoder)
    with pytest.raises(InputError, match="there is none"):
        alone.windows(ReplayConfig(tasks="*"))
    with pytest.raises(InputError, match="last"):
        beside.windows(ReplayConfig(tasks="*", shots=12))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": {"name": "wise_ft"}}, "method wise_ft is chosen by validation scores along its last"),
        (
            {"method": {"name": "kl_to_base", "others": {"tasks": "*"}}},
            "method kl_to_base puts others beside the tasks",
        ),
        ({"training": {"replay": {"tasks": "*"}}}, r"training\.replay\.tasks are those that are only asked"),
    ],
)
def test_learners_refuse_what_only_tuning_on_targets_has(options, message):
    with pytest.raises(ValueError, match=message):
        LanguageModelConfig(model="toy_language", **options)
