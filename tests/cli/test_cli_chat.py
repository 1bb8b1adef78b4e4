"""`format: chat` by the commands: what is trained in it is asked in it, and the run says so."""

import json
import shutil

import pytest
import yaml
from transformers import AutoTokenizer

from cotune.studies import Study

EXACT = ["--set", "precision=fp32"]
SHORT = ["--method", "lora", "--steps", 4, "--set", "checkpoint_every=4", "--learning-rate", 0.01, *EXACT]
TEMPLATE = (
    "{% for turn in messages %}{% if turn['role'] == 'user' %}{{ turn['content'] }}"
    "{% elif turn['role'] == 'system' %}{{ turn['content'] + ' > ' }}"
    "{% else %}{{ ' ' + turn['content'] + ' <pad>' }}{% endif %}{% endfor %}"
)
"""Turns end with a token that ends nothing in the pretraining of the toy language."""


@pytest.fixture(scope="session")
def talking(toy, tmp_path_factory):
    """Folder of the toy language's checkpoint, with a chat template."""
    folder = shutil.copytree(toy, tmp_path_factory.mktemp("models") / "talking")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_instructions_are_scored_as_they_will_be_put(cotune, talking, files, tmp_path):
    given = tmp_path / "given.yaml"
    given.write_text(json.dumps(["1 2 3 4.", "5 6 7 8."]))
    few = ["--n", 2, "--set", "proposals=1", "--set", "variations=0", "--set", "examples=4"]

    def scores(format):
        out = tmp_path / f"{format}.yaml"
        arguments = (files["weighted"], "--model", talking, "--given", given, "--out", out, *few)
        status, _, said = cotune("instructions", *arguments, "--format", format)
        assert status == 0, said
        (rows,) = yaml.safe_load(out.read_text()).values()
        return {row["instruction"]: row["score"] for row in rows}

    chat, plain = scores("chat"), scores("plain")
    assert chat.keys() == plain.keys()
    assert all(chat[text] != plain[text] for text in chat)


@pytest.mark.parametrize("command", ["tune", "eval"])
def test_a_model_without_a_template_is_refused_in_one_sentence(cotune, toy, files, tmp_path, command):
    arguments = (files["weighted"], "--model", toy, "--out", tmp_path / "out", *SHORT)
    arguments = arguments if command == "tune" else (toy, files["weighted"], *EXACT)
    status, _, error = cotune(command, *arguments, "--format", "chat")
    assert status == 2
    assert "format: chat needs a chat template, and the tokenizer of" in error
    assert error.rstrip().endswith("use format: plain, or put a chat_template.jinja beside the tokenizer.")
    assert not (tmp_path / "out").exists()


def test_what_is_tuned_as_a_chat_is_evaluated_as_one(cotune, talking, files, tmp_path):
    out = tmp_path / "tuned"
    arguments = (files["weighted"], "--model", talking, "--out", out, *SHORT)
    status, _, said = cotune("tune", *arguments, "--format", "chat")
    assert status == 0, said
    assert "weighted: put as a chat (format: chat), without a system text" in said
    record = json.loads((out / "tune.json").read_text())
    assert record["config"]["format"] == "chat"
    assert "`tokenizer.apply_chat_template` writes them" in (out / "README.md").read_text()

    def score(*more):
        status, printed, error = cotune("eval", out, files["weighted"], "--shots", 0, *EXACT, *more, "--json")
        assert status == 0, error
        found = json.loads(printed.splitlines()[-1])
        return found["rows"][0]["mean"], found["notes"]

    mean, notes = score()
    assert mean == pytest.approx(record["after"]["target"]["mean"], abs=1e-6)
    assert "weighted: put as a chat (format: chat), without a system text" in notes
    _, notes = score("--format", "plain")
    assert "weighted: put as plain text (format: plain), though the tokenizer has a chat template" in notes


def written(folder, tasks, content):
    """Write a study on tasks of the toy language."""
    readers = [{"reader": "jsonl", "path": str(path), "format": "plain", "metric": "nll"} for path in tasks]
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({"name": "talk", "tasks": readers, **content}))
    return file


KINDS = {
    "grouping": lambda model: {"learner": {"kind": "language_model", **model}},
    "retention": lambda model: {
        "kind": "retention",
        **model,
        "targets": ["copy"],
        "evaluation": ["max"],
        "methods": [{"name": "lora"}],
        "in_context": {"shots": [0]},
    },
    "transfer": lambda model: {
        "kind": "transfer",
        **model,
        "held_out": ["copy"],
        "train": ["max"],
        "transfer": {"examples": [0, 2]},
        "along": [2],
        "replay_ratios": [0],
        "in_context": {"shots": [0]},
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_studies_of_every_kind_take_it(kind, talking, files, tmp_path):
    tasks = [files[name].parent / name for name in ("copy", "max")]

    def loaded(**options):
        content = KINDS[kind]({"model": talking, "precision": "fp32", **options})
        return Study.load(written(tmp_path, tasks, content))

    chat = loaded(format="chat").check()
    assert all("put as a chat (format: chat), without a system text" in notes for notes in chat.values())
    plain = loaded().check()
    expected = "put as plain text (format: plain), though the tokenizer has a chat template"
    assert all(expected in notes for notes in plain.values())
    told = loaded(format="auto").check()
    expected = (
        "put as plain text (its answers do not end with <pad>, as the turns of its template do), though"
    )
    assert all(any(note.startswith(expected) for note in notes) for notes in told.values())
