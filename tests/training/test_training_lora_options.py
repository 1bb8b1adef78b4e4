"""Options of PEFT's LoraConfig: passed through, checked by PEFT, refused where they cannot be honoured."""

import json

import numpy as np
import peft
import pytest
import torch
from training_steps import train

from cotune._config import parse
from cotune.exceptions import InputError
from cotune.models import LanguageModel
from cotune.training.config import TrainingConfig
from cotune.training.language_model import LanguageModelConfig
from cotune.training.methods import Lora

PAIRS = [("red", "red"), ("green blue", "green blue"), ("one two three", "one two three"), ("six", "six")]
FAST = TrainingConfig(learning_rate=0.02, warmup=0)

OPTIONS = [
    {"use_dora": True},
    {"use_rslora": True, "rank_pattern": {"v_proj": 3}, "alpha_pattern": {"v_proj": 5}},
    {"init_lora_weights": "gaussian", "layers_to_transform": [1]},
    {"init_lora_weights": "orthogonal"},
    {"init_lora_weights": False},
    {"modules_to_save": ["norm"], "exclude_modules": r".*layers\.0.*q_proj"},
    {"bias": "lora_only"},
]


def snapshot(model):
    return {name: value.clone() for name, value in model.base.state_dict().items()}


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(options))
def test_an_option_is_trained_saved_and_loaded_as_peft_does(options, causal, encode, tmp_path):
    from transformers import AutoModelForCausalLM

    method, examples, before = Lora(r=4, **options), encode(causal, PAIRS), snapshot(causal)
    with method.attach(causal) as attached:
        trained = [p for p in attached.module.parameters() if p.requires_grad]
        assert {id(p) for p in attached.parameters} == {id(p) for p in trained}
        train(causal, attached, [examples] * 4, 4, FAST)
        expected = causal.nll(attached.module, examples)
        attached.save(tmp_path, causal.tokenizer)
    after = causal.base.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    for name, value in options.items():
        assert written[name] == value
    base = AutoModelForCausalLM.from_pretrained(causal.base.config.name_or_path)
    loaded = peft.PeftModel.from_pretrained(base, tmp_path).eval()
    np.testing.assert_allclose(causal.nll(loaded, examples), expected, atol=1e-5)


def test_biases_of_the_base_that_were_trained_are_as_before(causal, encode):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = causal.base.config
    sizes = {name: getattr(config, name) for name in ("vocab_size", "hidden_size", "num_hidden_layers")}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    base = Qwen2ForCausalLM(Qwen2Config(**sizes, **heads, eos_token_id=1))
    model, examples = LanguageModel(base, causal.encoder, pack=False), encode(causal, PAIRS)
    before = snapshot(model)
    with Lora(bias="lora_only").attach(model) as attached:
        train(model, attached, [examples] * 2, 2, FAST)
        trained = {name for name, value in model.base.named_parameters() if value.requires_grad}
        assert any(name.endswith("q_proj.base_layer.bias") for name in trained)
        assert any(
            not torch.equal(value, before[name.replace(".base_layer", "")])
            for name, value in model.base.named_parameters()
            if name.endswith("q_proj.base_layer.bias")
        )
    after = model.base.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not any(p.requires_grad for p in model.base.parameters())


