"""Exports: renamed, merged, listed for vLLM, pushed; what is written loads without cotune, scores alike."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
import torch
import yaml

from cotune.evaluation.saved_model import find_saved_model
from cotune.exceptions import InputError
from cotune.models import LanguageModel
from cotune.studies.engine import write_artefact_record
from cotune.studies.exporting import export
from cotune.studies.model_card import CardScore, front_matter, loading_code, write_card
from cotune.tasks import format_prompt, format_target
from cotune.training.methods import Lora, Promot


@pytest.fixture(scope="module")
def model(tiny_causal):
    torch.set_num_threads(1)
    return LanguageModel.load(tiny_causal, precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def examples(model):
    pairs = [("red", "red green"), ("one two", "two one")]
    return [
        model.encoder.encode(lambda text: format_prompt("Copy.", text), a, format_target(b)) for a, b in pairs
    ]


def keep(method, model, folder, tasks=("copy",), seed=0):
    """Leave a model with numbers of its own, as a study does; return it under the method, not taken off."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    with method.attach(model, tasks) as attached:
        with torch.no_grad():
            for parameter in attached.parameters:
                parameter += 0.05 * torch.randn_like(parameter)
        attached.save(folder, model.tokenizer)
    write_artefact_record(folder, {"run": "key", "tasks": list(tasks), "reading": {"max_prompt_tokens": 99}})


@pytest.fixture(scope="module")
def study(model, tmp_path_factory):
    """A study's folder with two adapters, and one of an unfinished write."""
    folder = tmp_path_factory.mktemp("study")
    keep(Lora(r=4), model, folder / "adapters" / "group-0", ("copy", "swap"))
    keep(Lora(r=12), model, folder / "adapters" / "group-1", ("last",), 1)
    (folder / "adapters" / ".group-1.x").mkdir()
    (folder / "study.json").write_text("{}")
    return folder


