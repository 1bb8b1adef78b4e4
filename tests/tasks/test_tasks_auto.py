"""Rows of every shape are known by their fields, and what they are read as is said."""

import json
import re
import string

import pytest
import yaml

from cotune.exceptions import InputError
from cotune.tasks import SPLITS
from cotune.tasks.readers import AutoReader, JsonLinesReader


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path, **options):
    return AutoReader(path=str(path), **options).read(base=path.parent, seed=0)


def one(tmp_path, rows, **options):
    (task,) = read(write(tmp_path / "x.jsonl", rows), **options)
    return task


def pairs(task):
    return {(e.input, *e.targets) for split in SPLITS for e in task[split]}


def rows_of(make, count=20):
    return [make(i) for i in range(count)]


PAIRS = {
    "input/output": lambda i: {"input": f"q{i}", "output": f"a{i}"},
    "input/target": lambda i: {"input": f"q{i}", "target": f"a{i}"},
    "inputs/targets": lambda i: {"inputs": f"q{i}", "targets": f"a{i}"},
    "prompt/completion": lambda i: {"prompt": f"q{i}", "completion": f"a{i}"},
    "prompt/response": lambda i: {"prompt": f"q{i}", "response": f"a{i}"},
    "query/response": lambda i: {"query": f"q{i}", "response": f"a{i}"},
    "question/answer": lambda i: {"question": f"q{i}", "answer": f"a{i}"},
    "Question/Answer": lambda i: {"Answer": f"a{i}", "Question": f"q{i}"},
    "question/answers": lambda i: {"question": f"q{i}", "answers": [f"a{i}"]},
    "text/label": lambda i: {"text": f"q{i}", "label": f"a{i}"},
    "text/label_text": lambda i: {"text": f"q{i}", "label": i, "label_text": f"a{i}"},
    "source/target": lambda i: {"source": f"q{i}", "target": f"a{i}"},
    "sentence/label": lambda i: {"sentence": f"q{i}", "label": f"a{i}"},
    "document/summary": lambda i: {"document": f"q{i}", "summary": f"a{i}"},
    "article/highlights": lambda i: {"article": f"q{i}", "highlights": f"a{i}"},
    "problem/solution": lambda i: {"problem": f"q{i}", "solution": f"a{i}"},
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_under_the_names_people_give(tmp_path, name):
    task = one(tmp_path, [row | {"uid": 7} for row in rows_of(PAIRS[name])])
    assert pairs(task) == {(f"q{i}", f"a{i}") for i in range(20)}
    without = "label, uid" if name == "text/label_text" else "uid"
    assert task.notes[0] == f"read as {name}, without {without}: 20 examples"
    assert task.notes[1] == "divided into train, validation and test, since there is one split"
    assert (task.instruction, task.metric) == ("", "rouge_l")


def test_free_text_of_input_and_target_is_read_as_json_lines_are(tmp_path):
    path = write(tmp_path / "x.jsonl", rows_of(PAIRS["input/target"]))
    (plain,) = JsonLinesReader(path=path).read(base=tmp_path, seed=0)
    assert read(path)[0].fingerprint == plain.fingerprint


def test_inputs_of_several_fields_keep_their_names(tmp_path):
    task = one(tmp_path, rows_of(lambda i: {"premise": f"p{i}", "hypothesis": "h", "label": f"a{i}"}))
    assert ("Premise: p3\nHypothesis: h", "a3") in pairs(task)
    squad = rows_of(
        lambda i: {"id": i, "context": "c", "question": f"q{i}", "answers": {"text": ["b", "a", "b"]}}
    )
    task = one(
        tmp_path, [*squad, squad[0] | {"question": "none", "answers": {"text": [], "answer_start": []}}]
    )
    assert ("Context: c\nQuestion: q3", "b", "a") in pairs(task)
    assert "20 examples, 1 dropped (the first: x.jsonl, line 21 has an empty target" in task.notes[0]


def test_the_field_that_is_no_text_is_named(tmp_path):
    rows = rows_of(lambda i: {"context": {"title": []}, "question": f"q{i}", "answer": f"a{i}"})
    with pytest.raises(InputError, match=r"line 1, 'context' has an object where text belongs"):
        one(tmp_path, rows)


def test_a_list_of_outputs_is_of_acceptable_ones_but_labels_are_all_of_them(tmp_path):
    task = one(tmp_path, rows_of(lambda i: {"input": f"q{i}", "target": [f"a{i}", "b"]}))
    assert ("q3", "a3", "b") in pairs(task)
    with pytest.raises(InputError, match=r"all of its labels and not acceptable answers; say by a template"):
        one(tmp_path, rows_of(lambda i: {"text": f"q{i}", "labels": [1, 2]}))


def test_where_a_row_comes_from_is_no_input_beside_its_text(tmp_path):
    task = one(tmp_path, rows_of(lambda i: {"source": "web", "text": f"q{i}", "label": f"a{i}"}))
    assert task.notes[0] == "read as text/label, without source: 20 examples"


# Alpaca


def test_alpaca_with_an_instruction_a_row(tmp_path):
    rows = rows_of(
        lambda i: {"instruction": f"Do {i}.", "input": (None, "", f"x{i}")[i % 3], "output": f"a{i}"}
    )
    rows[5] = {"instruction": "No input.", "output": "a"}
    task = one(tmp_path, [*rows, {"instruction": "x", "input": "", "output": ""}])
    assert {("Do 0.", "a0"), ("Do 1.", "a1"), ("Do 2.\nx2", "a2"), ("No input.", "a")} < pairs(task)
    assert task.instruction == ""
    assert task.notes[0].startswith("read as Alpaca: 20 examples, 1 dropped (the first: x.jsonl, line 21")


def test_the_one_instruction_of_alpaca_is_the_tasks(tmp_path):
    rows = rows_of(lambda i: {"instruction": "Swap.", "input": f"x{i}", "output": f"a{i}"})
    task = one(tmp_path, rows)
    assert (task.instruction, task.notes[0]) == (
        "Swap.",
        "read as Alpaca, one instruction for all: 20 examples",
    )
    assert ("x3", "a3") in pairs(task)
    own = one(tmp_path, rows, instruction="Turn it.")
    assert (own.instruction, ("Swap.\nx3", "a3") in pairs(own)) == ("Turn it.", True)
    without = one(tmp_path, [*rows, {"instruction": "Swap.", "input": "", "output": "a"}])
    assert (without.instruction, ("Swap.", "a") in pairs(without)) == ("", True)
    first, second = read(tmp_path / "x.jsonl", instructions=["Swap them.", "Change places."])
    assert (first.instruction, second.instruction) == ("Swap them.", "Change places.")


def test_kin_of_alpaca(tmp_path):
    rows = rows_of(
        lambda i: {"instruction": f"Do {i}.", "context": "c", "response": f"a{i}", "system": "Be brief."}
    )
    task = one(tmp_path, rows)
    assert ("Be brief.\nDo 3.\nc", "a3") in pairs(task)
    assert task.notes[0] == "read as instruction/response: 20 examples"
    asked = one(
        tmp_path, rows_of(lambda i: {"instruction": f"Do {i}.", "question": f"q{i}", "answer": f"a{i}"})
    )
    assert ("Do 3.\nq3", "a3") in pairs(asked)
    label = one(tmp_path, rows_of(lambda i: {"instruction": "Tell.", "text": f"t{i}", "label": f"a{i}"}))
    assert (label.instruction, ("t3", "a3") in pairs(label)) == ("Tell.", True)
    whole = rows_of(lambda i: {"instruction": f"Do {i}.", "output": f"a{i}", "text": f"Do {i}. Answer: a{i}"})
    repeated = one(tmp_path, whole)  # where "text" would give the answer away
    assert ("Do 3.", "a3") in pairs(repeated)
    assert repeated.notes[0] == "read as Alpaca, without text: 20 examples"


@pytest.mark.parametrize("name", ["definition", "system_prompt", "system"])
def test_what_is_told_before_an_input_is_its_instruction(tmp_path, name):
    one_for_all = one(tmp_path, rows_of(lambda i: {name: "Swap.", "input": f"x{i}", "output": f"a{i}"}))
    assert (one_for_all.instruction, ("x3", "a3") in pairs(one_for_all)) == ("Swap.", True)
    own = one(
        tmp_path, rows_of(lambda i: {name: f"Do {i}." if i else "", "question": f"x{i}", "response": f"a{i}"})
    )
    assert {("Do 3.\nx3", "a3"), ("x0", "a0")} <= pairs(own)


# Conversations


def turns(*texts, roles=("user", "assistant"), keys=("role", "content")):
    return [{keys[0]: roles[at % 2], keys[1]: text} for at, text in enumerate(texts)]


SHAREGPT = {"roles": ("human", "gpt"), "keys": ("from", "value")}


@pytest.mark.parametrize(
    ("field", "options"), [("messages", {}), ("conversations", SHAREGPT), ("conversation", {})]
)
def test_every_answer_of_a_conversation_is_an_example(tmp_path, field, options):
    rows = rows_of(lambda i: {field: turns(f"q{i}", f"a{i}", "more?", f"b{i}", **options)})
    task = one(tmp_path, rows, max_examples={"train": None, "validation": None, "test": None})
    expected = {(f"User: q{i}\nAssistant: a{i}\nUser: more?", f"b{i}") for i in range(20)}
    assert pairs(task) == expected | {(f"q{i}", f"a{i}") for i in range(20)}
    assert task.notes[0] == f"read as conversations ({field}): 40 examples"
    assert task.notes[2].startswith("20 conversations have several answers, each an example")
    last = one(tmp_path, rows, turns="last")
    assert pairs(last) == expected
    assert "20 earlier answers stand in inputs alone (turns: all makes each an example)" in last.notes


def test_no_split_parts_a_conversation(tmp_path):
    rows = rows_of(lambda i: {"messages": turns(*(f"{i}.{at}" for at in range(8)))}, 30)
    task = one(tmp_path, rows, max_examples={"train": None, "validation": None, "test": None})
    inputs = [{e.input.removeprefix("User: ").partition(".")[0] for e in task[split]} for split in SPLITS]
    assert [len(found) for found in inputs] == [21, 3, 6]
    assert sum(len(task[split]) for split in SPLITS) == 120
    assert not inputs[0] & inputs[1]
    assert not (inputs[0] | inputs[1]) & inputs[2]


def test_system_text_is_kept(tmp_path):
    system = {"role": "system", "content": "Be kind."}
    task = one(tmp_path, rows_of(lambda i: {"messages": [system, *turns(f"q{i}", f"a{i}")]}))
    assert (task.instruction, ("q3", "a3") in pairs(task)) == ("Be kind.", True)
    mixed = one(tmp_path, rows_of(lambda i: {"messages": [system] * (i % 2) + turns(f"q{i}", f"a{i}")}))
    assert {("q2", "a2"), ("Be kind.\nq3", "a3")} < pairs(mixed)
    beside = one(
        tmp_path, rows_of(lambda i: {"system": "S", "conversations": turns(f"q{i}", f"a{i}", **SHAREGPT)})
    )
    assert beside.instruction == "S"


def test_conversations_keep_their_turns_for_chat_formats(tmp_path):
    def said(task):
        return {e.targets[0]: [tuple(turn) for turn in e.turns] for split in SPLITS for e in task[split]}

    system = {"role": "system", "content": "Be kind."}
    rows = rows_of(lambda i: {"messages": [system] * (i % 2) + turns(f"q{i}", f"a{i}", "more?", f"b{i}")})
    found = said(one(tmp_path, rows, max_examples={"train": None, "validation": None, "test": None}))
    talk = [("user", "q3"), ("assistant", "a3"), ("user", "more?")]
    assert found["b3"] == [("system", "Be kind."), *talk]
    assert found["a3"] == [("system", "Be kind."), ("user", "q3")]
    assert (found["a2"], found["b2"][0]) == ([], ("user", "q2")), "a question alone is its input"

    hello = {"role": "assistant", "content": "Hello!"}
    rows = [
        {"messages": [hello, *turns("greeted", "yes")]},
        {"messages": [*turns("first")[:1], *turns("second", "both")]},
        *rows_of(lambda i: {"messages": turns(f"q{i}", f"a{i}")}, 5),
    ]
    found = said(one(tmp_path, rows))
    assert found["yes"] == [], "no chat begins with an answer: the input says who said what"
    assert found["both"] == [("user", "first\nsecond")]


def test_calls_of_tools_are_passed_over_and_what_rests_on_them_is_no_example(tmp_path):
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "weather"}}]}
    result = {"role": "tool", "content": "18 degrees"}
    asked = {"role": "user", "content": "How warm is it?"}
    warm = {"role": "assistant", "content": "It is 18 degrees."}
    rows = rows_of(
        lambda i: {"messages": [*turns(f"q{i}", f"a{i}"), asked, call, result, warm, *turns("thanks", "np")]}
    )
    task = one(tmp_path, [*rows, {"messages": [asked, call, result, warm]}], turns="all")
    assert {answer for _, answer in pairs(task)} == {"np", *(f"a{i}" for i in range(20))}
    assert any("Assistant: It is 18 degrees.\nUser: thanks" in input for input, _ in pairs(task))
    assert "21 answers that rest on the result of a tool, and all calls, passed over" in task.notes
    assert (
        "line 21 has no answer of an assistant to a user, but for what rests on the result" in task.notes[0]
    )


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "narrator", "content": "x"}], "a message of 'narrator'"),
        (turns("q", [{"type": "image_url", "image_url": "x"}]), "with more than text, such as an image"),
        (turns("q", {"a": 1}), "whose content is no text"),
        (turns("only asked"), "no answer of an assistant"),
        (["text"], "must have a list of messages"),
        (None, "has null for 'messages'"),
    ],
)
def test_conversations_that_cannot_be_examples_are_dropped(tmp_path, messages, expected):
    rows = rows_of(lambda i: {"messages": turns(f"q{i}", f"a{i}")})
    task = one(tmp_path, [*rows, {"messages": messages}])
    assert len(pairs(task)) == 20
    assert "20 examples, 1 dropped (the first: x.jsonl, line 21" in task.notes[0]
    assert expected in task.notes[0]


