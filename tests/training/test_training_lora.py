import warnings
from functools import cache

import numpy as np
import peft
import pytest
import torch
from training_steps import train

from cotune.exceptions import InputError
from cotune.models import load_encoder
from cotune.training.config import TrainingConfig
from cotune.training.methods import METHODS, Lora
from cotune.training.methods.lora import called_adapters

PAIRS = [("red", "red"), ("green blue", "green blue"), ("one two three", "one two three"), ("six", "six")]
FAST = TrainingConfig(learning_rate=0.02, warmup=0)


def snapshot(model):
    return {name: value.clone() for name, value in model.base.state_dict().items()}


def assert_untouched(model, before):
    after = model.base.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not hasattr(model.base, "peft_config")
    assert not model.base.training


def adapted(module):
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def some_steps(model, attached, examples, n_steps=4):
    return train(model, attached, [examples] * n_steps, n_steps, FAST)


def test_the_base_is_bit_for_bit_as_before_after_training(model, encode):
    before = snapshot(model)
    with Lora().attach(model) as attached:
        some_steps(model, attached, encode(model, PAIRS))
        assert set(model.base.state_dict()) != set(before)
    assert_untouched(model, before)


def test_the_base_is_bit_for_bit_as_before_after_an_error(model, encode):
    def fail_in_training():
        with Lora().attach(model) as attached:
            some_steps(model, attached, encode(model, PAIRS), 1)
            attached.module.train()
            raise ZeroDivisionError

    before = snapshot(model)
    with pytest.raises(ZeroDivisionError):
        fail_in_training()
    assert_untouched(model, before)