REFUSED = {
    "pissa": ({"init_lora_weights": "pissa"}, "init_lora_weights: 'pissa' changes the base"),
    "olora": ({"init_lora_weights": "olora"}, "init_lora_weights: 'olora' changes the base"),
    "unknown start": ({"init_lora_weights": "zeros"}, "init_lora_weights: PEFT does not take it: .*zeros"),
    "data": ({"init_lora_weights": "eva"}, "init_lora_weights: 'eva' looks at data"),
    "misspelt": ({"use_dorra": True}, r"use_dorra: unknown key \(did you mean 'use_dora'\?\)"),
    "our name": ({"lora_alpha": 3}, "lora_alpha: is called 'alpha' here"),
    "filled in": ({"task_type": "CAUSAL_LM"}, "task_type: follows from the model"),
    "packed": ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens: cannot be honoured"),
    "pattern alone": (
        {"layers_pattern": "layers"},
        "layers_pattern: PEFT does not take it: .*layers_to_transform",
    ),
    "two at odds": (
        {"use_dora": True, "lora_bias": True},
        "use_dora: PEFT does not take it: .*not supported for DoRA",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_honoured_is_refused_when_the_file_is_read(case, tiny_causal):
    options, sentence = REFUSED[case]
    state = torch.get_rng_state()
    data = {"model": str(tiny_causal), "method": {"name": "lora", **options}}
    with pytest.raises(InputError, match=f"study.yaml: method\\.{sentence}") as error:
        parse(LanguageModelConfig, data, "study.yaml")
    assert "\n" not in str(error.value)
    assert torch.equal(torch.get_rng_state(), state)


MISFITS = {
    "layer": ({"layers_to_transform": [7]}, "with layers_to_transform: "),
    "pattern": (
        {"rank_pattern": {"k_proj": 2}},
        "called 'k_proj' of method.rank_pattern, unlike q_proj, v_proj",
    ),
    "module": ({"modules_to_save": ["head"]}, "called 'head' of method.modules_to_save"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_parts_that_a_model_lacks_are_told_before_it_is_loaded(case, learner_of, make_task, monkeypatch):
    options, sentence = MISFITS[case]
    learner = learner_of("causal", [make_task("copy")], method={"name": "lora", **options})
    monkeypatch.setattr(LanguageModel, "load", None)
    with pytest.raises(InputError, match=f"LoRA does not fit the model.*{sentence}"):
        learner.check()


def test_options_are_in_the_hash_of_a_run_and_a_lora_without_any_has_none():
    assert "use_dora" not in Lora().plain()
    assert Lora(use_dora=True).plain() == {**Lora().plain(), "use_dora": True}
    assert Lora(use_dora=True) != Lora()
    assert "use_dora" in repr(Lora(use_dora=True))


def test_another_rank_scales_the_patterns_of_ranks_too():
    lora = Lora(r=4, alpha=8, rank_pattern={"v_proj": 2}, alpha_pattern={"v_proj": 6}).resized(8)
    assert (lora.r, lora.alpha) == (8, 16)
    assert lora.options == {"rank_pattern": {"v_proj": 4}, "alpha_pattern": {"v_proj": 12}}


PLAIN = {"use_rslora": True, "rank_pattern": {"v_proj": 3}, "layers_to_transform": [1]}


@pytest.mark.parametrize("options", [PLAIN, {"use_dora": True}], ids=["two matrices", "dora"])
def test_runs_share_passes_only_where_they_come_out_as_alone(options, learner_of, make_task):
    tasks = [make_task(name) for name in ("copy", "swap", "last")]
    method = {"name": "lora", **options}
    alone = learner_of("causal", tasks, method=method, side_by_side=1)
    subsets, seeds, steps = [("copy",), ("last", "swap"), ("copy", "last")], [0, 0, 1], [3, 3, 3]
    expected = [alone.fit(s, k, steps=3, split="test") for s, k in zip(subsets, seeds, strict=True)]
    if "use_dora" in options:
        with pytest.raises(ValueError, match="such as use_dora and modules_to_save"):
            learner_of("causal", tasks, method=method, side_by_side=3)
        together = learner_of("causal", tasks, method=method)
        assert together.side_by_side == 1
    else:
        together = learner_of("causal", tasks, method=method, side_by_side=3)
        assert together.side_by_side == 3
    for got, wanted in zip(
        together.fit_many(subsets, seeds, steps=steps, split="test"), expected, strict=True
    ):
        np.testing.assert_allclose(got.losses, wanted.losses, rtol=1e-4, atol=1e-5)
