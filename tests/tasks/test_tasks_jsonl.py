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