def test_forms_of_messages(tmp_path):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    rows = [
        {"messages": [{"role": "assistant", "content": "Hello!"}, *turns("parts", parts)]},
        {
            "messages": [
                *turns("q"),
                {"role": "assistant", "content": "bad", "weight": 0},
                *turns("again", "good"),
            ]
        },
        {"messages": json.dumps(turns("as JSON", "text"))},
        *rows_of(lambda i: {"messages": turns(f"q{i}", f"a{i}")}, 5),
    ]
    found = pairs(one(tmp_path, rows))
    assert ("Assistant: Hello!\nUser: parts", "a\nb") in found
    assert ("as JSON", "text") in found
    assert ("User: q\nAssistant: bad\nUser: again", "good") in found
    assert not any(answer == "bad" for _, answer in found)
    trl = one(tmp_path, rows_of(lambda i: {"prompt": turns(f"q{i}"), "completion": turns("", f"a{i}")[1:]}))
    assert ("q3", "a3") in pairs(trl)


# Choices

LETTERS = dict(zip("ABCD", "wxyz", strict=True))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("choices, answer", lambda i, right: {"choices": list("wxyz"), "answer": right}),
        ("choices, answer", lambda i, right: {"choices": list("wxyz"), "answer": "ABCD"[right]}),
        ("choices, answer", lambda i, right: {"choices": list("wxyz"), "answer": "wxyz"[right]}),
        ("choices, answer", lambda i, right: {"choices": list("wxyz"), "answer": right + 1}),
        (
            "choices, answerKey",
            lambda i, right: {
                "choices": {"text": list("wxyz"), "label": list("1234")},
                "answerKey": "1234"[right],
            },
        ),
        ("options, answer", lambda i, right: {"options": LETTERS, "answer": "ABCD"[right]}),
        ("choices, answer", lambda i, right: {"choices": list("wxyz"), "answer": str(right + 1)}),
        ("A, B, C, D, answer", lambda i, right: {**LETTERS, "answer": "ABCD"[right]}),
        (
            "ending0, ending1, ending2, ending3, label",
            lambda i, right: {**{f"ending{k}": v for k, v in enumerate("wxyz")}, "label": right},
        ),
        (
            "option_1, option_2, option_3, option_4, answer",
            lambda i, right: {
                **{f"option_{k}": v for k, v in enumerate("wxyz", 1)},
                "answer": str(right + 1),
            },
        ),
        (
            "opa, opb, opc, opd, cop",
            lambda i, right: {**{f"op{k}": v for k, v in zip("abcd", "wxyz", strict=True)}, "cop": right},
        ),
    ],
)
def test_questions_with_options_are_answered_by_letter(tmp_path, name, row):
    task = one(tmp_path, rows_of(lambda i: {"question": f"q{i}", **row(i, i % 4)}, 40))
    assert pairs(task) == {(f"q{i}\nA. w\nB. x\nC. y\nD. z", "ABCD"[i % 4]) for i in range(40)}
    assert (task.metric, task["train"][0].choices) == ("accuracy", tuple("ABCD"))
    assert task.notes[0] == f"read as multiple choice (question, {name}): 40 examples"


