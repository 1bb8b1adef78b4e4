"""What a preview shows is what training and scoring read."""

import json

import pytest
import yaml

import cotune
from cotune.answering import InContextConfig, TaskPrompts
from cotune.exceptions import InputError
from cotune.findings.preview import Preview
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models import load_encoder
from cotune.report import render_report
from cotune.tasks import Example, Task
from cotune.training.encoded_tasks import EncodedTasks


def ids(prompt):
    return [token.id for token in prompt.tokens]


def learned(prompt):
    return [token.id for token in prompt.tokens if token.learned]


@pytest.fixture
def tasks():
    """Texts with letters of several bytes, of three lengths."""
    rows = [Example(f"café {'very ' * n}long", (f"naïve {n}",)) for n in (1, 12, 3)]
    splits = {"train": tuple(rows), "validation": tuple(rows[:1]), "test": tuple(rows[1:])}
    return [Task("words", "Say it.", splits, "exact_match")]


def test_tokens_are_those_of_training_and_the_answer_alone_is_learned(tasks, tiny_causal):
    found = cotune.preview(tasks, tiny_causal, examples=3)
    (task,) = found.tasks
    data = EncodedTasks(tasks, lambda: load_encoder(tiny_causal))
    assert [learned(p) for p in task.prompts] == [list(e.target) for e in data.encoded("words", "train")]
    assert [ids(p) for p in task.prompts] == [[*e.prompt, *e.target] for e in data.encoded("words", "train")]
    for prompt, example in zip(task.prompts, tasks[0]["train"], strict=True):
        assert prompt.prompt == f"Say it.\n\nInput: {example.input}\nOutput:"
        assert prompt.answer == f" {example.targets[0]}</s>"
    assert task.lengths == tuple(len(ids(p)) for p in task.prompts)


@pytest.mark.parametrize("model", ["tiny_causal", "tiny_seq2seq", "tiny_sentinel"])
def test_tokens_spell_the_text(tasks, model, request):
    (task,) = cotune.preview(tasks, request.getfixturevalue(model)).tasks
    (prompt,) = task.prompts
    assert prompt.tokens[-1].text == "</s>"
    assert "long" in "".join(token.text for token in prompt.tokens if not token.learned)
    assert "ve" in "".join(token.text for token in prompt.tokens if token.learned)
    assert all(token.text for token in prompt.tokens)


def test_prompts_that_are_asked_are_those_that_are_scored(tasks, tiny_causal):
    (task,) = cotune.preview(tasks, tiny_causal, shots=(0, 1)).tasks
    trained, asked = task.prompts
    config = InContextConfig(shots=(1,))
    scored = TaskPrompts(tasks[0], config, load_encoder(tiny_causal), seed=0).prompts(1, 0)[0]
    assert ids(asked) == list(scored.prompt)
    assert not learned(asked)
    assert learned(trained)
    assert asked.title == "test example 1 of 2, asked with 1 demonstration"


def test_what_loses_most_goes_first_and_is_counted(tasks, tiny_causal):
    (task,) = cotune.preview(tasks, tiny_causal, max_prompt_tokens=60).tasks
    (prompt,) = task.prompts
    assert prompt.title == "training example 2 of 3"
    assert prompt.n_cut > 0
    assert f"{prompt.n_cut} cut off the end of the input" in "\n".join(prompt.lines())
    assert any("inputs were cut at the end" in note for note in task.notes)


def test_what_is_dropped_is_not_shown(tasks, tiny_causal):
    train = (Example("x", ("far too long " * 40,)), *tasks[0]["train"])
    (task,) = cotune.preview(
        [Task("words", "", {**tasks[0].splits, "train": train}, "exact_match")], tiny_causal, examples=9
    ).tasks
    assert [p.title for p in task.prompts] == [f"training example {n} of 4" for n in (2, 3, 4)]
    assert "1 of 4 train examples have targets of more than 128 tokens and were dropped." in task.notes


def test_right_answers_that_cannot_score_are_told_apart_from_what_is_cut(tiny_causal):
    rows = tuple(Example(f"{n}", (word,), ("yes", "no")) for n, word in enumerate(["yes", "no", "perhaps"]))
    odd = Task("odd", "", {"train": rows, "validation": rows, "test": rows}, "accuracy")
    (task,) = cotune.preview([odd], tiny_causal).tasks
    assert len(task.gold) == 3
    assert not any("score less than 1" in note for note in task.notes)
    assert "they are none of the choices" in dict(task.facts)["right answers"]
    assert "as the likeliest choice by the sum over its tokens, of yes (" in task.answered
    (right,) = cotune.preview(toy_tasks(["less"], train=8, validation=2, test=2), TOY_CHECKPOINT).tasks
    assert dict(right.facts)["right answers"].startswith("every right answer of train, validation, test")
    assert "T (1 token), F (1 token)" in right.answered


