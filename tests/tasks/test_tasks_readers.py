"""What all readers have in common, seen through the one whose files are the shortest."""

import json

import pytest
from pydantic import ValidationError

from cotune.exceptions import InputError
from cotune.tasks import READERS, SPLITS, stops_of
from cotune.tasks.readers import JsonLinesReader, ReaderConfig


@pytest.fixture
def folder(tmp_path):
    for name in ("nli_a", "nli_b", "summary"):
        rows = [{"input": f"{name} {i}", "target": "yes" if i % 2 else "no"} for i in range(20)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def names(folder, **options):
    return [task.name for task in JsonLinesReader(path=".", **options).read(base=folder, seed=0)]


def test_the_table_is_of_readers():
    assert set(READERS) == {"auto", "huggingface", "instruction_induction", "jsonl", "natural_instructions"}
    assert all(issubclass(reader, ReaderConfig) for reader in READERS.values())
    assert all(field.description for reader in READERS.values() for field in reader.model_fields.values())


def test_include_and_exclude_take_names_and_patterns(folder):
    assert names(folder) == ["nli_a", "nli_b", "summary"]
    assert names(folder, include=["summary", "nli_a"]) == ["nli_a", "summary"]
    assert names(folder, include=["nli_*"]) == ["nli_a", "nli_b"]
    assert names(folder, include=["nli_*"], exclude=["*_b"]) == ["nli_a"]


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_pattern_that_matches_nothing_names_the_nearest_task(folder, option):
    with pytest.raises(InputError, match=f"No task matches 'sumary' of '{option}'; did you mean 'summary'"):
        names(folder, **{option: ["sumary"]})


@pytest.mark.parametrize("options", [{"exclude": ["*"]}, {"include": []}])
def test_some_task_has_to_stay(folder, options):
    with pytest.raises(InputError, match="leave none of the 3 tasks"):
        names(folder, **options)


def test_a_task_does_not_depend_on_the_others_read(folder):
    alone = JsonLinesReader(path="nli_b.jsonl").read(base=folder, seed=3)
    among = JsonLinesReader(path=".").read(base=folder, seed=3)
    assert alone[0] == among[1]
    assert alone[0].fingerprint == among[1].fingerprint
    assert alone[0] != JsonLinesReader(path="nli_b.jsonl").read(base=folder, seed=4)[0]


def test_excluded_tasks_are_not_opened(folder):
    (folder / "summary.jsonl").write_text("no json")
    assert names(folder, exclude=["summary"]) == ["nli_a", "nli_b"]


def test_metric_fractions_and_caps(folder):
    options = {
        "metric": "token_f1",
        "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25},
        "max_examples": {"train": 3, "test": None},
    }
    (task,) = JsonLinesReader(path="summary.jsonl", **options).read(base=folder, seed=0)
    assert task.metric == "token_f1"
    assert [len(task[split]) for split in SPLITS] == [3, 5, 5]
    assert task.notes == ("train capped at 3 examples (of 10)",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "rouge_x"}, "'rouge_x' is not a metric; did you mean"),
        ({"fractions": {"train": 0.9}}, "must sum to 1, got 1.2"),
        ({"fractions": {"train": 0.0, "validation": 0.5, "test": 0.5}}, "greater than 0"),
        ({"max_examples": {"train": 0}}, "greater than or equal to 1"),
        ({"max_examples": {"train": "10"}}, "valid integer"),
        ({"max_example": {"train": 10}}, "Extra inputs"),
        ({"include": "summary"}, "valid list"),
    ],
)
def test_options_are_strict(options, message):
    with pytest.raises(ValidationError, match=message):
        JsonLinesReader(path=".", **options)


def test_options_cannot_change(folder):
    reader = JsonLinesReader(path=".")
    with pytest.raises(ValidationError, match="frozen"):
        reader.metric = "bleu"


def test_stops_are_the_tasks_own(folder):
    (task,) = JsonLinesReader(path="nli_a.jsonl", stops=["###"]).read(base=folder, seed=0)
    assert (task.stops, stops_of(task)) == (("###",), ("###",))
    (plain,) = JsonLinesReader(path="nli_a.jsonl").read(base=folder, seed=0)
    assert (plain.stops, stops_of(plain)) == (None, ("\n\nInput:", "\n"))
    assert plain.fingerprint != task.fingerprint


def test_a_stop_that_an_answer_holds_ends_none_and_is_told(folder):
    (task,) = JsonLinesReader(path="nli_a.jsonl", stops=["es", "##"]).read(base=folder, seed=0)
    assert stops_of(task) == ("##",)
    assert "the stop 'es' ends no answer, since an answer of the task holds it" in task.notes


@pytest.mark.parametrize("stops", [[""], ["a", "a"]])
def test_stops_are_different_texts(stops):
    with pytest.raises(
        ValidationError, match="'stops' must be different texts of at least one character each"
    ):
        JsonLinesReader(path=".", stops=stops)