def test_options_in_columns_of_their_own(tmp_path):
    copa = rows_of(
        lambda i: {"premise": f"p{i}", "choice1": "w", "choice2": "x", "question": "cause", "label": i % 2}
    )
    assert ("p3\ncause\nA. w\nB. x", "B") in pairs(one(tmp_path, copa))
    filled = rows_of(
        lambda i: {"sentence": f"the _ {i}", "option1": "w", "option2": "x", "answer": str(i % 2 + 1)}
    )
    assert ("the _ 3\nA. w\nB. x", "B") in pairs(one(tmp_path, filled))
    fewer = rows_of(
        lambda i: {"question": f"q{i}", **LETTERS, "D": "z" if i % 2 else "", "answer": "ABC"[i % 3]}
    )
    assert {("q3\nA. w\nB. x\nC. y\nD. z", "A"), ("q4\nA. w\nB. x\nC. y", "B")} <= pairs(one(tmp_path, fewer))


@pytest.mark.parametrize(
    "columns", [("a", "b"), ("option1", "option3"), ("op", "opb"), ("answer1", "answer2")]
)
def test_other_columns_of_such_names_are_no_options(tmp_path, columns):
    texts = dict.fromkeys(columns, "w")
    rows = rows_of(lambda i: {"question": f"q{i}", **texts, "label": ["good", "bad"][i % 2]})
    assert ("q3", "bad") in pairs(one(tmp_path, rows))


