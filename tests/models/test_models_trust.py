"""Code that comes with models runs where somebody has said which, and nowhere else."""

import json
import shutil

import pytest

from cotune._config import parse
from cotune.cli.main import main
from cotune.evaluation.saved_model import SavedModel
from cotune.exceptions import InputError
from cotune.models.config import ModelConfig
from cotune.models.loading import check_code, code_hash
from cotune.studies import Study
from cotune.studies.evaluating import EvaluateConfig, _model_config
from cotune.studies.tuning import TuneConfig
from cotune.training.language_model import LanguageModelConfig

CODE = """from pathlib import Path
Path({ran!r}).touch()
from transformers import LlamaConfig, LlamaForCausalLM
class Config(LlamaConfig):
    model_type = "own{number}"
class Model(LlamaForCausalLM):
    config_class = Config
"""


@pytest.fixture
def own(tmp_path, tiny_causal, monkeypatch):
    """A checkpoint of a kind of its own, whose code leaves a file behind when it runs."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    folder = shutil.copytree(tiny_causal, tmp_path / f"own_{tmp_path.name}")
    name = tmp_path.name.replace("_", "")
    (folder / "own.py").write_text(CODE.format(ran=str(tmp_path / "ran"), number=name))
    configure(folder, model_type=f"own{name}", auto_map=auto_map("own"))
    return folder


def auto_map(place):
    return {"AutoConfig": f"{place}.Config", "AutoModelForCausalLM": f"{place}.Model"}


def configure(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def config(folder, **options):
    return parse(ModelConfig, {"model": str(folder), "precision": "fp32", **options}, "f")


def test_code_runs_once_its_hash_was_written_down(own, tmp_path):
    untold = config(own, trust_remote_code=True)
    for load in (untold.encoder, untold.load):
        with pytest.raises(InputError, match=f"have the hash {code_hash(own)}.*write revision: ") as caught:
            load(tmp_path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="comes with code of its own, which is not run"):
        config(own, revision=code_hash(own)).load(tmp_path)
    assert not (tmp_path / "ran").exists()
    told = config(own, trust_remote_code=True, revision=code_hash(own))
    model = told.load(tmp_path)
    assert type(model.base).__name__ == "Model"
    assert told.skeleton(tmp_path, model.encoder).base.num_parameters() == model.base.num_parameters()
    assert (tmp_path / "ran").exists()


def test_code_that_was_changed_is_not_what_was_read(own, tmp_path):
    told = config(own, trust_remote_code=True, revision=code_hash(own))
    (own / "inner").mkdir()
    (own / "inner" / "more.py").write_text("")
    with pytest.raises(InputError, match="have the hash"):
        told.load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_code_of_yet_another_place_is_not_pinned(own, tmp_path):
    configure(own, auto_map=auto_map("else/where--own"))
    told = config(own, trust_remote_code=True, revision=code_hash(own))
    with pytest.raises(InputError, match="runs code of else/where, which its revision does not pin"):
        told.load(tmp_path)


def _not_there(*_, **__):
    raise OSError("no such file")


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "a" * 39, "A" * 40, "a" * 64, "a" * 40 + "\n"])
def test_on_the_hub_only_a_commit_pins(revision, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_hub_download", _not_there)
    with pytest.raises(InputError, match="must be the commit that you have read, 40 hexadecimal digits"):
        check_code("org/model", revision)
    check_code("org/model", "0123456789abcdef0123456789abcdef01234567")


def test_a_commit_on_the_hub_pins_code_of_its_own_place_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda model, name, revision: tmp_path / name)
    for place, fine in (("org/model--own", True), ("own", True), ("org/other--own", False)):
        (tmp_path / "config.json").write_text(json.dumps({"auto_map": auto_map(place)}))
        if fine:
            check_code("org/model", "0" * 40)
        else:
            with pytest.raises(InputError, match="runs code of org/other"):
                check_code("org/model", "0" * 40)


def test_keys_of_runs_know_of_trust_where_there_is_some(own, tmp_path):
    plain = config(own)
    assert "trust_remote_code" not in plain.plain()
    assert "code" not in plain.fingerprint(tmp_path)
    told = config(own, trust_remote_code=True, revision=code_hash(own))
    assert told.fingerprint(tmp_path) == {**plain.fingerprint(tmp_path), "code": code_hash(own)}
    assert "code" not in told.reading(tmp_path), "a folder does not say of itself that its code may run"
    assert "trust_remote_code" not in told.reading(tmp_path)
    assert parse(ModelConfig, told.plain(), "f") == told
    for cls, more in ((LanguageModelConfig, {}), (TuneConfig, {"method": {"name": "lora"}})):
        made = parse(cls, {"model": "m", **more}, "f")
        assert "trust_remote_code" not in made.plain()


def test_commands_that_read_no_study_file_are_granted_it_by_the_revision(own, tmp_path, tiny_causal, capsys):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_causal)
    adapted = get_peft_model(base, LoraConfig(r=1, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    adapted.peft_config["default"].base_model_name_or_path = str(own)
    adapted.save_pretrained(tmp_path / "adapter")
    export = ["export", str(tmp_path / "adapter"), "--out", str(tmp_path / "out")]
    rows = [{"task": name, "input": f"{name} {n}", "output": str(n % 2)} for name in "ab" for n in range(9)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    init = ["init", str(tmp_path / "rows.json"), "--model", str(own), "--out", str(tmp_path / "s.yaml")]
    for command in ([*export, "--merge"], init):
        assert main(command) == 2
        assert "own, which is not run" in capsys.readouterr().err
        assert main([*command, "--trust-remote-code", "0" * 64]) == 2
        assert f"have the hash {code_hash(own)}" in capsys.readouterr().err
        assert not (tmp_path / "ran").exists()
    assert main([*export, "--trust-remote-code", code_hash(own)]) == 2
    assert "--trust-remote-code is of --merge" in capsys.readouterr().err
    assert main([*export, "--merge", "--trust-remote-code", code_hash(own)]) == 0
    assert (tmp_path / "ran").exists()
    assert main([*init, "--trust-remote-code", code_hash(own)]) == 0
    config = Study.load(tmp_path / "s.yaml").config.learner
    assert (config.trust_remote_code, config.revision) == (True, code_hash(own))


def test_only_the_caller_trusts_the_base_of_an_adapter(own):
    reading = {"trust_remote_code": True, "revision": code_hash(own), "precision": "fp32"}
    saved = SavedModel(own, reading=reading)
    assert not _model_config(saved, EvaluateConfig()).trust_remote_code
    asked = EvaluateConfig(trust_remote_code=True, revision=code_hash(own))
    assert _model_config(saved, asked).trust_remote_code
