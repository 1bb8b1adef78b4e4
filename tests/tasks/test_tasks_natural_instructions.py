import json

import pytest

from cotune.exceptions import InputError
from cotune.tasks import SPLITS
from cotune.tasks.readers import NaturalInstructionsReader


def content(count=20, **changes):
    instances = [
        {"id": f"t-{i}", "input": f" question {i}\n", "output": [f"answer {i}", "else"]} for i in range(count)
    ]
    return {
        "Contributors": ["someone"],
        "Categories": ["Question Answering", "Other"],
        "Definition": ["Answer the question. "],
        "Positive Examples": [],
        "Instances": instances,
        "Instance License": ["MIT"],
    } | changes


def write(path, data):
    path.write_text(json.dumps(data))
    return path


def read(path, **options):
    return NaturalInstructionsReader(path=path, **options).read(base=path.parent, seed=0)


def test_a_file_is_a_task(tmp_path):
    (task,) = read(write(tmp_path / "task001_quiz.json", content()))
    assert (task.name, task.category, task.metric) == ("task001_quiz", "Question Answering", "rouge_l")
    assert task.instruction == "Answer the question."
    assert [len(task[split]) for split in SPLITS] == [14, 2, 4]
    number = task["test"][0].input.removeprefix("question ")
    assert task["test"][0].targets == (f"answer {number}", "else")


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    for name in ("task10", "task02", "task1"):
        write(tmp_path / f"{name}.json", content())
    (tmp_path / "README.md").write_text("tasks")
    assert [task.name for task in read(tmp_path)] == ["task02", "task1", "task10"]


def test_repeated_instances_are_dropped_and_counted(tmp_path):
    instances = content()["Instances"]
    (task,) = read(write(tmp_path / "t.json", content(Instances=instances + instances[:3])))
    assert task.notes == ("3 of 23 examples repeat another and were dropped",)


def test_a_task_without_category_is_fine(tmp_path):
    data = content()
    del data["Categories"]
    (task,) = read(write(tmp_path / "t.json", data))
    assert task.category == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (content(Instances=[]), r"t\.json has no instances"),
        (content(Definition=[]), r"t\.json has no definition"),
        (["x"], r"t\.json must be a JSON object"),
        ({"Definition": ["x"]}, r"t\.json is not a Natural Instructions task: Instances: Field required"),
        (
            content(Instances=[{"input": "x", "output": "y"}]),
            r"Instances\[0\]\.output: Input should be a valid list",
        ),
        (
            content(Instances=[{"input": "x", "output": ["y"]}, {"input": "x", "output": [" "]}]),
            "instance 2 has an empty",
        ),
        (content(Instances=[{"input": "x", "output": []}]), "instance 1 has an empty target"),
        (content(2), "needs at least 3 examples"),
    ],
)
def test_a_file_that_is_not_a_task_is_named(tmp_path, data, message):
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "t.json", data))


def test_a_file_that_is_not_json_is_named_with_its_line(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('{\n "Definition": ["x"],\n "Instances": [\n}')
    with pytest.raises(InputError, match=r"t\.json, line 4 is not JSON: Expecting value at column 1"):
        read(path)
    path.write_bytes(b'{\n\n"\xff\n\n')
    with pytest.raises(InputError, match=r"t\.json, line 3 is not UTF-8"):
        read(path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no \.json file"):
        read(tmp_path)
