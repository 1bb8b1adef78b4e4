import json

import pytest

from cotune.exceptions import InputError
from cotune.tasks import SPLITS
from cotune.tasks.readers import JsonLinesReader


def write(path, count, start=0, **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"input": f"{path.stem} {i}", "target": "ja"} | fields for i in range(start, start + count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path, **options):
    return JsonLinesReader(path=path, **options).read(base=path.parent, seed=0)


def test_a_file_is_a_task_named_after_it(tmp_path):
    (task,) = read(write(tmp_path / "greet.jsonl", 10), instruction="Say yes.")
    assert (task.name, task.instruction, task.metric) == ("greet", "Say yes.", "rouge_l")
    assert [len(task[split]) for split in SPLITS] == [7, 1, 2]
    assert task["train"][0].targets == ("ja",)


def test_name_replaces_that_of_the_file(tmp_path):
    (task,) = read(write(tmp_path / "greet.jsonl", 10), name="hello")
    assert task.name == "hello"


def test_a_folder_of_splits_is_a_task(tmp_path):
    for split in SPLITS:
        write(tmp_path / "nli" / f"{split}.jsonl", 4)
    (task,) = read(tmp_path / "nli")
    assert task.name == "nli"
    assert {e.input for e in task["test"]} == {f"test {i}" for i in range(4)}
    assert task.notes == ()


def test_a_folder_of_files_and_folders_is_a_task_each(tmp_path):
    write(tmp_path / "b.jsonl", 5)
    write(tmp_path / "a" / "train.jsonl", 5)
    write(tmp_path / "a" / "validation.jsonl", 4)
    write(tmp_path / ".hidden.jsonl", 5)
    (tmp_path / "notes.txt").write_text("not a task")
    (tmp_path / "empty").mkdir()
    a, b = read(tmp_path)
    assert (a.name, b.name) == ("a", "b")
    assert [len(a[split]) for split in SPLITS] == [5, 2, 2]
    assert "validation was split in half" in a.notes[0]


def test_templates_replace_options_of_single_tasks(tmp_path):
    write(tmp_path / "a.jsonl", 5, label=1)
    write(tmp_path / "b.jsonl", 5)
    a, b = read(
        tmp_path,
        instruction="Common.",
        metric="exact_match",
        templates={"a": {"instruction": "Own.", "target": "{{ label }}", "labels": ["no", "yes"]}},
    )
    assert (a.instruction, a["test"][0].targets, a["test"][0].choices) == ("Own.", ("yes",), ("no", "yes"))
    assert (b.instruction, b["test"][0].targets, b["test"][0].choices) == ("Common.", ("ja",), ())


def test_relative_paths_start_from_base(tmp_path):
    write(tmp_path / "data" / "t.jsonl", 5)
    (task,) = JsonLinesReader(path="data/t.jsonl").read(base=tmp_path, seed=0)
    assert task.name == "t"