def test_few_targets_each_repeated_are_choices(tmp_path):
    rows = rows_of(lambda i: {"text": f"t{i}", "label": ("neutral", "yes", "no")[i % 3]}, 30)
    task = one(tmp_path, rows)
    assert (task.metric, task["test"][0].choices) == ("accuracy", ("neutral", "no", "yes"))
    assert task.notes[2] == (
        "3 different targets, each repeated: answered as a choice among them, scored by accuracy (neutral, "
        "no, yes; find_choices: false takes them for free text)"
    )
    for options in ({"find_choices": False}, {"metric": "rouge_l"}):
        free = one(tmp_path, rows, **options)
        assert (free.metric, free["test"][0].choices) == ("rouge_l", ())
    named = one(tmp_path, rows, choices=["yes", "no", "neutral"], metric="exact_match")
    assert (named.metric, named["test"][0].choices) == ("exact_match", ("yes", "no", "neutral"))
    assert not any("different targets" in note for note in named.notes)


def test_words_for_labels(tmp_path):
    rows = rows_of(lambda i: {"text": f"t{i}", "label": i % 2})
    bare = one(tmp_path, rows)
    assert "(0, 1, numbers that 'labels' can put into words; find_choices" in bare.notes[2]
    task = one(tmp_path, rows, labels=["bad", "good"])
    assert ("t3", "good") in pairs(task)
    assert (task.metric, task["test"][0].choices) == ("accuracy", ("bad", "good"))


