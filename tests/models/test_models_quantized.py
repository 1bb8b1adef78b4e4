"""Weights of 8 and 4 bits: real ones, of a small model on this processor, under adapters that learn."""

from pathlib import Path

import pytest
import torch

from cotune.exceptions import InputError
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models.config import ModelConfig
from cotune.models.quantized import check_quantized
from cotune.training.language_model import LanguageModelConfig

pytest.importorskip("bitsandbytes")


@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_adapters_learn_on_quantised_weights_that_stay_as_they_are(precision, tmp_path):
    tasks = toy_tasks(["copy"], train=16, validation=4, test=4)
    options = {"model": str(TOY_CHECKPOINT), "precision": precision, "method": {"name": "lora", "r": 4}}
    training = {"batch_size": 4, "tasks_per_batch": 1, "learning_rate": 0.02, "warmup": 0.0}
    learner = LanguageModelConfig(**options, training=training).build(tasks, Path())
    base = learner.model.base
    assert base.is_quantized
    assert (
        base.get_memory_footprint()
        < ModelConfig(model=str(TOY_CHECKPOINT), precision="fp32").load(Path()).base.get_memory_footprint()
    )
    layer = base.model.layers[0].self_attn.q_proj
    before = layer.weight.data.clone()
    assert before.dtype in (torch.int8, torch.uint8)
    assert {p.dtype for name, p in base.named_parameters() if "norm" in name} == {torch.float32}
    fit = learner.fit(("copy",), 0, steps=8, split="validation", save_to=tmp_path / "adapter")
    assert fit.losses[-1] < fit.losses[0]
    assert torch.equal(layer.weight.data, before)
    assert not any(parameter.requires_grad for parameter in base.parameters())
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert learner.config.fingerprint(Path())["precision"] == precision


def test_full_fine_tuning_of_quantised_weights_is_refused():
    options = {"model": str(TOY_CHECKPOINT), "precision": "nf4", "method": {"name": "full"}}
    learner = LanguageModelConfig(**options).build(toy_tasks(["copy"]), Path())
    with pytest.raises(InputError, match="trains the model's own weights"):
        learner.fit(("copy",), 0, steps=1, split="validation")


def test_what_cannot_be_had_is_refused_in_a_sentence(monkeypatch):
    with pytest.raises(InputError, match="Apple's GPUs"):
        check_quantized("nf4", "mps")
    monkeypatch.setattr("cotune.models.quantized.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'cotune\[quantized\]'"):
        ModelConfig(model=str(TOY_CHECKPOINT), precision="int8").load(Path())
