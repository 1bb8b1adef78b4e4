import io
import json
import shutil
import sys
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


CODE = """from pathlib import Path
Path({ran!r}).touch()
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
class Config(LlamaConfig):
    model_type = "own"
class Model(LlamaForCausalLM):
    config_class = Config
class Tokenizer:
    from_pretrained = AutoTokenizer.from_pretrained
"""


def bring_code(folder, *parts, **changes):
    """Let a checkpoint bring code of its own, which leaves a file behind when it is run."""
    ran = folder.parent / "ran"
    (folder / "own.py").write_text(CODE.format(ran=str(ran)))
    auto_map = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    configure(folder, auto_map={part: auto_map[part] for part in parts}, **changes)
    file = folder / "tokenizer_config.json"
    tokenizer = {"auto_map": {"AutoTokenizer": [None, "own.Tokenizer"]}}
    file.write_text(json.dumps({**json.loads(file.read_text()), **tokenizer}))
    return ran


@pytest.fixture
def yes(monkeypatch):
    """Answer every question on standard input by yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n" * 100))


def test_a_model_that_needs_code_of_its_own_is_refused_and_the_code_never_run(
    checkpoint, tiny_causal, yes, capfd
):
    ran = bring_code(checkpoint, "AutoConfig", "AutoModelForCausalLM", model_type="own")
    encoder = load_encoder(tiny_causal)
    loads = (
        lambda: load_encoder(checkpoint),
        lambda: LanguageModel.load(checkpoint),
        lambda: LanguageModel.load(checkpoint, encoder, precision="fp32"),
        lambda: LanguageModel.skeleton(checkpoint, encoder),
    )
    for load in loads:
        with pytest.raises(InputError) as caught:
            load()
        assert str(caught.value) == (
            f"The model {checkpoint} comes with code of its own, which is not run; give a model of a kind "
            "that transformers loads without, or trust_remote_code: true with the revision that you have "
            "read (SECURITY.md)."
        )
    assert not ran.exists()
    assert "yes" in sys.stdin.readline(), "nothing was asked"
    assert "Do you wish" not in "".join(capfd.readouterr())


def test_code_beside_a_model_that_transformers_knows_is_not_run(checkpoint, yes):
    ran = bring_code(checkpoint, "AutoConfig", "AutoModelForCausalLM")
    model = LanguageModel.load(checkpoint)
    assert type(model.base).__module__.startswith("transformers.models.")
    LanguageModel.skeleton(checkpoint, model.encoder)
    assert not ran.exists()
    assert len(sys.stdin.read().split()) == 100, "nothing was asked"


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
