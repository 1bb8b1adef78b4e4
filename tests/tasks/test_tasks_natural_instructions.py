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
    assert task.notes == ("3 of 23 examples dropped as repetitions",)


def test_a_task_without_category_is_fine(tmp_path):
    data = content()
    del data["Categories"]
    (task,) = read(write(tmp_path / "t.json", data))
    assert task.category == ""


@pytest.mark.parametrize(
    "instance",
    [
        {"input": "x", "output": [""]},
        {"input": "x", "output": []},
        {"input": "x", "output": None},
        {"input": None, "output": ["y"]},
        {"input": {"text": "x"}, "output": ["y"]},
        {"input": "x", "output": [["y"]]},
        {"input": "x", "output": [float("nan")]},
        {"input": "\ud83d", "output": ["y"]},
        {"input": "x", "output": ["\udc00"]},
        {"output": ["y"]},
        "x",
        None,
    ],
)
def test_an_instance_that_cannot_be_used_is_dropped_and_counted(tmp_path, instance):
    instances = content(500)["Instances"]
    instances[292:292] = [instance]
    (task,) = read(
        write(tmp_path / "task293.json", content(Instances=instances)), max_examples={"train": None}
    )
    note, *capped = task.notes
    assert note.startswith("1 of 501 examples dropped as unusable (the first: task293.json, instance 293 ")
    assert all("capped" in other for other in capped)
    with pytest.raises(InputError, match=r"task293\.json, instance 1 "):
        read(write(tmp_path / "task293.json", content(Instances=[instance] * 9)))


def test_numbers_are_the_text_that_json_writes(tmp_path):
    instances = [{"input": i, "output": [i, 0.5, True]} for i in range(9)]
    (task,) = read(write(tmp_path / "t.json", content(Instances=instances)))
    assert task["test"][0].targets == (task["test"][0].input, "0.5", "true")
    assert task.notes == ()


@pytest.mark.parametrize("categories", [[None], [{"a": 1}], 5, ["\ud83d"]])
def test_a_category_that_is_no_text_is_left_out_and_said(tmp_path, categories):
    (task,) = read(write(tmp_path / "t.json", content(Categories=categories)))
    assert (task.category, task.notes) == ("", ("the category was left out, since it is no text",))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (content(Instances=[]), r"t\.json has no instances"),
        (content(Definition=[]), r"t\.json has no definition"),
        (["x"], r"t\.json must be a JSON object"),
        ({"Definition": ["x"]}, r"t\.json is not a Natural Instructions task: Instances: Field required"),
        (
            content(Instances=[{"input": "x", "output": "y"}]),
            r"instance 1 must have a list of acceptable outputs, got 'y'",
        ),
        (
            content(Instances=[{"input": "x", "output": ["y"]}, {"input": "x", "output": [" "]}]),
            "instance 2 has an empty",
        ),
        (content(Instances=[{"input": "x", "output": []}]), "instance 1 has an empty target"),
        (content(2), "needs at least 3 examples"),
        (content(Definition=[None, "x"]), "first definition has to be a text, but is null"),
        (content(Definition=["\ud83d"]), "first definition has half of a surrogate pair"),
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
