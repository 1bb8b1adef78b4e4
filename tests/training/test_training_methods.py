"""What all training methods have to do, asked of every one on both kinds of models."""

from __future__ import annotations

import copy
import warnings
from functools import partial

import numpy as np
import peft
import pytest
import torch
from training_steps import train
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from cotune.exceptions import InputError
from cotune.models import LanguageModel, load_encoder
from cotune.training.config import TrainingConfig
from cotune.training.methods import (
    METHODS,
    Dft,
    Full,
    Joint,
    KlToBase,
    Lora,
    LoraFirst,
    Prefix,
    Promot,
    Prompt,
    RandomPrompt,
    Replay,
    SelfDistillation,
    ValueOnly,
    WiseFt,
    tasks_seen,
)
from cotune.training.stages import stage_run

PAIRS = [("red", "red"), ("green blue", "green blue"), ("one two three", "one two three"), ("six", "six")]
FAST = TrainingConfig(learning_rate=0.02, warmup=0)
SHORT = {"prompt_length": 6}
LORA = {"weights": {"name": "lora", "r": 4}}
OTHERS = {"others": {"tasks": "*", "ratio": 0.5}}
OPTIONS = {
    "dft": [{}, LORA],
    "full": [{}],
    "kl_to_base": [OTHERS, {**OTHERS, **LORA}],
    "joint": [SHORT, {**SHORT, "weights": {"name": "lora", "r": 4}}],
    "lora": [{}, {"use_dora": True, "use_rslora": True}],
    "lora_first": [{"lora": {"r": 4}, "first_steps": 2, "first_learning_rate": 0.02}],
    "prefix": [{"prefix_length": 6}, {"prefix_length": 6, "projection": True}],
    "promot": [
        {**SHORT, "prompt_steps": 2, "prompt_learning_rate": 0.1},
        {**SHORT, "prompt_steps": 2, "weights": {"name": "lora"}},
    ],
    "prompt": [SHORT, {**SHORT, "prompts": "per_task"}],
    "random_prompt": [SHORT, {**SHORT, "weights": {"name": "lora"}}],
    "replay": [OTHERS, {**OTHERS, **LORA}],
    "self_distillation": [OTHERS, {**OTHERS, **LORA}],
    "value_only": [{}, LORA],
    "wise_ft": [{"alphas": [0.5, 1.0]}, {"alphas": [0.5, 1.0], **LORA}],
}
CASES = [(name, options) for name, choices in OPTIONS.items() for options in choices]
LEAVES_THE_WEIGHTS = {"prefix", "prompt"}


def test_every_method_is_put_to_these_tests():
    assert set(OPTIONS) == set(METHODS)
    assert {name.replace("_", "") for name in METHODS} == {m.__name__.lower() for m in METHODS.values()}


@pytest.fixture(params=CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)])
def method(request):
    name, options = request.param
    return METHODS[name](**options)


def snapshot(model):
    return {name: value.clone() for name, value in model.base.state_dict().items()}


def copies(parameters):
    return [p.detach().clone() for p in parameters]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def train_all(model, attached, method, examples, steps=2, tasks=("copy",)):
    """Do all stages of a method on one batch; return the logs."""
    under = [e.under(attached.prompt_ids(tasks[0])) for e in examples]
    logs = []
    for stage in method.stages(steps, FAST, tasks):
        run = stage_run(model, attached, stage)
        run.run([under] * stage.steps)
        logs.append(run.log)
    return logs


def test_it_trains_generates_and_leaves_the_base_bit_for_bit(method, model, encode):
    examples, before, packs = encode(model, PAIRS), snapshot(model), model.pack
    expected = model.nll(model.base, examples)
    torch.manual_seed(0)
    with method.attach(model, ("copy",)) as attached:
        fresh = copies(attached.parameters)
        logs = train_all(model, attached, method, examples, steps=6)
        *_, losses = [log.losses for log in logs if log.losses]
        assert losses[-1] < losses[0]
        trained = {part for stage in method.stages(6, FAST) for part in stage.trains}
        assert all(p.dtype == torch.float32 for p in attached.parameters)
        moved = [not torch.equal(old, new) for old, new in zip(fresh, attached.parameters, strict=True)]
        frozen = sum(len(part) for name, part in attached.parts.items() if name not in trained)
        assert sum(moved) >= 1
        assert moved.count(False) >= frozen
        under = [e.under(attached.prompt_ids("copy")) for e in examples]
        for num_beams in (1, 2):
            written = partial(model.generate, attached.module, max_new_tokens=3, num_beams=num_beams)
            assert written(under)[2:3] == written(under[2:3])
    after = model.base.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(p.requires_grad for p in model.base.parameters())
    assert not model.base.training
    assert model.pack == packs
    assert (model.nll(model.base, examples) == expected).all()


