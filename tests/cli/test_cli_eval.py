"""Evaluating models from disk by the command: checkpoints, adapters of others, and what was tuned here."""

import csv
import json
import shutil

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cotune.answering import InContextConfig, evaluate_in_context, summarise
from cotune.cli.main import main
from cotune.models import LanguageModel
from cotune.studies.task_files import read_tasks

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")  # of PEFT's own

EXACT = ["--set", "precision=fp32"]


def evaluated(cotune, *arguments):
    """Run the command and return its rows by task and shots."""
    status, out, error = cotune("eval", *arguments, *EXACT, "--json")
    assert status == 0, error
    found = json.loads(out.splitlines()[-1])  # a fixture may have said something before
    return {(row["task"], row["shots"]): row for row in found["rows"]}, found


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, toy, files, one_thread):
    """Tune by a method once; in-context scores with two draws at 0 and 2 shots."""
    folder, done = tmp_path_factory.mktemp("tuned"), {}

    def get(method, *options):
        if method not in done:
            done[method] = folder / method
            others = ["--eval", files["copy"], "--shots", "0,2", "--draws", 2, "--learning-rate", 0.003]
            arguments = ["tune", files["weighted"], "--model", toy, "--out", done[method], "--steps", 4]
            arguments += ["--method", method, *others, *options, *EXACT, "--set", "checkpoint_every=4"]
            assert main([str(argument) for argument in arguments]) == 0
        return done[method]

    return get


def adapter(folder, base, config, *, noise=0.05):
    """Make an adapter with PEFT alone, with random numbers in all of it; return model and folder."""
    torch.manual_seed(0)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += noise * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return model.eval()


@pytest.fixture
def lora(tmp_path, toy):
    """Return a LoRA made by PEFT, and the same model merged into a checkpoint."""
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = adapter(tmp_path / "lora", toy, config, noise=0.3)
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(toy).save_pretrained(tmp_path / "merged")
    return tmp_path / "lora", tmp_path / "merged"


def test_a_checkpoint_scores_as_the_library_says(cotune, toy, files, tmp_path):
    names = ("copy", "max")
    paths = [files[name] for name in names]
    shots = ["--shots", "0,4", "--draws", 2, "--seed", 3]
    rows, found = evaluated(cotune, toy, *paths, *shots, "--csv", tmp_path / "table.csv")
    model = LanguageModel.load(toy, precision="fp32")
    tasks = [task for path in paths for task in read_tasks(path)]
    config = InContextConfig(shots=(0, 4), draws=2)
    expected = summarise(evaluate_in_context(model, model.base, tasks, config, seed=3))
    assert [(row["task"], row["shots"]) for row in found["rows"]] == [(r.task, r.shots) for r in expected]
    for row in expected:
        assert rows[row.task, row.shots]["mean"] == row.mean
        assert rows[row.task, row.shots]["stderr_draws"] == row.stderr_draws
    means = [rows[name, 4]["mean"] for name in names]
    assert found["averages"][1]["mean"] == pytest.approx(sum(means) / 2)
    with (tmp_path / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(line["mean"]) for line in table] == [row["mean"] for row in found["rows"]]
    assert table[0]["stderr_draws"] == ""


def test_all_answers_are_told_and_written(cotune, toy, files, tmp_path):
    paths = [files["copy"], files["max"], files["weighted as likelihood"]]
    file = tmp_path / "answers.jsonl"
    rows, found = evaluated(cotune, toy, *paths, "--shots", "0,2", "--draws", 2, "--save-answers", file)
    answers = [json.loads(line) for line in file.read_text().splitlines()]
    assert answers == found["answers"]
    assert len(answers) == sum(row["n_draws"] * row["n_examples"] for row in rows.values())
    for (task, shots), row in rows.items():
        here = [a for a in answers if (a["task"], a["shots"]) == (task, shots)]
        assert {a["draw"] for a in here} == set(range(row["n_draws"]))
        assert sum(a["score"] for a in here) / len(here) == pytest.approx(row["mean"])
        for answer in here:
            if row["metric"] == "nll":
                assert answer["answer"] is None
            else:
                assert (answer["answer"] in answer["right"]) == (answer["score"] == 1)
    (copy,) = read_tasks(files["copy"])
    asked = [a["input"] for a in answers if (a["task"], a["shots"], a["draw"]) == ("copy", 2, 1)]
    assert asked == [example.input for example in copy["test"]]


def test_the_table(cotune, toy, files):
    options = ["--shots", "1,4", "--draws", 2, "--max-examples", 8]
    status, out, error = cotune("eval", toy, files["copy"], files["max"], *options, *EXACT)
    assert status == 0, error
    lines = out.splitlines()
    assert lines[0].split() == ["task", "metric", "examples", "1-shot", "4-shot"]
    assert [line.split()[0] for line in lines[1:4]] == ["copy", "max", "average"]
    assert lines[1].split()[2] == "8"
    assert lines[1].count("±") == 2
    assert "2 draws of the demonstrations" in lines[4]
    assert "in context: 64 of 64" in error
    assert error.index("64 prompts, about ") < error.index("in context: "), "what it takes is said first"


