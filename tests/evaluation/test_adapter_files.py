"""Adapters of strangers: what PEFT could not bear is refused in a sentence, and pickles are not read."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from cotune.evaluation.adapter_files import (
    check_patterns,
    check_ranks,
    read_adapter_config,
    read_adapter_weights,
    read_prompt,
)
from cotune.evaluation.saved_model import find_saved_model, open_saved_model
from cotune.exceptions import InputError
from cotune.models import LanguageModel
from cotune.training.methods import Lora

PLACE = "base_model.model.model.layers.{}.self_attn.{}_proj.lora_{}.weight"


@pytest.fixture
def adapter(tmp_path, tiny_causal):
    """A LoRA on the tiny model, as a stranger's folder."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(tiny_causal),
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["q_proj", "v_proj"],
    }
    sides = {"qA": (2, 32), "qB": (32, 2), "vA": (2, 32), "vB": (16, 2)}
    tensors = {
        PLACE.format(layer, name[0], name[1]): torch.full(shape, 0.01)
        for layer in range(2)
        for name, shape in sides.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def write(adapter, **changes):
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def opened(adapter):
    saved = find_saved_model(str(adapter))
    return open_saved_model(saved, LanguageModel.load(saved.base, precision="fp32"))


def test_an_adapter_as_peft_writes_it_is_loaded(adapter, tiny_causal):
    assert any("lora_A" in name for name, _ in opened(adapter).module.named_parameters())
    write(adapter, target_modules=r".*\.self_attn\.(q|v)_proj", rank_pattern={r".*q_proj": 2})
    opened(adapter)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": None}, "peft_type must name the kind of adapter, such as LORA, got None"),
        ({"peft_type": ["LORA"]}, "peft_type must name"),
        ({"peft_type": "XLORA"}, "is of the kind XLORA, which is not loaded"),
        ({"peft_type": "SHADOW", "shadow_model": "x/y"}, "is of the kind SHADOW, which is not loaded"),
        ({"base_model_name_or_path": {"a": 1}}, "base_model_name_or_path must be the name of a model"),
        ({"base_model_name_or_path": "a\0b"}, "base_model_name_or_path must be the name of a model"),
        ({"base_model_name_or_path": "x" * 300}, "base_model_name_or_path must be the name of a model"),
        ({"r": "8"}, "r must be a whole number of at least 1, got '8'"),
        ({"r": True}, "r must be a whole number"),
        ({"r": 0}, "r must be a whole number"),
        ({"r": 10**9}, "r must be a number of at most 1,000,000"),
        ({"r": 10**400}, "r must be a number of at most 1,000,000"),
        ({"lora_alpha": float("nan")}, "lora_alpha must be a number"),
        ({"lora_dropout": float("inf")}, "lora_dropout must be a number"),
        ({"rank_pattern": {"q_proj": 10**9}}, "rank_pattern.q_proj must be a number of at most"),
        ({"rank_pattern": {"q_proj": "x"}}, "'q_proj' must lead to a number above 0"),
        ({"alpha_pattern": ["x"]}, "alpha_pattern must be an object"),
        ({"target_modules": {"q_proj": 1}}, "target_modules must be a list of names"),
        ({"target_modules": [1]}, "target_modules must be a list of names"),
        ({"target_modules": ["x" * 3000]}, "target_modules has more than 20,000 names, or one of more than"),
        ({"modules_to_save": "lm_head"}, "modules_to_save must be a list of names"),
        ({"megatron_config": {"a": 1}, "megatron_core": "antigravity"}, "megatron_config is given"),
        ({"corda_config": {"cache_file": "/x.pt"}}, "corda_config is given, which reads other files"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights is 'loftq'"),
        ({"init_lora_weights": [1]}, r"init_lora_weights is \[1\]"),
    ],
)
def test_what_no_adapter_has_is_refused_before_its_base_is_loaded(adapter, changes, message):
    write(adapter, **changes)
    with pytest.raises(InputError, match=message) as caught:
        find_saved_model(str(adapter))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[", "cannot be read as JSON"), ("[]", "must hold a JSON object"), ("[" * 5000, "nested too deeply")],
)
def test_what_is_no_configuration_is_refused(adapter, text, message):
    (adapter / "adapter_config.json").write_text(text)
    with pytest.raises(InputError, match=message):
        find_saved_model(str(adapter))
    (adapter / "adapter_config.json").write_text(" " * (5 << 20))
    with pytest.raises(InputError, match="larger than 4 MiB"):
        read_adapter_config(adapter)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 1000}, "says rank 1,000, and no matrix of the adapter is larger than 32"),
        ({"rank_pattern": {"q_proj": 99}}, "says rank 99, and no matrix"),
        ({"target_modules": "(([a-z_.0-9])+)+x"}, r"takes longer than 1 s on the names"),
        ({"exclude_modules": "((([a-z_.0-9]+)+)+)+x"}, r"takes longer than 1 s on the names"),
        ({"rank_pattern": {"([a-z_.0-9]+)+x": 2}}, r"takes longer than 1 s on the names"),
        ({"modules_to_save": ["([a-z_.0-9]+)+x"]}, r"takes longer than 1 s on the names"),
        ({"target_modules": "(q_proj"}, r"the pattern '\(q_proj' is no regular expression"),
        ({"target_modules": "(" * 1500}, "is no regular expression"),
        ({"target_modules": ["mlp"]}, "is for another base than"),
        ({"lora_bias": "x", "task_type": "NONE"}, "is for another base than"),
    ],
)
def test_what_peft_could_not_bear_is_refused_before_it_sees_it(adapter, changes, message, monkeypatch):
    monkeypatch.setattr("cotune.evaluation.adapter_files._SECONDS", 1)
    write(adapter, **changes)
    with pytest.raises(InputError, match=message) as caught:
        opened(adapter)
    assert "\n" not in str(caught.value)