def test_it_tells_how_far_the_weights_are_from_the_base_s(method, model, encode):
    torch.manual_seed(0)
    with method.attach(model, ("copy",)) as attached:
        assert attached.weight_change() == pytest.approx(0, abs=1e-6)  # DoRA divides by norms and multiplies
        train_all(model, attached, method, encode(model, PAIRS))
        tuned = METHODS.name_of(method) not in LEAVES_THE_WEIGHTS
        assert (attached.weight_change() > 1e-4) == tuned


def test_the_base_is_as_before_after_an_error(method, model, encode):
    def fail_in_training():
        with method.attach(model, ("copy",)) as attached:
            train_all(model, attached, method, encode(model, PAIRS))
            attached.module.train()
            raise ZeroDivisionError

    before = snapshot(model)
    with pytest.raises(ZeroDivisionError):
        fail_in_training()
    assert same(model.base.state_dict().values(), before.values())
    assert not model.base.training
    assert not any(p.requires_grad for p in model.base.parameters())


def test_fresh_parameters_and_runs_follow_the_seed(method, model, encode):
    examples, runs = encode(model, PAIRS), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        with method.attach(model, ("copy",)) as attached:
            losses = [log.losses for log in train_all(model, attached, method, examples, steps=1)]
            runs.append((losses, copies(attached.parameters)))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])
    if not isinstance(getattr(method, "weights", method), Full):  # which has nothing fresh
        assert not same(runs[0][1], runs[2][1])


@pytest.mark.parametrize(
    ("method", "steps"),
    [
        (Promot(), 100),
        (Promot(prompt_steps=7), 14),
        (Promot(order="sequence"), 50),
        (Promot(prompts="shared"), 50),
        (Prompt(), 20),
        (Prompt(prompts="shared"), 10),
        (Prompt(prompts="per_task", prompt_steps=3), 6),
    ],
)
def test_prompts_of_several_targets_trained_together_have_twice_the_steps(method, steps):
    """Appendix A.2: "doubling training steps in the first stage"."""
    several = method.on_targets(2, 10)
    assert several.stages(10, FAST, ("a", "b"))[0].steps == steps
    assert method.on_targets(1, 10) == method
    if isinstance(method, Prompt):
        own = "prompts" not in method.model_fields_set or method.prompts == "per_task"
        assert several.prompts == ("per_task" if own else "shared")
    assert Full().on_targets(3, 10) == Full()


def test_what_was_seen_by_the_end_of_a_stage():
    stages = Promot(order="sequence").stages(2, FAST, ("a", "b"))
    assert [sorted(tasks_seen(stages, stage.name)) for stage in stages] == [
        ["a"],
        ["a"],
        ["a", "b"],
        ["a", "b"],
    ]
    together = Promot().stages(2, FAST, ("a", "b"))
    assert [tasks_seen(together, stage.name) for stage in together] == [frozenset()] * 2, "all of them"


def test_a_prefix_may_have_a_learning_rate_of_its_own():
    assert Prefix().stages(2, FAST)[0].training == FAST
    (stage,) = Prefix(prefix_learning_rate=0.5).stages(2, FAST)
    assert stage.training == FAST.model_copy(update={"learning_rate": 0.5})
    assert "prefix_learning_rate" not in Prefix().plain(), "hashes of runs are older than it"


AROUND = (Dft, KlToBase, Replay, SelfDistillation, ValueOnly, WiseFt)
"""Methods that do something about another, and leave what it leaves."""


def plain_base(model, folder):
    auto = AutoModelForSeq2SeqLM if model.seq2seq else AutoModelForCausalLM
    return auto.from_pretrained(folder, local_files_only=True).eval()