def test_byte_order_mark_empty_lines_and_windows_line_ends_are_fine(tmp_path):
    text = "".join(f'{{"input": "{i}", "target": "\u00fc"}}\r\n\r\n' for i in range(4))
    (tmp_path / "t.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (task,) = read(tmp_path / "t.jsonl")
    assert sum(len(task[split]) for split in SPLITS) == 4
    assert task["train"][0].targets == ("\u00fc",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'{"input": "a", "target": "b"}\n{"input": \n',
            r"t\.jsonl, line 2 is not JSON: Expecting value at column",
        ),
        (
            b'{"input": "a", "target": "b"}\n\n"text"\n',
            r"t\.jsonl, line 3 must be a JSON object .* got '\"text\"'",
        ),
        (b"null\n", r"t\.jsonl, line 1 must be a JSON object"),
        (b'{"input": "a", "target": "b"}\n{"input": "\xff"}\n', r"t\.jsonl, line 2 is not UTF-8"),
        (b'{"input": "a"}\n', r"t\.jsonl, line 1 has no field 'target', .* its fields are input"),
        (b'{"input": "a", "target": ""}\n', r"t\.jsonl, line 1 has an empty target"),
        (b"\n", r"t\.jsonl has no instances"),
        (b'{"input": "a", "target": "b"}\n', r"'t' needs at least 3 examples .* got 1 instead"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "t.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "t.jsonl")


BAD_LINES = {
    "empty": '{"input": "x", "target": ""}',
    "blank": '{"input": "x", "target": " \\n"}',
    "null": '{"input": "x", "target": null}',
    "null input": '{"input": null, "target": "y"}',
    "NaN": '{"input": "x", "target": NaN}',
    "Infinity": '{"input": -Infinity, "target": "y"}',
    "overflow": '{"input": 1e999, "target": "y"}',
    "object": '{"input": "x", "target": {"text": "y"}}',
    "object input": '{"input": {"text": "x"}, "target": "y"}',
    "list input": '{"input": ["x"], "target": "y"}',
    "null in a list": '{"input": "x", "target": ["y", null]}',
    "surrogate": '{"input": "x", "target": "\\ud83d"}',
    "missing": '{"input": "x"}',
    "no object": '["x", "y"]',
    "cut off": '{"input": "x", "targ',
    "deep": '{"input": ' + "[" * 100_000,
    "long number": '{"input": "x", "target": ' + "1" * 5000 + "}",
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_row_that_cannot_be_used_is_dropped_and_counted(tmp_path, kind):
    path = write(tmp_path / "t.jsonl", 20)
    lines = path.read_text().splitlines()
    lines[3:3] = [BAD_LINES[kind]]
    path.write_text("\n".join([*lines, BAD_LINES[kind]]))
    (task,) = read(path)
    assert sum(len(task[split]) for split in SPLITS) == 20
    (note,) = task.notes
    assert note.startswith("2 of 22 examples dropped as unusable (the first: t.jsonl, line 4")
    path.write_text(BAD_LINES[kind])
    with pytest.raises(InputError, match=r"t\.jsonl, line 1"):
        read(path)


def test_bytes_that_are_not_utf8_cost_their_line_alone(tmp_path):
    path = write(tmp_path / "t.jsonl", 20)
    path.write_bytes(path.read_bytes() + b'{"input": "\xff"}\n')
    (task,) = read(path)
    assert task.notes == (
        "1 of 21 examples dropped as unusable (the first: t.jsonl, line 21 is not UTF-8 text, which JSON "
        "lines have to be)",
    )


def test_what_json_has_not_does_no_harm_where_no_text_is_made_of_it(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"input": {i}, "target": [true, "y"], "score": NaN}}\n' for i in range(9)))
    (task,) = read(path)
    assert task.notes == ()
    assert {example.targets for split in SPLITS for example in task[split]} == {("true", "y")}
    assert {example.input for split in SPLITS for example in task[split]} == {str(i) for i in range(9)}


def test_empty_outputs_beside_others_are_dropped_and_counted(tmp_path):
    path = write(tmp_path / "t.jsonl", 9)
    path.write_text(path.read_text() + '{"input": "x", "target": ["", "y"]}\n')
    (task,) = read(path)
    assert task.notes == (
        "empty outputs beside others dropped from 1 of 10 examples (the first: t.jsonl, line 10)",
    )
    assert ("y",) in {example.targets for split in SPLITS for example in task[split]}


def test_too_few_examples_because_others_were_dropped_is_said(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"input": "a", "target": "b"}\n' + '{"input": "a", "target": ""}\n' * 8)
    with pytest.raises(
        InputError, match=r"at least 3 examples .* instead\. 8 of 9 examples dropped .*line 2"
    ):
        read(path)


def test_a_held_out_split_of_which_nothing_can_be_used_is_left_out(tmp_path):
    for split in SPLITS:
        write(tmp_path / "t" / f"{split}.jsonl", 5)
    write(tmp_path / "t" / "test.jsonl", 5, target=None)
    (task,) = read(tmp_path / "t")
    assert [len(task[split]) for split in SPLITS] == [5, 3, 2]
    assert {e.input.split()[0] for e in (*task["validation"], *task["test"])} == {"validation"}
    left_out, dropped, halved = task.notes
    assert left_out == "test was left out, since none of its 5 rows can be used"
    assert dropped.startswith("5 of 15 examples dropped as unusable (the first: test.jsonl, line 1")
    assert halved.startswith("validation was split in half")
    (tmp_path / "t" / "test.jsonl").write_text("\n")
    (task,) = read(tmp_path / "t")
    assert task.notes[0] == "test was left out, since it has no rows"


def test_a_training_split_of_which_nothing_can_be_used_is_refused(tmp_path):
    for split in SPLITS:
        write(tmp_path / "t" / f"{split}.jsonl", 5)
    write(tmp_path / "t" / "train.jsonl", 5, target=None)
    with pytest.raises(InputError, match=r"train\.jsonl, line 1.*prints a value that is null"):
        read(tmp_path / "t")


def test_bad_paths(tmp_path):
    with pytest.raises(InputError, match="nothing' does not exist"):
        read(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"has no \.jsonl file and no folder with train\.jsonl"):
        read(tmp_path)


def test_bad_names(tmp_path):
    write(tmp_path / "first.jsonl", 5)
    write(tmp_path / "second.jsonl", 5)
    with pytest.raises(InputError, match=r"'name' names a single task, but .* holds 2"):
        read(tmp_path, name="x")
    with pytest.raises(
        InputError, match="'templates' names 'secnd', which is not a task; did you mean 'second'"
    ):
        read(tmp_path, templates={"secnd": {"instruction": "x"}})
    write(tmp_path / "first" / "train.jsonl", 5)
    with pytest.raises(InputError, match="two tasks named 'first'"):
        read(tmp_path)