def test_losses_are_no_part_of_the_average(cotune, toy, files):
    paths = [files["copy as likelihood"], files["max"]]
    rows, found = evaluated(cotune, toy, *paths, "--shots", "2", "--draws", 1)
    assert found["averages"][0]["mean"] == rows["max", 2]["mean"]
    assert "copy: scored with a loss, so no part of the average." in found["notes"]


def test_inputs_that_were_cut_are_said_to_be(cotune, toy, files):
    rows, found = evaluated(
        cotune, toy, files["copy"], "--shots", "2", "--draws", 1, "--set", "max_prompt_tokens=18"
    )
    assert rows["copy", 2]["n_cut"] == 16
    assert "copy, 2-shot: the input of 16 of 16 prompts was cut to fit." in found["notes"]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lora", []),
        ("prefix", ["--set", "method.prefix_length=6"]),
        ("promot", ["--prompt-length", 6, "--prompt-steps", 4, "--prompt-learning-rate", 0.05]),
        ("full", []),
    ],
)
def test_a_tuned_model_scores_as_when_it_was_tuned(cotune, files, tuned, method, options):
    folder = tuned(method, *options)
    paths = [files["weighted"], files["copy"]]
    rows, _ = evaluated(cotune, folder, *paths, "--shots", "0,2", "--draws", 2)
    after = json.loads((folder / "tune.json").read_text())["after"]
    for expected in (after["target"], *after["in_context"]):
        assert rows[expected["task"], expected["shots"]]["mean"] == expected["mean"]
    has_prompt = method in ("prefix", "promot")
    assert rows["weighted", 0]["under_prompt"] == has_prompt
    assert not rows["copy", 0]["under_prompt"]


def test_a_prompt_stands_before_the_tasks_asked_for(cotune, files, tuned, toy):
    folder = tuned("prefix", "--set", "method.prefix_length=6")
    paths = [files["weighted as likelihood"], files["copy as likelihood"]]
    of = {
        which: evaluated(cotune, folder, *paths, "--shots", "0", "--with-prompt", which)[0]
        for which in ("target", "all", "none")
    }
    base, _ = evaluated(cotune, toy, *paths, "--shots", "0")
    means = {which: [row["mean"] for row in rows.values()] for which, rows in {**of, "base": base}.items()}
    assert means["none"] == means["base"]
    assert means["target"][0] == means["all"][0] != means["none"][0]
    assert means["target"][1] == means["none"][1] != means["all"][1]


def test_a_lora_of_peft_scores_as_the_merged_model(cotune, files, lora, toy):
    options = [files["copy as likelihood"], "--shots", "0,2", "--draws", 1]
    rows, merged = (evaluated(cotune, folder, *options)[0] for folder in lora)
    base, _ = evaluated(cotune, toy, *options)
    for place, row in rows.items():
        assert row["mean"] == pytest.approx(merged[place]["mean"], abs=1e-5)
        assert abs(row["mean"] - base[place]["mean"]) > 1e-3


@pytest.mark.parametrize("kind", [peft.PromptTuningConfig, peft.PrefixTuningConfig])
def test_prompts_of_peft_score_as_in_peft(cotune, files, tmp_path, toy, kind):
    model = adapter(tmp_path / "soft", toy, kind(task_type="CAUSAL_LM", num_virtual_tokens=5), noise=0.3)
    tokenizer = AutoTokenizer.from_pretrained(toy)
    options = [files["copy as likelihood"], "--shots", "0"]
    status, _, error = cotune("eval", tmp_path / "soft", *options)
    assert status == 2
    assert "does not say which task" in error
    rows, _ = evaluated(cotune, tmp_path / "soft", *options, "--with-prompt", "all")
    (task,) = read_tasks(files["copy as likelihood"])
    losses = []
    for example in task["test"]:
        prompt = tokenizer(example.input)["input_ids"]
        whole = [*tokenizer(f"{example.input} {example.targets[0]}")["input_ids"], tokenizer.eos_token_id]
        labels = torch.tensor([[-100] * len(prompt) + whole[len(prompt) :]])
        with torch.no_grad():
            losses.append(model(input_ids=torch.tensor([whole]), labels=labels).loss.item())
    assert rows["copy", 0]["mean"] == pytest.approx(sum(losses) / len(losses), abs=1e-4)


def test_the_parts_of_a_tuned_folder_are_models_too(cotune, files, tuned):
    folder = tuned("promot", "--prompt-length", 6, "--prompt-steps", 4, "--prompt-learning-rate", 0.05)
    options = [files["weighted as likelihood"], "--shots", "0"]
    whole = evaluated(cotune, folder, *options)[0]
    weights = evaluated(cotune, folder / "weights", *options)[0]
    prompted = evaluated(cotune, folder / "prompt", *options, "--with-prompt", "all")[0]
    without = evaluated(cotune, folder, *options, "--with-prompt", "none")[0]
    assert prompted["weighted", 0]["mean"] == whole["weighted", 0]["mean"]
    assert weights["weighted", 0]["mean"] == without["weighted", 0]["mean"]