@pytest.mark.parametrize(
    ("targets", "closed"),
    [
        (["a", "b"] * 10, True),
        (["1", "2", "3", "4", "5"] * 10, True),
        ([1, 0] * 10, True),
        ([True, False] * 10, True),
        (list(string.ascii_lowercase[:20]) * 5, True),
        (list(string.ascii_lowercase[:21]) * 5, False),  # too many
        (["a"] * 20, False),  # nothing to choose from
        (["a", "b"] * 10 + ["c"], False),  # one is not repeated
        (["a", "b", "c", "d", "e"] * 4, False),  # seldom repeated
        (["2", "4", "7", "9"] * 10, False),  # numbers with gaps are answers, not labels
        (["2", "3", "4", "5"] * 10, False),
        ([str(i) for i in range(11)] * 5, True),
        ([str(i) for i in range(12)] * 5, False),
        (["-1", "0", "1"] * 10, True),
        (["01", "1"] * 10, False),
        (["a", "b\nc"] * 10, False),
        (["a", "b" * 61] * 10, False),
        ([["a"], ["a", "b"]] * 10, False),
    ],
)
def test_what_is_a_closed_set(tmp_path, targets, closed):
    task = one(tmp_path, [{"input": f"t{i}", "output": target} for i, target in enumerate(targets)])
    assert bool(task["train"][0].choices) == closed