def test_a_study_shows_how_it_trains_and_asks(workshop, retention, transfer, planted):
    words = cotune.preview(workshop.study(tasks={**workshop.data["tasks"], "metric": None}), tasks=["copy"])
    (task,) = words.tasks
    assert task.why_metric == "as Super-NaturalInstructions are scored"
    assert words.title == "words"
    method = {"name": "lora", "demonstrations": 1}
    learner = {**workshop.data["learner"], "method": method}
    shown = cotune.preview(workshop.file(learner=learner), tasks=["c*"]).tasks[0]
    assert shown.prompts[0].title.endswith("after 1 solved example, drawn anew every time")
    assert shown.prompts[0].prompt.count("Output:") == 2
    assert shown.why_metric == "as was asked for"

    kept = {task.name: task for task in cotune.preview(retention.study()).tasks}
    assert [learned(p) != [] for p in kept["weighted"].prompts] == [True]
    assert [p.title for p in kept["copy"].prompts] == [
        "test example 1 of 8, asked with 1 demonstration",
        "test example 1 of 8, asked with 2 demonstrations",
    ]
    assert (
        "4 of Promot"
        in dict(cotune.preview(retention.study()).facts)["virtual tokens before all that is shown"]
    )

    moved = {task.name: task for task in cotune.preview(transfer.study()).tasks}
    assert [p.title for p in moved["reverse"].prompts][-1] == "fine-tuned on, marked by its id, 1 of 4"
    assert learned(moved["reverse"].prompts[-1])

    with pytest.raises(InputError, match="no language model reads the tasks of this study"):
        cotune.preview(planted.study())


def test_a_model_is_needed_and_names_have_to_fit(tmp_path, tiny_causal):
    with pytest.raises(InputError, match="name it"):
        cotune.preview(tmp_path)
    with pytest.raises(InputError, match=r"no task read is named 'less2'.*did you mean 'less'"):
        cotune.preview(toy_tasks(["less"]), TOY_CHECKPOINT, tasks=["less2"])
    with pytest.raises(InputError, match=r"unknown key.*max_prompt_tokens"):
        cotune.preview(toy_tasks(["less"]), TOY_CHECKPOINT, max_promt_tokens=3)


def test_the_page_and_the_plain_data_hold_everything(tasks, tiny_causal):
    found = cotune.preview(tasks, tiny_causal, title="<b>")
    page = render_report(found)
    assert "<script" not in page
    assert "&lt;b&gt;" in page
    assert page.count('class="learned"') == len(learned(found.tasks[0].prompts[0]))
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["tasks"][0]["prompts"][0]["tokens"][-1] == {"id": 1, "text": "</s>", "learned": True}


def test_many_tasks_are_written_out_one_by_one_only_where_asked(tiny_causal):
    many = toy_tasks(["copy", "max", "min", "less", "odd_first"], train=4, validation=1, test=1)
    found = cotune.preview(many, TOY_CHECKPOINT)
    assert isinstance(found, Preview)
    text = "\n".join(found.sentences())
    assert text.count("\ntraining example") == 3
    assert "2 more, in full by --task NAME or --html FILE: less, odd_first" in text


def test_the_command(tmp_path, tiny_causal, capsys):
    from cotune.cli.main import main

    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f"film {n},{('good', 'bad')[n % 2]}\n" for n in range(40)))
    page = tmp_path / "page.html"
    assert main(["preview", str(file), "--model", str(tiny_causal), "--html", str(page)]) == 0
    out = capsys.readouterr().out
    assert "read as text/label" in out
    assert "scored by: accuracy (higher is better), since each answer is one of a closed set" in out
    assert f"page: {page}" in out
    assert page.is_file()
    study = tmp_path / "study.yaml"
    learner = {"kind": "language_model", "model": str(tiny_causal), "precision": "fp32"}
    study.write_text(yaml.safe_dump({"name": "s", "tasks": {"path": "rows.csv"}, "learner": learner}))
    assert main(["preview", str(study), "--shots", "1"]) == 2
    assert "--shots is of data with --model" in capsys.readouterr().err
    assert main(["preview", str(file), "--model", str(tiny_causal), "--set", "max_target_tokens=1"]) == 2
    assert "more than max_target_tokens 1" in capsys.readouterr().err