def reloaded(method, model, folder):
    """Load what was saved with plain transformers and plain PEFT, as its user does."""
    name = model.base.config.name_or_path
    alone = method.weights if isinstance(method, AROUND) else method
    if isinstance(alone, Full):
        return plain_base(model, folder)
    if isinstance(alone, Lora | Prefix | Prompt):
        return peft.PeftModel.from_pretrained(plain_base(model, name), folder).eval()
    weights = folder / "weights"
    if isinstance(method, LoraFirst):
        return peft.PeftModel.from_pretrained(plain_base(model, weights), folder / "lora").eval()
    if isinstance(method.weights, Full):
        base = plain_base(model, weights)
    else:
        base = peft.PeftModel.from_pretrained(plain_base(model, name), weights).merge_and_unload()
    return peft.PeftModel.from_pretrained(base, folder / "prompt").eval()


def target_losses(model, module, example):
    """Losses of one example, by the logits of a module that puts its own prompt before the input."""
    rest = {"decoder_input_ids": torch.tensor([[0, *example.target[:-1]]])} if model.seq2seq else {}
    ids = example.prompt if model.seq2seq else (*example.prompt, *example.target[:-1])
    with torch.no_grad():
        logits = module(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), **rest).logits
    targets = torch.tensor(example.target)
    return torch.nn.functional.cross_entropy(logits[0, -len(targets) :], targets, reduction="none")


def test_what_is_saved_loads_in_plain_libraries_with_the_same_losses(
    method, model, encode, tmp_path, no_network
):
    examples = encode(model, PAIRS)
    with method.attach(model, ("copy",)) as attached:
        train_all(model, attached, method, examples)
        attached.save(tmp_path, model.tokenizer)
        ours = [
            model.target_losses(attached.module, model.batch([e.under(attached.prompt_ids("copy"))])).detach()
            for e in examples
        ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
        module = reloaded(method, model, tmp_path)
    for example, expected in zip(examples, ours, strict=True):
        torch.testing.assert_close(target_losses(model, module, example), expected, atol=2e-5, rtol=1e-4)


def test_a_saved_model_is_a_whole_checkpoint_with_its_own_settings(causal, tmp_path):
    with Full().attach(causal) as attached:
        attached.save(tmp_path, causal.tokenizer)
    loaded = plain_base(causal, tmp_path)
    assert loaded.config.use_cache
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == causal.tokenizer.get_vocab()
    assert not causal.base.config.use_cache


def test_first_order_parameters_have_gradients_at_the_fresh_model(method, model, encode):
    with method.attach(model, ("copy",)) as attached:
        for parameter in attached.parameters:
            parameter.requires_grad_(True)
        examples = [e.under(attached.prompt_ids("copy")) for e in encode(model, PAIRS)]
        model.target_losses(attached.module, model.batch(examples)).mean().backward()
        moving = {id(p) for p in attached.parameters if p.grad is not None and p.grad.abs().max() > 0}
        assert moving <= {id(p) for p in attached.first_order}
        assert {id(p) for p in attached.first_order if p.grad is not None} == moving


@pytest.mark.parametrize("weights", [{"name": "full"}, {"name": "lora"}])
def test_the_first_stage_leaves_the_model_and_the_second_the_prompt_bit_for_bit(model, encode, weights):
    method = Promot(**SHORT, prompt_steps=4, weights=weights)
    examples = encode(model, PAIRS)
    first, second = method.stages(4, FAST, ("copy",))
    with method.attach(model, ("copy",)) as attached:
        under = [e.under(attached.prompt_ids("copy")) for e in examples]
        prompt, tuned = attached.parts["prompt"], attached.parts["weights"]
        before, base, expected = copies(tuned), snapshot(model), model.nll(attached.module, examples)
        attached.train_only(first.trains)
        train(model, attached, [under] * 4, 4, first.training)
        assert same(copies(tuned), before)
        assert same(model.base.state_dict().values(), base.values())
        assert (model.nll(attached.module, examples) == expected).all()
        learned = copies(prompt)
        attached.train_only(second.trains)
        train(model, attached, [under] * 4, 4, second.training)
        assert same(copies(prompt), learned)
        assert not same(copies(tuned), before)


@pytest.mark.parametrize("name", ["joint", "promot", "random_prompt"])
def test_dropping_the_prompt_gives_exactly_the_model_without_it(name, model, encode, tmp_path):
    method = METHODS[name](**OPTIONS[name][0])
    examples = encode(model, PAIRS)
    batch = model.batch(examples)
    with method.attach(model, ("copy",)) as attached:
        train_all(model, attached, method, examples)
        dropped = model.target_losses(attached.module, batch).detach()
        attached.save(tmp_path, model.tokenizer)
    # Copied once more: the memory of a loaded file is aligned otherwise, and rounds otherwise.
    without = copy.deepcopy(plain_base(model, tmp_path / "weights"))
    assert torch.equal(model.target_losses(without, batch).detach(), dropped)


def test_weights_of_a_half_precision_base_are_trained_in_single(tiny_causal, encode):
    model = LanguageModel.load(tiny_causal, precision="bf16", device="cpu")
    before, examples = snapshot(model), encode(model, PAIRS)
    small = TrainingConfig(learning_rate=1e-5, warmup=0)
    with Full().attach(model) as attached:
        fresh = copies(attached.parameters)
        train(model, attached, [examples] * 2, 2, small)
        moved = [(new - old).abs().max().item() for old, new in zip(fresh, attached.parameters, strict=True)]
        # A step of 1e-5 is less than bfloat16 can tell next to these weights.
        assert 0 < max(moved) < 1e-4
        assert np.isfinite(model.nll(attached.module, examples)).all()
    assert same(model.base.state_dict().values(), before.values())
    assert model.base.dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["prompt", "promot", "joint"])