def test_held_out_splits_have_to_agree_with_training(tmp_path):
    for split, labels in {"train": "ab", "test": "ab", "dev": "ab"}.items():
        rows = rows_of(lambda i, split=split, labels=labels: {"text": f"{split}{i}", "label": labels[i % 2]})
        write(tmp_path / "x" / f"{split}.jsonl", rows)
    assert read(tmp_path / "x")[0].metric == "accuracy"
    write(tmp_path / "x" / "test.jsonl", rows_of(lambda i: {"text": f"t{i}", "label": "abcc"[i % 4]}))
    assert read(tmp_path / "x")[0].metric == "rouge_l"


# Tasks in one file


def test_a_column_of_tasks_parts_a_file(tmp_path):
    rows = rows_of(lambda i: {"task": f"t{i % 2}", "input": f"q{i}", "target": f"a{i}"}, 40)
    path = write(tmp_path / "x.jsonl", [*rows, {"input": "q", "target": "a"}])
    first, second = read(path)
    assert (first.name, second.name) == ("t0", "t1")
    assert pairs(first) == {(f"q{i}", f"a{i}") for i in range(0, 40, 2)}
    assert first.notes[:3] == (
        "one of 2 tasks by the column 'task'",
        "1 rows left out that name no task",
        "read as input/target: 20 examples",
    )
    (whole,) = read(path, task_column=None)
    assert whole.name == "x"
    assert [task.name for task in read(path, include=["t1"])] == ["t1"]
    a, b = read(path, templates={"t1": {"instruction": "Own."}})
    assert (a.instruction, b.instruction) == ("", "Own.")


def test_other_columns_of_tasks_have_to_be_named(tmp_path):
    rows = rows_of(lambda i: {"source": f"s{i % 3}", "task": "same", "input": f"q{i}", "target": f"a{i}"}, 30)
    path = write(tmp_path / "x.jsonl", rows)
    assert [task.name for task in read(path)] == ["x"]
    assert [task.name for task in read(path, task_column="source")] == ["s0", "s1", "s2"]
    with pytest.raises(InputError, match=r"has no column 'tsk'; its columns are source, task, input, target"):
        read(path, task_column="tsk")
    unlike = write(
        tmp_path / "y.jsonl", rows_of(lambda i: {"task": f"Do {i}", "input": f"q{i}", "target": "a"})
    )
    assert [task.name for task in read(unlike)] == ["y"]  # a task a row: no column of tasks


def test_splits_of_a_file_of_tasks(tmp_path):
    for split in ("train", "dev", "test"):
        rows = rows_of(
            lambda i, split=split: {"task_name": f"t{i % 2}", "input": f"{split}{i}", "target": f"a{i}"}
        )
        write(tmp_path / "x" / f"{split}.jsonl", rows)
    for task in read(tmp_path / "x"):
        assert [len(task[split]) for split in SPLITS] == [10, 10, 10]
        assert all(e.input.startswith("dev") for e in task["validation"])


# What is not recognised