def test_names_that_are_listed_are_no_patterns(adapter):
    content = {"target_modules": ["([a-z_.]+)+x", "("], "r": 2}
    check_patterns(adapter, content, ["model.layers.0.self_attn.q_proj"])
    check_ranks(adapter, content, [(2, 32)])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(adapter, number):
    place = adapter / "adapter_model.safetensors"
    tensors = read_adapter_weights(adapter)
    name = max(tensors)
    tensors[name][0, 0] = number
    save_file({key: value.clone() for key, value in tensors.items()}, place)
    with pytest.raises(
        InputError, match=r"holds what is no number \(NaN or infinite\), such as in base_model"
    ):
        opened(adapter)


def test_a_pickle_is_not_read(adapter, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harmed"), "w"))

    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(InputError, match="a pickle, which may run code, is not read"):
        opened(adapter)
    (adapter / "adapter_model.safetensors").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(InputError, match="is not readable as safetensors"):
        opened(adapter)
    assert not (tmp_path / "harmed").exists()


def test_a_prompt_has_as_many_vectors_as_it_says(tmp_path):
    config = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    for tensors in ({"prompt_embeddings": torch.zeros(2, 4)}, {"prompt_embeddings": torch.zeros(4)}, {}):
        save_file({"x": torch.zeros(1), **tensors}, tmp_path / "adapter_model.safetensors")
        with pytest.raises(InputError, match="must hold 3 vectors under the name prompt_embeddings"):
            read_prompt(tmp_path)
    save_file({"prompt_embeddings": torch.zeros(5, 4)}, tmp_path / "adapter_model.safetensors")
    assert read_prompt(tmp_path)[1].shape == (3, 4)


def test_the_modules_of_an_adapter_are_written_in_order(tmp_path, tiny_causal):
    model = LanguageModel.load(tiny_causal, precision="fp32")
    with Lora(r=2, target_modules=["v_proj", "q_proj", "o_proj", "k_proj"]).attach(model) as attached:
        attached.save(tmp_path, model.tokenizer)
    content = json.loads((tmp_path / "adapter_config.json").read_text())
    assert content["target_modules"] == ["k_proj", "o_proj", "q_proj", "v_proj"]