def test_adapters_come_and_go_without_a_warning(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            with Lora(r=2).attach(model) as attached:
                assert len(adapted(attached.module)) > 0


def test_a_fresh_adapter_has_no_effect(model, encode):
    examples = encode(model, PAIRS)
    expected = model.nll(model.base, examples)
    with Lora().attach(model) as attached:
        assert (model.nll(attached.module, examples) == expected).all()
        some_steps(model, attached, examples)
        assert np.abs(model.nll(attached.module, examples) - expected).max() > 1e-3


def fresh_weights(model, seed):
    torch.manual_seed(seed)
    with Lora().attach(model) as attached:
        return {name: value.detach().clone() for name, value in adapted(attached.module).items()}


def test_a_is_drawn_from_the_seed_and_b_is_zero(model):
    first, again, other = (fresh_weights(model, seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    for name, value in first.items():
        if ".lora_A." in name:
            assert not torch.equal(value, other[name])
        else:
            assert ".lora_B." in name
            assert (value == 0).all()


def test_first_order_parameters_are_those_with_a_gradient_at_the_base_model(model, encode):
    method = Lora()
    with method.attach(model) as attached:
        model.target_losses(attached.module, model.batch(encode(model, PAIRS))).mean().backward()
        moving = {name for name, p in adapted(attached.module).items() if p.grad.abs().max() > 0}
        still = {name for name, p in adapted(attached.module).items() if not p.grad.abs().max() > 0}
        named = {id(p): name for name, p in attached.module.named_parameters()}
        assert {named[id(p)] for p in attached.first_order} == moving
        assert {name.replace("lora_B", "lora_A") for name in moving} == still


def test_only_the_adapter_is_trained(model):
    with Lora(r=3, target_modules=("q_proj",) if not model.seq2seq else ("q",)).attach(model) as attached:
        names = set(adapted(attached.module))
        assert names == {name for name, _ in attached.module.named_parameters() if ".lora_" in name}
        assert {min(p.shape) for p in adapted(attached.module).values()} == {3}
        assert all(".q" in name for name in names)


def test_a_saved_adapter_is_loaded_by_peft_alone_and_scores_the_same(model, encode, tmp_path, no_network):
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    method, examples = Lora(r=4, alpha=8), encode(model, PAIRS)
    with method.attach(model) as attached:
        some_steps(model, attached, examples)
        expected = model.nll(attached.module, examples)
        attached.save(tmp_path, model.tokenizer)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {f.name for f in tmp_path.iterdir()}
    auto = AutoModelForSeq2SeqLM if model.seq2seq else AutoModelForCausalLM
    base = auto.from_pretrained(model.base.config.name_or_path, local_files_only=True)
    loaded = peft.PeftModel.from_pretrained(base, tmp_path).eval()
    np.testing.assert_allclose(model.nll(loaded, examples), expected, atol=1e-6, rtol=0)
    assert np.abs(model.nll(model.base, examples) - expected).max() > 1e-3


def test_the_size_of_the_update_is_alpha_over_r(causal, encode):
    """One step by B alone: the update of the weights is (alpha / r) B A."""
    examples, method = encode(causal, PAIRS), Lora(r=4, alpha=12, target_modules=("q_proj",))
    expected = causal.base.model.layers[0].self_attn.q_proj.weight.clone()
    with method.attach(causal) as attached:
        some_steps(causal, attached, examples)
        layer = attached.module.base_model.model.model.layers[0].self_attn.q_proj
        update = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        hidden = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(layer(hidden), hidden @ (expected + 12 / 4 * update).T)


@pytest.mark.parametrize("names", [("nonesuch",), ("q_proj", "nonesuch")])
def test_matrices_that_do_not_exist_are_refused_and_leave_the_base_alone(causal, names):
    before = snapshot(causal)
    with pytest.raises(InputError, match=r"^LoRA does not fit the model: .*nonesuch.*\.$") as caught:  # noqa: SIM117
        with Lora(target_modules=names).attach(causal):
            pass
    assert "\n" not in str(caught.value)
    assert_untouched(causal, before)
    with Lora().attach(causal) as attached:
        assert len(adapted(attached.module)) == 8


def sentence(model, *names):
    with pytest.raises(InputError) as caught, Lora(target_modules=names or None).attach(model):
        pass
    message = str(caught.value)
    assert message.startswith("LoRA does not fit the model: ")
    assert message.endswith(".")
    assert "\n" not in message
    assert not hasattr(model.base, "peft_config")
    assert not any("lora" in name for name, _ in model.base.named_parameters())
    return message.removeprefix("LoRA does not fit the model: ")


SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 330}
ATTENTION = {**SIZES, "num_attention_heads": 2, "intermediate_size": 16}
WITHOUT_DEFAULT = {
    "Mamba": ({**SIZES, "state_size": 4}, "mamba", "in_proj, x_proj"),
    "Falcon Mamba": ({**SIZES, "state_size": 4}, "falcon_mamba", "in_proj, x_proj"),
    "Lfm2": (
        {**ATTENTION, "num_key_value_heads": 2, "layer_types": ["conv", "full_attention"]},
        "lfm2",
        "in_proj, out_proj, w1, w3, w2, q_proj, k_proj, v_proj",
    ),
    "RecurrentGemma": (
        {**ATTENTION, "num_key_value_heads": 1, "lru_width": 16},
        "recurrent_gemma",
        "linear_y, linear_x, linear_out, gate_proj, up_proj, down_proj",
    ),
    "Cohere": (ATTENTION, "cohere", "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"),
}


@pytest.fixture(scope="module")
def other(tiny_causal, one_thread):
    """Make a tiny model of an architecture by name, once for all tests."""
    import transformers

    from cotune.models import LanguageModel

    @cache
    def make(name):
        config = getattr(transformers, f"{name.replace(' ', '')}Config")(**WITHOUT_DEFAULT[name][0])
        base = transformers.AutoModelForCausalLM.from_config(config)
        return LanguageModel(base, load_encoder(tiny_causal), pack=False)

    return make


@pytest.mark.parametrize("name", WITHOUT_DEFAULT)
def test_an_architecture_peft_has_no_default_for_is_refused_with_names_that_fit(other, encode, name):
    _, kind, names = WITHOUT_DEFAULT[name]
    model = other(name)
    assert sentence(model) == (
        f"PEFT has no default of method.target_modules for the architecture {kind!r}; "
        f"name modules such as {names}."
    )
    for target in names.split(", "):
        with Lora(target_modules=(target,)).attach(model) as attached:
            model.target_losses(attached.module, model.batch(encode(model, PAIRS))).mean().backward()
            gradients = [p.grad for n, p in adapted(attached.module).items() if ".lora_B" in n]
            assert any(g is not None and g.abs().max() > 0 for g in gradients)


def test_names_that_fit_are_given_with_names_that_do_not(other, causal):
    lfm2, mamba = other("Lfm2"), other("Mamba")
    fitting = WITHOUT_DEFAULT["Lfm2"][2]
    assert sentence(lfm2, "query", "c_attn") == (
        f"no module is named 'query' or 'c_attn' of method.target_modules; name modules such as {fitting}."
    )
    # The first of two modules so named is a block of its own, no matrix.
    assert sentence(lfm2, "q_proj", "conv") == (
        f"PEFT does not adapt 'conv' of method.target_modules; name modules such as {fitting}."
    )
    assert "incompatible" in sentence(mamba, "conv1d")
    assert "no module is named 'conv1d'" in sentence(causal, "conv1d")


def test_a_module_that_the_architecture_computes_past_is_refused(other):
    message = sentence(other("Mamba"), "in_proj", "dt_proj")
    assert message.startswith("'dt_proj' of method.target_modules would have no effect; ")


def test_trying_whether_a_module_is_called_draws_nothing(causal):
    torch.manual_seed(3)
    with Lora(target_modules=("q_proj",), dropout=0.5).attach(causal) as attached:
        after = torch.rand(1)
        assert called_adapters(causal, attached.module)
    torch.manual_seed(3)
    config = peft.LoraConfig(r=8, lora_alpha=16, lora_dropout=0.5, target_modules=["q_proj"])
    module = peft.get_peft_model(causal.base, config)
    assert torch.equal(after, torch.rand(1))
    module.unload()


def test_dropout_acts_in_training_only(causal, encode):
    examples = encode(causal, PAIRS)
    with Lora(dropout=0.5).attach(causal) as attached:
        some_steps(causal, attached, examples)
        assert (causal.nll(attached.module, examples) == causal.nll(attached.module, examples)).all()
        attached.module.train()
        batch = causal.batch(examples)
        losses = [causal.target_losses(attached.module, batch).mean().item() for _ in range(2)]
        attached.module.eval()
        assert losses[0] != losses[1]


def test_methods_have_names():
    assert METHODS["lora"] is Lora
