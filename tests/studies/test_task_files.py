"""Which reader a path needs is told from its content."""

import json

import pytest

from cotune.exceptions import InputError
from cotune.lab.toy_language import TOY_CHECKPOINT
from cotune.studies import Study
from cotune.studies.task_files import merged, read_tasks

ROWS = [{"input": f"word {i}", "target": f"answer {i}"} for i in range(20)]


def jsonl(folder, name="lines.jsonl", rows=ROWS):
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def natural(folder, name="natural.json"):
    instances = [{"input": row["input"], "output": [row["target"]]} for row in ROWS]
    (folder / name).write_text(json.dumps({"Definition": ["Do it."], "Instances": instances}))
    return folder / name


def induction(folder, name="induction.json"):
    rows = [{"input": row["input"], "output": row["target"]} for row in ROWS]
    (folder / name).write_text(json.dumps({"induce": rows[:10], "execute": rows[10:]}))
    return folder / name


def yaml(folder, text="reader: jsonl\npath: lines.jsonl\ninstruction: Answer."):
    jsonl(folder)
    (folder / "task.yaml").write_text(text)
    return folder / "task.yaml"


@pytest.mark.parametrize(
    ("write", "name"), [(jsonl, "lines"), (natural, "natural"), (induction, "induction")]
)
def test_files_and_folders_of_every_format(tmp_path, write, name):
    (by_file,) = read_tasks(write(tmp_path))
    (by_folder,) = read_tasks(tmp_path)
    assert by_file.name == name
    assert by_file.fingerprint == by_folder.fingerprint
    answers = {example.targets[0] for split in by_file.splits.values() for example in split}
    assert answers <= {row["target"] for row in ROWS}


def test_a_folder_of_splits_is_a_task(tmp_path):
    for split, rows in {"train": ROWS[:12], "test": ROWS[12:]}.items():
        jsonl(tmp_path, f"{split}.jsonl", rows)
    (task,) = read_tasks(tmp_path)
    assert {example.input for example in task["test"]} == {row["input"] for row in ROWS[12:]}


def test_yaml_holds_a_reader_or_the_tasks_of_a_study(tmp_path, monkeypatch):
    (task,) = read_tasks(yaml(tmp_path))
    assert task.instruction == "Answer."
    study = "name: mine\nkind: retention\ntasks:\n- {reader: jsonl, path: lines.jsonl, name: one}"
    (of_study,) = read_tasks(yaml(tmp_path, study))
    assert of_study.name == "one"
    (other_seed,) = read_tasks(yaml(tmp_path, f"{study}\nseed: 5"))
    assert other_seed["test"] != of_study["test"]


def test_a_study_needs_no_reader_and_stays_itself_where_more_or_fewer_rows_are_read(tmp_path):
    jsonl(tmp_path)
    (tmp_path / "tasks").mkdir()
    natural(tmp_path / "tasks", "n.json")
    learner = f"learner: {{kind: language_model, model: {TOY_CHECKPOINT}}}\n"
    studies = []
    for options in ("", ", max_rows: 15", ", include: [lines]"):
        text = f"name: mine\n{learner}tasks:\n- {{path: lines.jsonl{options}}}\n- {{path: tasks}}\n"
        (tmp_path / "study.yaml").write_text(text)
        studies.append(Study.load(tmp_path / "study.yaml"))
    assert [task.name for task in studies[0].tasks] == ["lines", "n"]
    assert sum(map(len, studies[1].tasks[0].splits.values())) == 15
    assert len({str(study.identity) for study in studies}) == 1


def test_options_go_before_those_of_a_file_and_a_named_reader_before_the_content(tmp_path):
    file = yaml(tmp_path, "reader: jsonl\npath: lines.jsonl\nmax_examples: {train: 5, test: 2}")
    (task,) = read_tasks(file, options={"max_examples": {"test": 3}, "metric": "nll"})
    assert (len(task["train"]), len(task["test"]), task.metric) == (5, 3, "nll")
    other = tmp_path / "lines.txt"
    jsonl(tmp_path).rename(other)
    assert read_tasks(other, reader="jsonl")[0].name == "lines"


def test_options_of_tables_leave_other_formats_alone(tmp_path):
    template = {"template": "{{ target }} ||| {{ input }}"}
    (table,) = read_tasks(jsonl(tmp_path), table_options=template)
    assert table["test"][0].targets[0].startswith("word")
    (other,) = read_tasks(natural(tmp_path), table_options=template)
    assert other["test"][0].targets[0].startswith("answer")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "x", "must end in one of"),
        ("a.json", '{"rows": []}', "holds no rows"),
        ("a.json", "[1]", "must be a JSON object"),
        ("a.json", "{", "is not JSON"),
        ("a.yaml", "path: x.jsonl", "does not exist"),
        ("a.yaml", "pth: x", "did you mean 'path'"),
        ("a.yaml", "tasks: 3", "tasks"),
        ("a.yaml", "reader: jsnl\npath: x", "did you mean 'jsonl'?"),
        ("a.yaml", "reader: jsonl\npath: x.jsonl", "does not exist"),
        ("a.yaml", "reader: jsonl\npath: x\nseed: -1", "seed"),
    ],
)
def test_what_is_no_task_is_said_in_one_sentence(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=expected.replace("?", r"\?")) as error:
        read_tasks(tmp_path / name)
    assert "\n" not in str(error.value)


def test_merged_options_are_new_and_nested():
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(base, {"a": {"b": 9}, "d": {"e": 1}}) == {"a": {"b": 9, "c": 2}, "d": {"e": 1}}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}