def test_tasks_have_prompts_of_their_own_where_asked(name, model, encode, tmp_path):
    method = METHODS[name](**SHORT, prompts="per_task")
    with method.attach(model, ("copy", "a/b")) as attached:
        one, other = attached.prompt_ids("copy"), attached.prompt_ids("a/b")
        assert len(one) == len(other) == 6
        assert not set(one) & set(other)
        attached.save(tmp_path, model.tokenizer)
    home = tmp_path if name == "prompt" else tmp_path / "prompt"
    assert {f.name for f in home.iterdir() if f.is_dir()} == {"copy", "a%2Fb"}
    shared = METHODS[name](**SHORT, prompts="shared")
    with shared.attach(model, ("copy", "last")) as attached:
        assert attached.prompt_ids("copy") == attached.prompt_ids("last") == attached.prompt_ids("unknown")


def test_stages_are_those_of_the_paper():
    prompt, weights = Promot().stages(1000, FAST)
    assert (prompt.steps, prompt.training.learning_rate, prompt.trains) == (5000, 0.2, ("prompt",))
    assert (weights.steps, weights.training, weights.trains) == (1000, FAST, ("weights",))
    method = Promot(
        prompt_steps=7, prompt_learning_rate=0.5, prompt_weight_decay=0.1, prompt_checkpoint_every=3
    )
    (stage, _), (alone,) = (
        method.stages(10, FAST),
        Prompt(**method.model_dump(include=PROMPT_STAGE)).stages(10, FAST),
    )
    assert stage == alone
    assert (stage.steps, stage.checkpoint_every) == (7, 3)
    assert (stage.training.learning_rate, stage.training.weight_decay) == (0.5, 0.1)
    scaled = TrainingConfig(optimizer="adafactor", scale_parameter=True)
    assert [s.training.scale_parameter for s in Promot().stages(1, scaled)] == [False, True]
    assert Joint().stages(3, FAST)[0].trains == ("prompt", "weights")
    assert RandomPrompt().stages(3, FAST)[0].trains == ("weights",)
    assert Prompt().stages(3, FAST)[0].steps == 3


PROMPT_STAGE = {"prompt_steps", "prompt_learning_rate", "prompt_weight_decay", "prompt_checkpoint_every"}


