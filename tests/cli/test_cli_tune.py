"""Tuning a model by the command: what lies on disk loads elsewhere, and mistakes cost one sentence."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file

from cotune.cli.main import main
from cotune.lab.toy_language import toy_tasks
from cotune.studies.task_files import read_tasks
from cotune.tasks import format_prompt
from cotune.training.methods import METHODS

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")  # of PEFT's own

RATE = ["--learning-rate", 0.003]
SHORT = ["--steps", 4, "--set", "precision=fp32", "--set", "checkpoint_every=2"]
PROMPT = ["--prompt-length", 6, "--prompt-learning-rate", 0.05]
STAGES = [*PROMPT, "--prompt-steps", 4]
TEXT = {"text.source": "toy_language", "pack": "false", "seq_len": 32, "ratio": 0.5}
OTHERS = [word for key, value in TEXT.items() for word in ("--set", f"method.others.{key}={value}")]
CHECKPOINTS = {
    "full": [],
    "value_only": [],
    "dft": [],
    "kl_to_base": OTHERS,
    "self_distillation": OTHERS,
    "replay": OTHERS,
    "wise_ft": [],
}
"""What leaves a checkpoint of its own; the rest leaves adapters."""
CASES = {
    **CHECKPOINTS,
    "lora": [],
    "lora_first": ["--set", "method.first_steps=4", "--set", "method.lora.r=4"],
    "prompt": STAGES,
    "prefix": ["--set", "method.prefix_length=6"],
    "joint": PROMPT[:2],
    "random_prompt": PROMPT[:2],
    "promot": STAGES,
    "promot --weights lora": STAGES,
}


def tune(file, model, out, case, *more):
    rate = [] if case == "prompt" else RATE  # it has one of its own
    options = [*CASES[case], *SHORT, *rate, *more]
    return ["tune", file, "--model", model, "--out", out, "--method", *case.split(), *options]


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def record(folder):
    return json.loads((folder / "tune.json").read_text())


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, toy, files, one_thread):
    """Tune by every method once, when it is first asked for."""
    folder, done = tmp_path_factory.mktemp("tuned"), {}

    def get(case):
        if case not in done:
            done[case] = folder / case.replace(" ", "")
            arguments = tune(files["weighted as likelihood"], toy, done[case], case)
            assert main([str(argument) for argument in arguments]) == 0
        return done[case]

    return get


def test_every_method_is_put_to_these_tests():
    assert {case.split()[0] for case in CASES} == set(METHODS)


def plain_nll(model, tokenizer):
    """Return the mean negative log-likelihood of the test targets by a model that needs no cotune."""
    (task,) = toy_tasks(["weighted"], test=16)
    losses = []
    for example in task["test"]:
        prompt = format_prompt(task.instruction, example.input, example.choices, format=task.format)
        n_prompt = len(tokenizer(prompt)["input_ids"])
        ids = [*tokenizer(f"{prompt} {example.targets[0]}")["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0]
        logits = logits[-len(ids) :]  # a soft prompt has columns of its own
        rest = torch.nn.functional.cross_entropy(logits[n_prompt - 1 : -1], torch.tensor(ids[n_prompt:]))
        losses.append(rest.item())
    return sum(losses) / len(losses)


@pytest.mark.parametrize("case", CASES)
def test_the_card_says_how_to_load_it_and_it_scores_as_it_says(case, tuned, monkeypatch):
    folder = tuned(case)
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert not re.search("(import|from) cotune", code)
    monkeypatch.chdir(folder)
    loaded = {}
    exec(code, loaded)
    model, found = loaded["model"].eval(), record(folder)
    assert isinstance(model, peft.PeftModel) == (case not in CHECKPOINTS)
    assert plain_nll(model, loaded["tokenizer"]) == pytest.approx(found["after"]["target"]["mean"], abs=1e-4)
    first, *_, best = sorted(
        c["score"] for c in found["checkpoints"] if c["stage"] in list(found["best"])[-1:]
    )
    assert first < best == list(found["best"].values())[-1]["score"]


def test_an_encoder_decoder_model(cotune, tiny_seq2seq, tmp_path, monkeypatch):
    rows = [{"input": f"say {i}", "target": "one two"[i % 2 :]} for i in range(20)]
    (tmp_path / "say.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    nll = ["--set", "task.metric=nll", "--set", "task.format=plain"]
    arguments = tune(tmp_path / "say.jsonl", tiny_seq2seq, tmp_path / "out", "promot", *nll)
    status, _, error = cotune(*arguments)
    assert status == 0, error
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path / "out")
    loaded = {}
    exec(code, loaded)
    model, tokenizer, losses = loaded["model"].eval(), loaded["tokenizer"], []
    (task,) = read_tasks(tmp_path / "say.jsonl", options={"format": "plain"})
    for example in task["test"]:
        ids = torch.tensor([tokenizer(example.input)["input_ids"]])
        labels = torch.tensor([[*tokenizer(example.targets[0])["input_ids"], tokenizer.eos_token_id]])
        with torch.no_grad():
            losses.append(model(input_ids=ids, labels=labels).loss.item())
    after = record(tmp_path / "out")["after"]["target"]["mean"]
    assert sum(losses) / len(losses) == pytest.approx(after, abs=1e-4)


def test_before_and_after_are_told_and_written(cotune, toy, files, tmp_path):
    others = ["--eval", files["copy"], "--eval", files["max"], "--shots", "4", "--draws", 2]
    status, out, error = cotune(*tune(files["weighted"], toy, tmp_path / "out", "promot", *others))
    assert status == 0, error
    found = record(tmp_path / "out")
    rows = [line.split() for line in out.splitlines()]
    assert ["task", "metric", "shots", "before", "after"] in rows
    for when, other in zip(found["before"]["in_context"], found["after"]["in_context"], strict=True):
        assert (when["task"], when["shots"], when["n_draws"]) == (other["task"], 4, 2)
        assert any(row[:3] == [when["task"], "exact_match", "4"] for row in rows)
    assert when["mean"] > 0.5
    assert "it keeps" in out
    assert "prompt, step 4: validation" in error
    cost = error.index(" of processor time: ")
    assert cost < error.index("before: target"), "what it takes is said first"
    assert " steps, " in error[cost:].splitlines()[0]
    assert "weights: 4 of 4, loss" in error
    card = (tmp_path / "out" / "README.md").read_text()
    for part in ("license: unknown", "type: accuracy", "## Licence", found["target"]["fingerprint"][:16]):
        assert part in card
    assert found["base_fingerprint"] in card
    assert not list((tmp_path / "out").glob("*/README.md"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_the_last_stage_changed_is_told_and_written(cotune, toy, files, tmp_path):
    others = ["--eval", files["copy"], "--shots", "1", "--draws", 1]
    status, out, error = cotune(*tune(files["weighted"], toy, tmp_path / "out", "promot", *others))
    assert status == 0, error
    found = record(tmp_path / "out")
    change = found["change"]
    assert change["moved"]
    assert not found["nothing_tuned"]
    assert 0 < change["weights"] < 1
    assert change["kl_target"] > 0 < change["kl_other"]
    (line,) = [line for line in out.splitlines() if line.startswith("The last stage changed the weights by ")]
    assert f"{100 * change['weights']:.3g} %; on the target a divergence" in line
    assert line in (tmp_path / "out" / "README.md").read_text()
    assert found["best"]["weights"]["step"] > 0
    assert {task: len(answers) for task, answers in found["answers"].items()} == {"weighted": 3, "copy": 3}
    assert all(set(a) == {"input", "gold", "before", "after"} for a in found["answers"]["copy"])
    assert {a["after"] for a in found["answers"]["weighted"]} <= {"T", "F"}


def test_an_adapter_that_nothing_was_done_to_is_no_success(cotune, toy, files, tmp_path):
    others = ["--eval", files["copy"], "--shots", "1", "--draws", 1]
    for case in ("lora", "promot"):
        arguments = tune(files["weighted"], toy, tmp_path / case, case, *others)
        arguments[arguments.index("--learning-rate") + 1] = 1e-30
        status, out, error = cotune(*arguments)
        assert status == 0, error
        found = record(tmp_path / case)
        assert found["nothing_tuned"]
        assert not found["change"]["moved"]
        for text in (out, (tmp_path / case / "README.md").read_text()):
            assert "Nothing was tuned: the last stage left every weight" in text
            assert "it keeps" not in text
    assert "What the last stage began with reaches" in out


def test_a_prompt_without_a_learning_rate_takes_one_that_suits_the_model(cotune, toy, files, tmp_path):
    arguments = tune(files["weighted as likelihood"], toy, tmp_path / "out", "prompt")
    at = arguments.index("--prompt-learning-rate")
    asked = arguments[:at] + arguments[at + 2 :]
    status, _, error = cotune(*asked)
    assert status == 0, error
    embeddings = load_file(Path(toy) / "model.safetensors")["model.embed_tokens.weight"]
    rate = record(tmp_path / "out")["config"]["method"]["prompt_learning_rate"]
    assert rate == float(f"{0.1 * embeddings.square().mean().sqrt().item():.2g}")
    assert f"at a learning rate of {rate:g}, a tenth of the size of the model's embeddings" in error
    assert "finished already" in cotune(*asked)[2]
    assert cotune(*arguments)[0] == 2  # one that was given is another run's


def test_a_prompt_alone_leaves_the_other_tasks_as_they_were(cotune, toy, files, tmp_path):
    arguments = tune(files["weighted"], toy, tmp_path / "out", "prompt", "--eval", files["copy"])
    assert cotune(*arguments, "--shots", "1", "--draws", 1)[0] == 0
    found = record(tmp_path / "out")
    assert found["before"]["in_context"] == found["after"]["in_context"]


def test_json(cotune, toy, files, tmp_path):
    status, out, _ = cotune(*tune(files["weighted"], toy, tmp_path / "out", "lora", "--json"))
    assert status == 0
    *events, last = map(json.loads, out.splitlines())
    assert [e["step"] for e in events if e["event"] == "checkpoint"] == [0, 2, 4]
    assert last["event"] == "done"
    assert {k: v for k, v in last.items() if k not in ("event", "folder")} == record(tmp_path / "out")


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(cotune, toy, files, tmp_path, tuned):
    arguments = tune(files["weighted as likelihood"], toy, tmp_path / "out", "promot")
    command = [sys.executable, "-m", "cotune", *map(str, arguments), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "checkpoint" and (event["stage"], event["step"]) == ("weights", 2):
                process.kill()
                break
    assert not (tmp_path / "out").exists()
    other = tune(files["weighted as likelihood"], toy, tmp_path / "out", "promot", "--seed", 1)
    status, _, error = cotune(*other)
    assert status == 2
    assert "remove it or name another folder" in error
    status, _, error = cotune(*arguments)
    assert status == 0, error
    assert "weights, step 0" not in error
    assert contents(tmp_path / "out") == contents(tuned("promot"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_finished_run_is_not_done_again_and_another_is_refused(cotune, toy, files, tuned, capsys):
    folder, file = tuned("lora"), files["weighted as likelihood"]
    capsys.readouterr()
    before = contents(folder)
    status, out, error = cotune(*tune(file, toy, folder, "lora"))
    assert status == 0
    assert "finished already" in error
    assert "step" not in error
    assert "weighted (target)" in out
    status, _, error = cotune(*tune(file, toy, folder, "lora", "--seed", 3))
    assert status == 2
    assert "holds a model of another run; name another with --out" in error
    assert contents(folder) == before


def test_a_finished_model_without_checksums_gets_them(cotune, toy, files, tuned, tmp_path):
    folder = shutil.copytree(tuned("lora"), tmp_path / "copy")
    before = contents(folder)
    (folder / "SHA256SUMS").unlink()
    status, _, error = cotune(*tune(files["weighted as likelihood"], toy, folder, "lora"))
    assert status == 0
    assert "had no SHA256SUMS; it has now, of what is there" in error
    assert contents(folder) == before


def test_a_folder_of_something_else_is_refused(cotune, toy, files, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    status, _, error = cotune(*tune(files["weighted"], toy, tmp_path / "out", "lora"))
    assert status == 2
    assert "holds files of something else" in error
    assert contents(tmp_path) == {"out/thesis.tex": b"years of work"}


@pytest.mark.parametrize("command", ["tune", "eval"])
def test_help_needs_no_torch(command):
    code = f"import sys; from cotune.cli.main import main; main(['{command}', '--help']); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_path_of_several_tasks_names_none_to_tune_on(cotune, toy, files, tmp_path):
    arguments = tune(files["weighted"].parent, toy, tmp_path / "out", "lora")
    status, _, error = cotune(*arguments)
    assert status == 2
    assert "a model is tuned on one of a path; name the file of each" in error


@pytest.mark.parametrize("case", ["promot", "prompt", "lora"])
def test_several_tasks_are_tuned_on_together(case, cotune, toy, files, tmp_path, monkeypatch):
    command, *rest = tune(
        files["weighted"], toy, tmp_path / "out", case, "--eval", files["max"], "--shots", "1"
    )
    status, out, error = cotune(command, files["copy"], *rest, "--draws", 1)
    assert status == 0, error
    found = record(tmp_path / "out")
    assert [target["name"] for target in found["targets"]] == ["copy", "weighted"]
    assert found["target"] == found["targets"][0]
    assert [row["task"] for row in found["after"]["targets"]] == ["copy", "weighted"]
    assert found["config"]["training"]["tasks_per_batch"] == 2
    assert set(found["instructions"]) == {"copy", "weighted"}
    assert "copy (target)" in out
    assert "weighted (target)" in out
    if case != "lora":
        assert "The stage of the prompts takes 8 steps, twice 4, since those of 2 tasks" in error
        assert found["config"]["method"]["prompts"] == "per_task"
        home = tmp_path / "out" / ("prompt" if case == "promot" else "")
        assert {path.parent.name for path in home.glob("*/adapter_model.safetensors")} == {"copy", "weighted"}
    exact = ["--shots", "0", "--draws", 1, "--set", "precision=fp32", "--json"]
    status, out, error = cotune("eval", tmp_path / "out", files["copy"], files["weighted"], *exact)
    assert status == 0, error
    assert [row["mean"] for row in json.loads(out)["rows"]] == [
        row["mean"] for row in found["after"]["targets"]
    ]
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path / "out")
    exec(code, {})


def test_in_a_sequence_a_checkpoint_is_chosen_by_the_tasks_seen_so_far(cotune, toy, files, tmp_path):
    order = ["--set", "method.order=sequence"]
    command, *rest = tune(files["copy as likelihood"], toy, tmp_path / "both", "promot", *order)
    status, _, error = cotune(command, files["weighted as likelihood"], *rest)
    assert status == 0, error
    assert "twice" not in error, "in a sequence every task has its own first stage"
    alone = tune(files["weighted as likelihood"], toy, tmp_path / "one", "promot")
    assert cotune(*alone)[0] == 0
    both, one = record(tmp_path / "both"), record(tmp_path / "one")
    stages = list(both["best"])
    assert stages == ["prompt weighted", "weights weighted", "prompt copy", "weights copy"]
    of_first = [c["score"] for c in both["checkpoints"] if c["stage"] == "prompt weighted"]
    assert of_first == [c["score"] for c in one["checkpoints"] if c["stage"] == "prompt"], "copy is not asked"
    last = both["best"]["weights copy"]
    assert last["score"] == max(
        c["score"] for c in both["checkpoints"] if c["stage"] == "weights copy" and c["step"]
    )


def test_tasks_whose_metrics_point_apart_have_no_mean(cotune, toy, files, tmp_path):
    command, *rest = tune(files["copy as likelihood"], toy, tmp_path / "out", "lora")
    status, _, error = cotune(command, files["weighted"], *rest)
    assert status == 2
    assert "metrics must have one direction, got weighted accuracy, copy nll" in error


def untrainable(tmp_path, files):
    file = tmp_path / "odd.jsonl"
    file.write_text("".join(f'{{"input": "{i} 1 2 >", "target": "é"}}\n' for i in range(10)))
    return {"file": file}


def few(tmp_path, files):
    folder = tmp_path / "few"
    shutil.copytree(files["copy"].parent / "copy", folder)
    lines = (folder / "train.jsonl").read_text().splitlines()[:3]
    (folder / "train.jsonl").write_text("\n".join(lines))
    return {"options": ["--eval", folder, "--shots", "4"]}


def same_name(tmp_path, files):
    return {"options": ["--eval", files["weighted"]]}


MISTAKES = {
    "unknown method": ({"method": "promott"}, ["'promott'", "did you mean 'promot'?"]),
    "unknown setting": ({"options": ["--set", "training.leaning_rate=1"]}, ["did you mean 'learning_rate'?"]),
    "unknown preset": ({"options": ["--preset", "paper"]}, ["'paper' is not a preset"]),
    "unknown reader": ({"options": ["--reader", "json"]}, ["did you mean 'jsonl'?"]),
    "no setting": ({"options": ["--set", "training"]}, ["key=value"]),
    "no numbers": ({"options": ["--shots", "one"]}, ["--shots", "'one'"]),
    "no weights to tune": ({"method": "lora", "options": ["--weights", "full"]}, ["method.weights"]),
    "long prompt": ({"options": ["--prompt-length", 600]}, ["600", "512"]),
    "long prefix": ({"method": "prefix", "options": ["--set", "method.prefix_length=512"]}, ["512"]),
    "nothing left for inputs": ({"options": ["--prompt-length", 509]}, ["weighted", "context of 512"]),
    "matrices that are not there": (
        {"method": "lora", "options": ["--set", "method.target_modules=[q_proj, wq]"]},
        ["'wq'"],
    ),
    "untrainable labels": (untrainable, ["odd", "tokenises to nothing"]),
    "long demonstrations": (
        {"options": ["--demonstrations", 12, "--set", "max_prompt_tokens=40"]},
        ["weighted", "max_prompt_tokens"],
    ),
    "few demonstrations": ({"options": ["--demonstrations", 99]}, ["weighted", "99"]),
    "few shots": (few, ["few", "3 training examples", "4 shots"]),
    "the target twice": (same_name, ["weighted", "name of its own"]),
    "missing model": ({"model": "./nowhere"}, ["nowhere", "does not exist"]),
    "missing task": ({"file": "nothing.jsonl"}, ["nothing.jsonl", "does not exist"]),
    "no task file": ({"file": "notes.txt"}, ["notes.txt", "reader"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_cost_one_sentence_and_nothing_is_written(
    mistake, cotune, toy, files, tmp_path, monkeypatch
):
    made, expected = MISTAKES[mistake]
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    (inside / "notes.txt").write_text("nothing to learn")
    change = {"method": "promot", "file": files["weighted"], "model": toy, "options": []}
    change |= made(inside, files) if callable(made) else made
    prompt = [] if change["method"] in ("lora", "prefix", "promott") else PROMPT
    before = contents(tmp_path)
    status, out, error = cotune(
        *("tune", change["file"], "--model", change["model"], "--out", inside / "out"),
        *("--method", change["method"], *SHORT, *RATE, *prompt, *change["options"]),
    )
    assert status == 2, error
    assert error.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in error
    for part in expected:
        assert part in error.splitlines()[-1]
    assert not out
    assert contents(tmp_path) == before
    assert not list(inside.glob("out*"))


def test_a_model_that_brings_code_is_refused_whatever_stands_on_standard_input(toy, files, tmp_path):
    model, ran = shutil.copytree(toy, tmp_path / "model"), tmp_path / "ran"
    (model / "own.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n")
    config = json.loads((model / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (model / "config.json").write_text(json.dumps(config))
    command = ["-m", "cotune", *map(str, tune(files["copy"], model, tmp_path / "out", "full"))]
    done = subprocess.run([sys.executable, *command], input="yes\n" * 100, capture_output=True, text=True)
    assert done.returncode == 2
    assert "comes with code of its own, which is not run" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not ran.exists()