def loaded(folder, monkeypatch):
    """Run the code of a card in its folder."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert "cotune" not in code
    monkeypatch.chdir(folder)
    names = {}
    exec(code, names)
    return names["model"].eval()


def test_a_study_becomes_adapters_that_vllm_and_peft_take(study, model, examples, tmp_path, monkeypatch):
    found = export(study, tmp_path / "served", names={"group-0": "pairs"})
    assert [one.name for one in found.models] == ["pairs", "group-1"]
    tasks = json.loads((tmp_path / "served" / "tasks.json").read_text())
    assert tasks == {"copy": "pairs", "swap": "pairs", "last": "group-1"}
    lines = (tmp_path / "served" / "lora-modules.txt").read_text().splitlines()
    assert lines == [f"{name}={tmp_path / 'served' / name}" for name in ("pairs", "group-1")]
    base = model.base.config.name_or_path
    assert found.vllm == (
        f"vllm serve {base} --enable-lora --max-lora-rank 16 --max-loras 2 --lora-modules {' '.join(lines)}"
    )
    assert not found.address
    for one in found.models:
        ours = loaded(one.source, monkeypatch) if (one.source / "README.md").is_file() else None
        assert ours is None
        saved = find_saved_model(str(one.folder))
        assert saved.reading == {"max_prompt_tokens": 99}
        losses = model.nll(loaded(one.folder, monkeypatch), examples)
        assert np.abs(losses - model.nll(model.base, examples)).max() > 1e-3
        assert (one.folder / "tokenizer.json").is_file()
        assert (one.folder / "README.md").read_text().count(f"# {one.name}\n") == 1


def test_a_merged_model_is_one_that_transformers_loads_and_scores_the_same(
    study, model, examples, tmp_path, monkeypatch
):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    found = export(study, tmp_path / "whole", merged=True)
    assert found.vllm is None
    assert not (tmp_path / "whole" / "lora-modules.txt").exists()
    for one in found.models:
        base = AutoModelForCausalLM.from_pretrained(one.base)
        adapted = PeftModel.from_pretrained(base, one.source).eval()
        expected = model.nll(adapted, examples)
        whole = loaded(one.folder, monkeypatch)
        assert type(whole).__name__ == "LlamaForCausalLM"
        np.testing.assert_allclose(model.nll(whole, examples), expected, atol=1e-5)
        assert find_saved_model(str(one.folder)).base == one.folder
        assert any("merged into weights of float32" in note for note in found.notes)


def test_a_base_in_half_precision_stays_so_when_merged(tiny_causal, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    half = AutoModelForCausalLM.from_pretrained(tiny_causal).to(torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    AutoTokenizer.from_pretrained(tiny_causal).save_pretrained(tmp_path / "half")
    base = LanguageModel.load(tmp_path / "half", precision="fp32", device="cpu")
    keep(Lora(), base, tmp_path / "adapter")
    found = export(tmp_path / "adapter", tmp_path / "out", merged=True, names="half-merged")
    merged = AutoModelForCausalLM.from_pretrained(found.models[0].folder, dtype="auto")
    assert merged.dtype == torch.bfloat16
    weight = merged.model.layers[0].self_attn.q_proj.weight
    assert not torch.equal(weight, half.model.layers[0].self_attn.q_proj.weight)
    assert found.notes == ("half-merged: merged into weights of bfloat16",)


def test_a_soft_prompt_goes_beside_the_merged_weights(model, examples, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    keep(Promot(prompt_length=3, weights={"name": "lora"}), model, tmp_path / "both")
    found = export(tmp_path / "both", tmp_path / "out", merged=True)
    assert "its soft prompt, for those of copy, is in prompt/" in found.notes[0]
    saved = find_saved_model(str(found.models[0].folder))
    assert (saved.base, saved.prompt) == (found.models[0].folder, found.models[0].folder / "prompt")
    alone = AutoModelForCausalLM.from_pretrained(saved.base)
    assert PeftModel.from_pretrained(alone, saved.prompt).peft_config["default"].num_virtual_tokens == 3


def test_the_card_of_a_source_goes_along_under_the_new_name(model, tmp_path, monkeypatch):
    keep(Lora(), model, tmp_path / "old")
    scores = [CardScore("copy", "nll", 1.5)]
    head = front_matter(tmp_path / "old", "org/base", name="old", tags=["x"], scores=scores)
    code = loading_code(tmp_path / "old", "org/base", seq2seq=False)
    write_card(tmp_path / "old", [head, "# old\n\nTuned.", f"```python\n{code}\n```", "## Data"])
    found = export(tmp_path / "old", tmp_path / "out", merged=True, names="new")
    card = (found.models[0].folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert (front["library_name"], front["model-index"][0]["name"]) == ("transformers", "new")
    assert front["model-index"][0]["results"][0]["metrics"][0]["value"] == 1.5
    assert "# new\n\nTuned." in card
    assert "## Data" in card
    assert "PeftModel" not in card
    assert type(loaded(found.models[0].folder, monkeypatch)).__name__ == "LlamaForCausalLM"


def test_what_vllm_does_not_serve_is_left_out_of_its_list_and_said(model, tmp_path):
    keep(Lora(use_dora=True), model, tmp_path / "s" / "adapters" / "group-0")
    keep(Lora(rank_pattern={"v_proj": 2}), model, tmp_path / "s" / "adapters" / "group-1")
    found = export(tmp_path / "s", tmp_path / "out")
    assert found.vllm is None
    assert not (tmp_path / "out" / "lora-modules.txt").exists()
    said = [note for note in found.notes if "not among the modules for vLLM" in note]
    assert ["DoRA" in said[0], "a rank_pattern" in said[1]] == [True, True]


def test_another_name_of_the_base_is_written_into_the_adapters(study, tiny_causal, tmp_path):
    (tmp_path / "moved").symlink_to(tiny_causal)
    found = export(study, tmp_path / "out", base=str(tmp_path / "moved"))
    for one in found.models:
        config = json.loads((one.folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == one.base == str(tiny_causal)


WRONG = {
    "no folder": ({"source": "nowhere"}, "nowhere is no folder of a study or a model"),
    "no model": ({"source": "."}, "holds neither a study's models nor a model"),
    "one name for two": ({"names": "x"}, r"One name for 2 models; .* group-0=x"),
    "no such model": ({"names": {"group-7": "x"}}, "no model called 'group-7'; there are group-0, group-1"),
    "the same twice": ({"names": {"group-0": "group-1"}}, "Two models would have one name: group-1, group-1"),
    "a path": ({"names": {"group-0": "../x"}}, "'../x' cannot name a model"),
    "a blank": ({"names": {"group-0": "a b"}}, "'a b' cannot name a model"),
    "no hub": (
        {"push_to": "someone/something"},
        "The hub does not take someone/something: .*nothing was exported",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_done_is_told_and_nothing_is_written(case, study, tmp_path, monkeypatch):
    options, sentence = WRONG[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        export(
            options.get("source", study),
            tmp_path / "out",
            **{k: v for k, v in options.items() if k != "source"},
        )
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_stays(study, tmp_path):
    (tmp_path / "precious").write_text("kept")
    with pytest.raises(InputError, match="is there already and holds something"):
        export(study, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as takes a folder."""

    seen: ClassVar[list] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.path, body))
        answer = {}
        if self.path.endswith("/repos/create"):
            answer = {"url": f"http://{self.headers['Host']}/someone/served", "name": "someone/served"}
        elif "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            answer = {"files": files}
        elif "/commit/" in self.path:
            commit = f"http://{self.headers['Host']}/someone/served/commit/{'0' * 40}"
            answer = {"commitUrl": commit, "commitOid": "0" * 40, "success": True}
        self._say(answer)

    def do_GET(self):
        self._say({"name": "someone", "id": "someone/served", "siblings": []})

    def _say(self, answer):
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def test_all_of_it_is_pushed_where_that_is_asked(study, tmp_path):
    Hub.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    environment = {
        **os.environ,
        "HF_ENDPOINT": address,
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_x",
        "HF_HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "cotune", "export", str(study), "--out", str(tmp_path / "out")]
    try:
        done = subprocess.run(
            [*command, "--push", "someone/served"], env=environment, capture_output=True, text=True
        )
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert f"pushed to {address}/someone/served" in done.stdout
    created = next(json.loads(body) for path, body in Hub.seen if path.endswith("/repos/create"))
    assert created.get("private") or created.get("visibility") == "private"
    (commit,) = [body for path, body in Hub.seen if "/commit/" in path]
    sent = {json.loads(line)["value"].get("path") for line in commit.splitlines()}
    files = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert files <= sent