def test_the_error_has_a_template_that_works(tmp_path):
    rows = rows_of(lambda i: {"Customer message": f"a long message {i}", "Our reply": f"r{i}", "n": i})
    path = write(tmp_path / "data, of: mine" / "x.jsonl", rows)
    with pytest.raises(InputError, match=r"not recognised \(Customer message, Our reply, n\)") as error:
        read(path)
    assert "\n" not in str(error.value)
    entry, template = re.search(
        r"such as (tasks: .+) in a file, or --template '(.+)'\.$", str(error.value)
    ).groups()
    (written,) = yaml.safe_load(entry).values()
    for options in (written, {"path": str(path), "template": template}):
        (task,) = AutoReader(**options).read(base=tmp_path, seed=0)
        assert ("a long message 3", "r3") in pairs(task)
    task = one(tmp_path, rows, input="{{ Customer_message }}", target="{{ Our_reply }}")
    assert ("a long message 3", "r3") in pairs(task)
    assert task.notes[0] == "read as the template says: 20 examples"
    whole = one(tmp_path, [row | {"whole": 1} for row in rows], template="{{ n }} ||| {{ whole }}{{ n }}")
    assert ("3", "13") in pairs(whole)
    write(tmp_path / "two" / "y.jsonl", rows)
    write(tmp_path / "two" / "z.jsonl", rows_of(PAIRS["input/output"]))
    with pytest.raises(InputError, match=r"templates: \{y: \{input: '\{\{ Customer_message \}\}'") as error:
        read(tmp_path / "two")
    entry = re.search(r"such as (tasks: .+) in a file", str(error.value))[1]
    y, z = AutoReader(**yaml.safe_load(entry)["tasks"]).read(base=tmp_path, seed=0)
    assert (len(pairs(y)), len(pairs(z))) == (20, 20)


def test_texts_within_a_field_are_named_as_templates_do(tmp_path):
    rows = rows_of(lambda i: {"id": i, "translation": {"en": f"word {i}", "de": f"Wort {i}"}})
    with pytest.raises(InputError, match="not recognised") as error:
        one(tmp_path, rows)
    template = re.search(r"--template '(.+)'\.$", str(error.value))[1]
    assert ("word 3", "Wort 3") in pairs(one(tmp_path, rows, template=template))


def test_a_table_without_names_of_columns(tmp_path):
    (tmp_path / "x.csv").write_text("How are you?,1 fine\n" + "".join(f"q{i},a{i}\n" for i in range(20)))
    with pytest.raises(InputError, match="the first line has to name the columns") as error:
        read(tmp_path / "x.csv")
    assert "--template '{{ How_are_you_ }} ||| {{ _1_fine }}'" in str(error.value)
    (task,) = read(tmp_path / "x.csv", template="{{ How_are_you_ }} ||| {{ _1_fine }}")
    assert ("q3", "a3") in pairs(task)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, r"of preferences \(chosen and rejected\)"),
        ({"chosen": [{"role": "user", "content": "x"}], "rejected": []}, "of preferences"),
        ({"prompt": "a", "completion": "b", "label": True}, "of preferences .*'label'"),
        ({"text": "a"}, r"no field with answers \(text\), which a task needs; text alone can be mixed in"),
    ],
)
def test_what_is_no_instruction_data_is_refused(tmp_path, row, expected):
    with pytest.raises(InputError, match=expected):
        one(tmp_path, [row] * 20)


def test_rows_that_are_none_at_all(tmp_path):
    (tmp_path / "x.jsonl").write_text("not JSON\n" * 5)
    with pytest.raises(InputError, match=r"x\.jsonl, line 1 is not JSON"):
        read(tmp_path / "x.jsonl")


# Beside other readers


def test_collections_are_left_to_their_readers(tmp_path):
    instances = [{"input": f"q{i}", "output": [f"a{i}"]} for i in range(20)]
    (tmp_path / "natural").mkdir()
    content = {"Definition": ["Do it."], "Instances": instances}
    (tmp_path / "natural" / "task1.json").write_text(json.dumps(content))
    (task,) = read(tmp_path / "natural")
    assert (task.name, task.instruction) == ("task1", "Do it.")
    assert task.notes[0] == "read as Natural Instructions"
    with pytest.raises(
        InputError, match="read as Natural Instructions, where 'template' would change nothing"
    ):
        read(tmp_path / "natural", template="{{ a }} ||| {{ b }}")
    rows = [{"input": f"q{i}", "output": f"a{i}"} for i in range(20)]
    (tmp_path / "induction.json").write_text(json.dumps({"induce": rows[:10], "execute": rows[10:]}))
    (task,) = read(tmp_path / "induction.json", instruction="Own.")
    assert (task.instruction, task.notes[0]) == ("Own.", "read as instruction induction")


def test_names(tmp_path):
    path = write(tmp_path / "x.jsonl", rows_of(PAIRS["input/output"]))
    (task,) = read(path, name="own")
    assert task.name == "own"
    write(tmp_path / "y.jsonl", rows_of(PAIRS["input/output"]))
    with pytest.raises(InputError, match=r"'name' names a single task, but .* holds 2"):
        read(tmp_path, name="own")
