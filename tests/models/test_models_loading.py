import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch

from cotune.exceptions import InputError
from cotune.models import LanguageModel, load_encoder, locate_model, model_fingerprint, resolve_precision


@pytest.fixture
def checkpoint(tiny_causal, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_causal, tmp_path / "model"))


def configure(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def break_off(file):
    file.write_bytes(file.read_bytes()[:50_000])


FLAWS = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json"),
    "torn config": (lambda folder: (folder / "config.json").write_text('{"a'), "not a valid JSON file"),
    "unknown kind": (lambda folder: configure(folder, model_type="nonesuch"), "`nonesuch`"),
    "wrong type": (lambda folder: configure(folder, hidden_size="wide"), "'hidden_size' expected int"),
    "no language model": (lambda folder: configure(folder, model_type="vit"), "for this kind of AutoModel"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no file named model.safetensors"),
    "torn weights": (lambda folder: break_off(folder / "model.safetensors"), "file not fully covered"),
    "empty weights": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "header too small"),
    "a layer short": (
        lambda folder: configure(folder, num_hidden_layers=3),
        "9 of the weights that its config.json asks for are missing and 0 have another shape, the first of "
        "them model.layers.2.input_layernorm.weight.",
    ),
    "other shapes": (
        lambda folder: configure(folder, intermediate_size=48),
        "0 of the weights that its config.json asks for are missing and 6 have another shape",
    ),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer"),
    "torn tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "KeyError"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_broken_checkpoint_is_refused_in_one_sentence(checkpoint, flaw):
    damage, reason = FLAWS[flaw]
    damage(checkpoint)
    with pytest.raises(InputError) as caught:
        LanguageModel.load(checkpoint)
    message = str(caught.value)
    assert message.startswith(f"The model {checkpoint} could not be loaded: ")
    assert reason in message
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < len(str(checkpoint)) + 300


def test_the_libraries_are_quiet_while_loading_and_as_loud_as_before_after_it(checkpoint, capfd):
    from transformers.utils import logging

    logging.set_verbosity_warning()
    configure(checkpoint, num_hidden_layers=3)
    with pytest.raises(InputError):
        LanguageModel.load(checkpoint)
    assert capfd.readouterr() == ("", "")
    assert logging.get_verbosity() == logging.WARNING


def test_a_hub_name_without_a_hub_is_refused_in_one_sentence(monkeypatch, no_network, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    name = "nobody/no-such-model"
    assert locate_model(name, tmp_path) == name
    for attempt in (load_encoder, model_fingerprint):
        with pytest.raises(InputError, match=rf"^The model '?{name}'? (?s:.*)\.$") as caught:
            attempt(name)
        assert "\n" not in str(caught.value)


def test_a_folder_asks_no_hub(checkpoint, no_network, encode):
    assert locate_model(str(checkpoint), Path()) == checkpoint
    assert model_fingerprint(checkpoint).startswith("local:")
    encoder = load_encoder(checkpoint)
    model = LanguageModel.load(checkpoint, encoder)
    examples = encode(encoder, [("apple", "apple")])
    assert np.isfinite(model.nll(model.base, examples)).all()
    assert isinstance(model.generate(model.base, examples, max_new_tokens=2)[0], str)


def test_folders_are_found_from_the_study_file(checkpoint, tmp_path):
    assert locate_model("model", tmp_path) == checkpoint
    assert locate_model("./model", tmp_path) == checkpoint
    assert locate_model("model", tmp_path / "elsewhere") == "model"


@pytest.mark.parametrize("path", ["./missing", "/missing/model", "~/missing/model", "a/b/c", " "])
def test_what_can_only_be_a_folder_has_to_exist(path, tmp_path):
    with pytest.raises(InputError, match=r"^The model folder .* does not exist; give a checkpoint's folder"):
        locate_model(path, tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no config.json; give a transformers checkpoint\.$"):
        locate_model(".", tmp_path)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_frozen_weights_have_the_precision_asked_for(tiny_causal, precision, dtype):
    model = LanguageModel.load(tiny_causal, precision=precision, device="cpu")
    assert {p.dtype for p in model.base.parameters()} == {dtype}
    assert not any(p.requires_grad for p in model.base.parameters())
    assert not model.base.training
    assert resolve_precision(precision) == precision
    assert resolve_precision("auto", "cpu") in ("fp32", "bf16")
