"""One data set under many instructions: a task for each, over the same examples."""

import json

import pytest
import yaml

from cotune._config import parse
from cotune.exceptions import InputError
from cotune.studies.readers import READERS
from cotune.tasks import SPLITS
from cotune.tasks.readers import InstructionInductionReader, JsonLinesReader, read_instructions

ASKED = ["Copy the input.", "Say it again."]


@pytest.fixture
def table(tmp_path):
    """A folder of two tasks of JSON lines."""
    for name in ("echo", "again"):
        rows = [{"input": f"{name} {i}", "target": f"{name} {i}"} for i in range(12)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def read(folder, **options):
    reader = parse(READERS["jsonl"], {"path": str(folder), **options}, "reader")
    return reader.read(base=folder, seed=4)


def test_every_instruction_is_a_task_over_the_very_same_examples(table):
    (plain,) = read(table, include=["echo"])
    tasks = read(table, include=["echo"], instructions=ASKED)
    assert [task.name for task in tasks] == ["echo-001", "echo-002"]
    assert [task.instruction for task in tasks] == ASKED
    for task in tasks:
        # Held once in memory, and dealt out as without instructions.
        assert task.splits is tasks[0].splits
        assert task.splits == plain.splits
        assert (task.metric, task.format, task.notes) == (plain.metric, plain.format, plain.notes)
    assert tasks[0].fingerprint != tasks[1].fingerprint


def test_the_source_is_read_once(table, monkeypatch):
    loads = []
    source = JsonLinesReader.sources

    def counted(self, base):
        return {
            name: lambda load=load: loads.append(1) or load() for name, load in source(self, base).items()
        }

    monkeypatch.setattr(JsonLinesReader, "sources", counted)
    assert len(read(table, include=["echo"], instructions=[str(i) for i in range(20)])) == 20
    assert loads == [1]


def test_a_list_serves_every_task_and_a_mapping_each_its_own(table):
    assert [t.name for t in read(table, instructions=ASKED)] == [
        "again-001",
        "again-002",
        "echo-001",
        "echo-002",
    ]
    own = {"echo": ["  Repeat. "], "again": ASKED}
    found = {t.name: t.instruction for t in read(table, instructions=own)}
    assert found == {"again-001": ASKED[0], "again-002": ASKED[1], "echo-001": "Repeat."}


@pytest.mark.parametrize(
    "content",
    [ASKED, {"echo": ASKED}, {"echo": [{"instruction": text, "score": -1.5} for text in ASKED]}],
    ids=["list", "by task", "scored"],
)
def test_instructions_come_from_a_file_beside_the_study(table, content):
    (table / "asked.yaml").write_text(yaml.safe_dump(content))
    tasks = read(table, include=["echo"], instructions="asked.yaml")
    assert [task.instruction for task in tasks] == ASKED


@pytest.mark.parametrize("reader", sorted(READERS))
def test_every_reader_has_the_option(reader):
    assert "instructions" in READERS[reader].model_fields


def test_instructions_replace_those_that_come_with_the_data(tmp_path):
    examples = [{"input": f"w{i}", "output": f"v{i}"} for i in range(9)]
    content = {"induce": examples[:6], "execute": examples[6:], "instructions": ["Its own."]}
    path = tmp_path / "words.json"
    path.write_text(json.dumps(content))
    tasks = InstructionInductionReader(path=path, instructions=ASKED).read(base=tmp_path, seed=0)
    assert [task.instruction for task in tasks] == ASKED
    assert {len(tasks[0][split]) for split in SPLITS} <= {1, 3, 5}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"instructions": []}, "has no instruction"),
        ({"instructions": {}}, "has no instruction"),
        ({"instructions": ["a", " "]}, "instruction 2 is empty"),
        ({"instructions": {"echo": ["a"]}}, "has none for the task 'again'; did you mean 'echo'"),
        ({"instructions": ["a"], "instruction": "b"}, "'instructions' and 'instruction' both say"),
        ({"instructions": "absent.yaml"}, "absent.yaml' does not exist"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(table, options, words):
    with pytest.raises(InputError, match=words):
        read(table, **options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a, [b]]", "instruction 2 must be a text"),
        ("[a, {text: b}]", "instruction 2 must be a text"),
        ("some words", "must be a list"),
        ("{echo: Copy it.}", "echo must be a list"),
        ("[a, b", r"asked.yaml, line 1: expected"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path, text, words):
    path = tmp_path / "asked.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_instructions(path)
