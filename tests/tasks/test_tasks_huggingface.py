import json

import pytest
from pydantic import ValidationError

from cotune.exceptions import InputError
from cotune.tasks import SPLITS
from cotune.tasks.readers import HuggingFaceReader, JsonLinesReader

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))


def write(path, count):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"text": f"{path.stem} {i}", "label": i % 2} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


OPTIONS = {"input": "{{ text }}", "target": "{{ label }}", "labels": ["bad", "good"]}


def read(base, **options):
    return HuggingFaceReader(**OPTIONS | options).read(base=base, seed=0)


def test_a_local_folder_is_read_as_json_lines_are(tmp_path):
    write(tmp_path / "reviews" / "train.jsonl", 8)
    write(tmp_path / "reviews" / "test.jsonl", 6)
    expected = JsonLinesReader(path="reviews", **OPTIONS).read(base=tmp_path, seed=0)
    assert read(tmp_path, path="reviews") == expected
    assert expected[0].metric == "accuracy"


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_local_file(tmp_path, form):
    table = datasets.Dataset.from_list([{"text": f"row {i}", "label": i % 2} for i in range(10)])
    path = str(tmp_path / f"reviews.{form}")
    {"jsonl": table.to_json, "csv": table.to_csv, "parquet": table.to_parquet}[form](path)
    (task,) = read(tmp_path, path=f"reviews.{form}")
    assert task.name == "reviews"
    assert [len(task[split]) for split in SPLITS] == [7, 1, 2]
    assert {e.targets for e in task["train"]} == {("bad",), ("good",)}


def test_splits_can_be_chosen_and_sliced(tmp_path):
    for split in ("train", "validation", "test"):
        write(tmp_path / "reviews" / f"{split}.jsonl", 9)
    (task,) = read(tmp_path, path="reviews", split={"train": "train[:5]", "test": "validation"}, name="own")
    assert task.name == "own"
    assert {e.input for e in task["test"]} == {f"validation {i}" for i in range(9)}
    assert {e.input for e in (*task["train"], *task["validation"])} == {f"train {i}" for i in range(5)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"path": "someone/unheard-of"},
            "'someone/unheard-of' cannot be loaded: Couldn't reach .*OfflineModeIsEnabled",
        ),
        ({"path": "reviews", "split": {"train": "dev"}}, "'reviews' cannot be loaded: Unknown split \"dev\""),
        ({"path": "reviews", "config": "other"}, "cannot be loaded: BuilderConfig 'other' not found"),
        (
            {"path": "reviews", "input": "{{ txt }}"},
            "split train, row 1 has no field 'txt', .* are text, label",
        ),
        ({"path": "reviews", "labels": ["bad"]}, "split train, row 2: '1' is not one of the labels 0"),
        ({"path": "broken.jsonl"}, "'broken.jsonl' cannot be loaded: JSON parse error"),
        ({"path": "notes.txt"}, r"must end in one of \.json, \.jsonl, \.csv, \.parquet"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, options, message):
    write(tmp_path / "reviews" / "train.jsonl", 4)
    (tmp_path / "broken.jsonl").write_text('{"text": \n')
    (tmp_path / "notes.txt").write_text("not a table")
    with pytest.raises(InputError, match=message):
        read(tmp_path, **options)


def test_rows_that_cannot_be_used_are_dropped_and_counted(tmp_path):
    write(tmp_path / "reviews" / "train.jsonl", 30)
    with (tmp_path / "reviews" / "train.jsonl").open("a") as file:
        file.write('{"text": null, "label": 1}\n{"text": "x", "label": 7}\n')
    (task,) = read(tmp_path, path="reviews", labels=["bad", "good"])
    assert task.notes == (
        "2 of 32 examples dropped as unusable (the first: The dataset 'reviews', split train, row 31: "
        "the template cannot be filled in: it prints a value that is null; its fields are text, label)",
    )


def test_whole_numbers_of_a_csv_with_gaps_stay_whole(tmp_path):
    rows = "".join(f"row {i},{'' if i == 3 else i % 2},{i}.0\n" for i in range(12))
    (tmp_path / "reviews.csv").write_text(f"text,label,score\n{rows}")
    (task,) = read(tmp_path, path="reviews.csv")
    assert task.notes[0].startswith("1 of 12 examples dropped as unusable")
    assert {e.targets for e in task["train"]} == {("bad",), ("good",)}
    (scores,) = read(tmp_path, path="reviews.csv", target="{{ score }}", labels=None)
    assert all(e.targets[0].endswith(".0") for e in scores["train"])  # no gap: as it was written


def test_splits_of_other_names_have_to_be_named(tmp_path):
    dataset = datasets.DatasetDict(own=datasets.Dataset.from_list([{"text": "a", "label": 0}]))
    dataset["own"].to_json(str(tmp_path / "reviews" / "own-00000-of-00001.jsonl"))
    (tmp_path / "reviews" / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: own\n    path: own*\n---\n"
    )
    with pytest.raises(InputError, match=r"has no split named train, validation, test; .* out of own"):
        read(tmp_path, path="reviews")


def test_an_unknown_split_of_ours_is_refused():
    with pytest.raises(ValidationError, match="split"):
        HuggingFaceReader(path="x", split={"dev": "validation"})
