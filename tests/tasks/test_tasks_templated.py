"""One data set under many templates: a task for each, filled in from the same rows."""

import json

import pytest

from cotune._config import parse
from cotune.exceptions import InputError
from cotune.studies.grouping._comparison import shared_examples
from cotune.studies.readers import READERS
from cotune.tasks.readers import read_instructions

YES = "Does {{premise}} mean {{hypothesis}}? ||| {% if label != -1 %}{{ answer_choices[label] }}{% endif %}"
NO = "{{hypothesis}} Given {{ premise | upper }}, true?\n\n|||\n{{answer_choices[label]}}"
ASKED = {"instructions": [YES, NO], "choices": ["Yes", "No"]}


@pytest.fixture
def table(tmp_path):
    rows = [{"premise": f"p{i}", "hypothesis": f"h{i}", "label": i % 2} for i in range(30)]
    write(tmp_path, rows)
    return tmp_path


def write(folder, rows):
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(folder, reader="jsonl", **options):
    return parse(READERS[reader], {"path": str(folder), **options}, "reader").read(base=folder, seed=4)


@pytest.mark.parametrize("reader", ["jsonl", "auto"])
def test_templates_are_filled_in_with_the_same_rows(table, reader):
    one, other = read(table, reader, **ASKED)
    assert (one.name, other.name) == ("pairs-001", "pairs-002")
    assert one.instruction == other.instruction == ""
    assert one.format == "plain"
    assert one.metric == "accuracy"
    for split in ("train", "validation", "test"):
        assert len(one[split]) == len(other[split]) > 0
        for mine, theirs in zip(one[split], other[split], strict=True):
            number = mine.input.split()[1].removeprefix("p")
            assert mine.input == f"Does p{number} mean h{number}?"
            assert theirs.input == f"h{number} Given P{number}, true?"
            assert mine.targets == theirs.targets == (("Yes", "No")[int(number) % 2],)
            assert mine.choices == ("Yes", "No")
    assert any("filled into 2 templates" in note for note in one.notes)


def test_their_test_examples_count_once(table):
    tasks = read(table, **ASKED)
    names = shared_examples(tasks)
    assert set(names) == {"pairs-001", "pairs-002"}
    assert len(set(names.values())) == 1
    assert tasks[0].fingerprint != tasks[1].fingerprint


def test_repetitions_are_dropped_and_said_and_numbers_stay_those_of_the_list(table):
    tasks = read(table, choices=["Yes", "No"], instructions=[YES, f"  {YES}\n", NO])
    assert [task.name for task in tasks] == ["pairs-001", "pairs-003"]
    assert all("1 of 3 instructions dropped as repetitions" in task.notes for task in tasks)
    plain = {"input": "{{ premise }}", "target": "{{ label }}"}
    tasks = read(table, **plain, instructions=["Say it.", "Say it. ", "Tell me."])
    assert [task.name for task in tasks] == ["pairs-001", "pairs-003"]
    assert "1 of 3 instructions dropped as repetitions" in tasks[0].notes


def test_a_template_of_the_input_alone_takes_the_target_of_the_reader(table):
    (task,) = read(table, instructions=["Is it {{ hypothesis }}?"], target="{{ premise }}")
    example = task["test"][0]
    assert example.input == f"Is it {example.targets[0].replace('p', 'h')}?"


def test_fields_of_other_names_and_values_are_given_by_expressions(tmp_path):
    rows = [{"text": f"t{i}", "sense": ["same", "other"][i % 2]} for i in range(12)]
    write(tmp_path, rows)
    options = {
        "fields": {"premise": "text", "hypothesis": "text | upper", "label": "1 if sense == 'same' else 0"}
    }
    one, _ = read(tmp_path, **ASKED, **options)
    assert {(e.input, e.targets) for e in one["train"]} >= {("Does t0 mean T0?", ("No",))} or one["test"]
    answers = {e.input: e.targets[0] for split in one.splits.values() for e in split}
    assert answers["Does t0 mean T0?"] == "No"
    assert answers["Does t1 mean T1?"] == "Yes"


def test_a_row_that_one_template_cannot_take_is_left_out_of_all_and_said(tmp_path):
    rows = [{"premise": f"p{i}", "hypothesis": f"h{i}", "label": i % 2} for i in range(30)]
    write(tmp_path, rows)
    never = "{{ premise }}{{ hypothesis }} ||| {% if premise != 'p7' %}{{ answer_choices[label] }}{% endif %}"
    tasks = read(tmp_path, choices=["Yes", "No"], instructions=[YES, never], max_examples={"train": None})
    for task in tasks:
        inputs = [e.input for split in task.splits.values() for e in split]
        assert len(inputs) == 29
        assert not any("p7" in text for text in inputs)
        assert any(note.startswith("1 of 30 rows left out") and "empty target" in note for note in task.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"instructions": [YES, "Say it."]}, "Instruction 1 .* is a template and instruction 2 is none"),
        (
            {"instructions": [YES, "{{ premise "]},
            "Instruction 2 of the task 'pairs': The template .* is not valid Jinja",
        ),
        (
            {"instructions": [YES], "input": "{{ premise }}"},
            "are templates, and 'input', 'template' or 'builtin'",
        ),
        (
            {"instructions": [YES], "fields": {"premises": "premise"}},
            "'fields' gives 'premises', which no template",
        ),
        (
            {"instructions": [YES, "{{ passage }} ||| {{ label }}"]},
            "no field 'passage', which the template needs",
        ),
        (
            {"instructions": [YES, "{{ premise }} ||| {{ label }}"]},
            "instruction 2.*'.' is not one of the choices",
        ),
    ],
)
def test_what_cannot_be_filled_in_is_said_in_a_sentence(table, options, words):
    with pytest.raises(InputError, match=words):
        read(table, **{"choices": ["Yes", "No"], **options})


def test_a_reader_without_rows_refuses_templates(tmp_path):
    content = {
        "Definition": ["Copy."],
        "Instances": [{"id": str(i), "input": f"w{i}", "output": [f"w{i}"]} for i in range(9)],
    }
    (tmp_path / "task1_copy.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="no rows to fill them with; read the data with the reader jsonl"):
        read(tmp_path, "natural_instructions", instructions=[YES])


def test_a_file_of_templates_is_read(tmp_path):
    path = tmp_path / "asked.json"
    path.write_text(json.dumps({"pairs": [YES, YES]}))
    assert read_instructions(path) == {"pairs": [YES, YES]}