def test_a_base_that_moved_is_named_and_another_one_refused(cotune, files, tmp_path, toy):
    shutil.copytree(toy, tmp_path / "base")
    out, task = tmp_path / "out", files["copy"]
    arguments = ["--model", tmp_path / "base", "--out", out, "--method", "lora", "--steps", 2, *EXACT]
    assert cotune("tune", task, *arguments)[0] == 0
    options = [task, "--shots", "0"]
    here, _ = evaluated(cotune, out, *options)
    (tmp_path / "base").rename(tmp_path / "moved")
    status, _, error = cotune("eval", out, *options)
    assert status == 2
    assert "give its place with --model" in error
    there, _ = evaluated(cotune, out, *options, "--model", tmp_path / "moved")
    assert here == there
    other = AutoModelForCausalLM.from_pretrained(tmp_path / "moved")
    other.lm_head.weight.data += 0.01
    other.save_pretrained(tmp_path / "moved")
    status, _, error = cotune("eval", out, *options, "--model", tmp_path / "moved")
    assert status == 2
    assert "was tuned on another base than" in error


def thinner(tmp_path, toy):
    """Make a checkpoint of the toy language with another number of layers."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(toy)
    config.num_hidden_layers = 2
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "thin")
    AutoTokenizer.from_pretrained(toy).save_pretrained(tmp_path / "thin")
    return tmp_path / "thin"


@pytest.mark.parametrize(
    ("kind", "which"),
    [
        ("LORA", "narrow"),
        ("LORA", "thin"),
        ("PREFIX_TUNING", "narrow"),
        ("PREFIX_TUNING", "thin"),
        ("PROMPT_TUNING", "narrow"),
    ],
)
def test_an_adapter_of_another_base(cotune, files, tmp_path, toy, tiny_causal, kind, which):
    config = {
        "LORA": peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"),
        "PROMPT_TUNING": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
        "PREFIX_TUNING": peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    }[kind]
    adapter(tmp_path / "adapter", toy, config)
    other = tiny_causal if which == "narrow" else thinner(tmp_path, toy)
    prompt = [] if kind == "LORA" else ["--with-prompt", "all"]
    status, out, error = cotune("eval", tmp_path / "adapter", files["copy"], "--model", other, *prompt)
    assert status == 2
    assert "is for another base than" in error.splitlines()[-1]
    assert not out


def few(files, tmp_path):
    folder = tmp_path / "few"
    shutil.copytree(files["copy"].parent / "copy", folder)
    lines = (folder / "train.jsonl").read_text().splitlines()[:3]
    (folder / "train.jsonl").write_text("\n".join(lines))
    return ["{toy}", folder, "--shots", "4"]


def foreign_record(files, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "tune.json").write_text("{}")
    return [tmp_path / "foreign", files["copy"]]


def odd_adapter(files, tmp_path):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "adapter_config.json").write_text('{"peft_type": "P_TUNING"}')
    return [tmp_path / "odd", files["copy"]]


def broken_record(files, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tune.json").write_text("{")
    return [tmp_path / "broken", files["copy"]]


MISTAKES = {
    "few shots": (few, ["few", "3 training examples", "4 shots"]),
    "long demonstrations": (
        ["{toy}", "{copy}", "--shots", "12", "--set", "max_prompt_tokens=20"],
        ["copy with 12 demonstrations", "max_prompt_tokens"],
    ),
    "missing folder": (["./nowhere", "{copy}"], ["nowhere", "does not exist"]),
    "missing task": (["{toy}", "nothing.jsonl"], ["nothing.jsonl", "does not exist"]),
    "one task twice": (["{toy}", "{copy}", "{copy}"], ["'copy'", "name of its own"]),
    "no shots": (["{toy}", "{copy}", "--shots", "a"], ["--shots", "'a'"]),
    "shots twice": (["{toy}", "{copy}", "--shots", "1,1"], ["shots", "[1, 1]"]),
    "unknown setting": (["{toy}", "{copy}", "--set", "beams=4"], ["did you mean 'num_beams'?"]),
    "no prompt": (["{toy}", "{copy}", "--with-prompt", "all"], ["has no soft prompt"]),
    "no adapter": (["{toy}", "{copy}", "--model", "{toy}"], ["--model is for adapters"]),
    "another kind of adapter": (odd_adapter, ["P_TUNING"]),
    "foreign record": (foreign_record, ["tune.json", "lacks base"]),
    "broken record": (broken_record, ["tune.json", "JSON"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_cost_one_sentence(mistake, cotune, files, toy, tmp_path):
    arguments, expected = MISTAKES[mistake]
    if callable(arguments):
        arguments = arguments(files, tmp_path)
    arguments = [str(a).format(toy=toy, copy=files["copy"]) for a in arguments]
    status, out, error = cotune("eval", *arguments, "--csv", tmp_path / "table.csv")
    assert status == 2, error
    *said, sentence = error.splitlines()  # what data is read as goes before
    assert all(line.startswith("few: ") for line in said)
    assert sentence.startswith("error: ")
    for part in expected:
        assert part in sentence
    assert not out
    assert not (tmp_path / "table.csv").exists()