def test_tasks_in_sequence_have_their_two_stages_each(model):
    method = Promot(**SHORT, order="sequence", prompt_steps=2)
    stages = method.stages(3, FAST, ("copy", "last"))
    assert [(s.name, s.trains, s.tasks, s.steps) for s in stages] == [
        ("prompt copy", ("prompt copy",), ("copy",), 2),
        ("weights copy", ("weights",), ("copy",), 3),
        ("prompt last", ("prompt last",), ("last",), 2),
        ("weights last", ("weights",), ("last",), 3),
    ]
    with method.attach(model, ("copy", "last")) as attached:
        assert {"prompt copy", "prompt last", "weights"} == set(attached.parts)
        assert attached.parts["prompt copy"] == (attached.prompts.parameters["copy"],)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(Promot, order="sequence", prompts="shared"), "tasks in sequence need prompts: per_task"),
        (
            partial(Joint, weights={"name": "lora", "demonstrations": 1}),
            "demonstrations belong beside weights",
        ),
        (partial(Joint, weights={"name": "prompt"}), "must be one of: full, lora; got 'prompt'"),
        (partial(RandomPrompt, prompt_init="vocabulary"), "uniform"),
        (partial(Prompt, demonstrations=-1), "demonstrations"),
        (partial(Prompt, prompt_length=0), "prompt_length"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_lora_of_the_first_stage_is_set_aside_for_other_tasks(model, encode):
    method = LoraFirst(lora={"r": 4}, first_steps=3, first_learning_rate=0.05)
    examples = encode(model, PAIRS)
    before = model.nll(model.base, examples)
    first, second = method.stages(2, FAST)
    assert (first.steps, first.training.learning_rate, second.training) == (3, 0.05, FAST)
    assert LoraFirst().stages(2, FAST)[0].steps == 10
    with method.attach(model, ("copy",)) as attached:
        attached.train_only(first.trains)
        train(model, attached, [examples] * 3, 3, first.training)
        assert not np.allclose(model.nll(attached.module, examples), before)
        with attached.aside():
            assert np.array_equal(model.nll(attached.module, examples), before), (
                "the model itself is as it was"
            )
        assert attached.weight_change() == 0
        attached.train_only(second.trains)
        frozen = copies(attached.parts["lora"])
        with attached.aside():
            pass
        assert attached.trained == list(attached.parts["weights"]), "what is trained is as before"
        train(model, attached, [examples] * 2, 2, second.training)
        assert same(frozen, attached.parts["lora"])
        assert attached.weight_change() > 0
        with attached.aside():
            assert not np.allclose(model.nll(attached.module, examples), before)


@pytest.mark.parametrize(
    "options", [{"modules_to_save": ["lm_head"]}, {"demonstrations": 1}, {"bias": "all"}]
)
def test_a_lora_of_the_first_stage_is_its_matrices_alone(options):
    with pytest.raises(ValueError, match=r"second stage's|belong beside lora"):
        LoraFirst(lora=options)


def test_a_random_prompt_is_never_trained(model, encode):
    method = RandomPrompt(**SHORT)
    with method.attach(model, ("copy",)) as attached:
        before = copies(attached.parts["prompt"])
        assert all(p.abs().max() <= 0.5 for p in before)
        under = [e.under(attached.prompt_ids("copy")) for e in encode(model, PAIRS)]
        train(model, attached, [under] * 2, 2, FAST)
        assert same(copies(attached.parts["prompt"]), before)


def test_options_survive_plain_types():
    method = Promot(weights={"name": "lora", "r": 3}, prompt_steps=4)
    assert Promot(**method.plain()) == method
    assert method.plain()["weights"] == {"name": "lora", **Lora(r=3).plain()}


@pytest.mark.parametrize(
    "method", [Prompt(prompt_length=2048), Promot(prompt_length=2048), Prefix(prefix_length=2048)]
)
def test_virtual_tokens_that_leave_no_room_are_refused_with_both_numbers(method, causal):
    before = snapshot(causal)
    option = "prefix_length" if isinstance(method, Prefix) else "prompt_length"
    with pytest.raises(InputError, match=rf"^A {option} of 2048 tokens .* context of 2048 tokens; .*\.$"):  # noqa: SIM117
        with method.attach(causal):
            pass
    assert same(causal.base.state_dict().values(), before.values())


_STATES = {"hidden_size": 32, "num_hidden_layers": 2}
_HEADS = {**_STATES, "num_attention_heads": 4}


@pytest.mark.parametrize(
    ("architecture", "sizes", "reason"),
    [
        ("Mamba", {**_STATES, "state_size": 8}, "tell PEFT the attention heads"),
        ("Falcon", {**_HEADS, "multi_query": True}, "take the keys and values"),
        ("Lfm2", {**_HEADS, "layer_types": ["conv", "full_attention"]}, "take the keys and values"),
        ("Mamba2", {**_STATES, "state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1},
         "attend to the keys and values"),
    ],
)  # fmt: skip
def test_a_prefix_that_the_model_does_not_take_is_refused(architecture, sizes, reason, tiny_causal):
    import transformers

    encoder = load_encoder(tiny_causal)
    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=len(encoder.tokenizer), bos_token_id=None, eos_token_id=1, pad_token_id=0, **sizes
    )
    model = LanguageModel(transformers.AutoModelForCausalLM.from_config(config), encoder)
    refusal = (
        rf"^A prefix does not fit the model: its architecture \({config.model_type}\) does not {reason} "
    )
    with pytest.raises(InputError, match=refusal), Prefix(prefix_length=2).attach(model):
        pass
    assert not any(parameter.requires_grad for parameter in model.base.parameters())
