"""The same rows from every container, and what strangers' files are like."""

import bz2
import csv
import gzip
import importlib.util
import io
import json
import lzma

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cotune.exceptions import InputError
from cotune.tasks import SPLITS
from cotune.tasks.readers import AutoReader

ROWS = [{"input": f'wörd {i}, "quoted"', "target": f"answer é {i}"} for i in range(20)]


def read(path, **options):
    return AutoReader(path=str(path), **options).read(base=path.parent, seed=0)


def pairs(task):
    return {(e.input, *e.targets) for split in SPLITS for e in task[split]}


EXPECTED = {(row["input"], row["target"]) for row in ROWS}


def lines(rows=ROWS, end="\n"):
    return "".join(json.dumps(row, ensure_ascii=False) + end for row in rows)


def table(rows=ROWS, delimiter=",", **options):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter, **options)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def parquet(path, rows=ROWS):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def columns(rows=ROWS):
    return {field: [row[field] for row in rows] for field in rows[0]}


TEXTS = {
    "x.jsonl": lines(),
    "x.ndjson": lines(end="\r\n"),
    "lines.json": lines(),
    "old-mac.jsonl": lines(end="\r"),
    "list.json": json.dumps(ROWS),
    "indented.json": json.dumps(ROWS, indent=2),
    "data.json": json.dumps({"version": 1, "data": ROWS}),
    "split.json": json.dumps({"train": ROWS}, indent=1),
    "columns.json": json.dumps(columns()),
    "pandas.json": json.dumps({k: dict(enumerate(v)) for k, v in columns().items()}),
    "ids.json": json.dumps({f"id{i}": row for i, row in enumerate(ROWS)}),
    "list.jsonl": json.dumps(ROWS),
    "x.csv": table(),
    "windows.csv": table(lineterminator="\r\n"),
    "semicolons.csv": table(delimiter=";"),
    "tabs.csv": table(delimiter="\t"),
    "quoted.tsv": table(delimiter="\t", quoting=csv.QUOTE_ALL),
    "plain.tsv": "".join(f"{a}\t{b}\n" for a, b in [("input", "target"), *EXPECTED]),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_text_of_every_form_and_encoding(tmp_path, name, encoding):
    path = tmp_path / name
    path.write_bytes(TEXTS[name].encode(encoding))
    (task,) = read(path)
    assert pairs(task) == EXPECTED
    assert task.name == path.stem
    escaped = not any(letter > "\x7f" for letter in TEXTS[name]) and encoding == "cp1252"
    said = [note for note in task.notes if "since it is not UTF-8" in note]
    assert bool(said) == (not encoding.startswith("utf-8") and not escaped)


@pytest.mark.parametrize(
    ("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
def test_packed_files(tmp_path, ending, pack, name):
    (tmp_path / f"{name}{ending}").write_bytes(pack(TEXTS[name].encode()))
    (task,) = read(tmp_path / f"{name}{ending}")
    assert (task.name, pairs(task)) == ("x", EXPECTED)


def test_what_no_package_unpacks_is_one_sentence(tmp_path):
    path = tmp_path / "x.jsonl.zst"
    if importlib.util.find_spec("zstandard") is None:
        path.write_bytes(b"\x28\xb5\x2f\xfd")
        with pytest.raises(InputError, match=r"x\.jsonl\.zst cannot be unpacked: .*; zstd needs a package"):
            read(path)
    else:
        import zstandard

        path.write_bytes(zstandard.ZstdCompressor().compress(lines().encode()))
        assert pairs(read(path)[0]) == EXPECTED


def test_parquet_and_names_of_its_labels(tmp_path):
    parquet(tmp_path / "x.parquet")
    (task,) = read(tmp_path / "x.parquet")
    assert pairs(task) == EXPECTED
    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["bad", "good"])
    )
    rows = [{"text": f"row {i}", "label": i % 2} for i in range(20)] + [{"text": "none", "label": -1}]
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "labels.parquet")
    (task,) = read(tmp_path / "labels.parquet")
    assert {targets for _, targets in pairs(task)} == {"bad", "good"}
    assert task["train"][0].choices == ("bad", "good")
    assert "1 dropped (the first: labels.parquet, row 21 has null for 'label'" in task.notes[0]


def test_what_save_to_disk_wrote(tmp_path):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "one")
    (task,) = read(tmp_path / "one")
    assert (task.name, pairs(task)) == ("one", EXPECTED)
    whole = datasets.DatasetDict(
        train=datasets.Dataset.from_list(ROWS[:10]),
        dev=datasets.Dataset.from_list(ROWS[10:13]),
        test=datasets.Dataset.from_list(ROWS[13:]),
        unlabelled=datasets.Dataset.from_list(ROWS),
    )
    whole.save_to_disk(tmp_path / "all")
    (task,) = read(tmp_path / "all")
    assert [len(task[split]) for split in SPLITS] == [10, 3, 7]
    assert "not read of its splits: unlabelled" in task.notes
    one, both = sorted(task.name for task in read(tmp_path))
    assert (one, both) == ("all", "one")


def configurations(folder):
    for name in ("en", "de"):
        (folder / name).mkdir(parents=True)
        (folder / name / "train.jsonl").write_text(
            lines([row | {"input": f"{name} {row['input']}"} for row in ROWS])
        )
    entries = "".join(f"- config_name: {name}\n  data_files: {name}/*.jsonl\n" for name in ("en", "de"))
    (folder / "README.md").write_text(f"---\nconfigs:\n{entries}---\n# Two\n")
    return folder


@pytest.fixture
def cached(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def test_configurations_are_tasks(tmp_path, cached, capsys, monkeypatch):
    folder = configurations(tmp_path / "two")
    en, de = read(folder)
    load, loaded = datasets.load_dataset, []
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *args, **kw: loaded.append(args[1]) or load(*args, **kw)
    )
    assert read(folder, include=["de"]) == [de]
    assert loaded == ["de"]
    assert (en.name, de.name) == ("en", "de")
    assert all(example.input.startswith("de") for example in de["train"])
    (alone,) = read(folder, config="de")
    assert (alone.name, alone["train"]) != (de.name, de["train"])  # named after the data set as well
    assert {e.input for e in alone["train"]} <= {f"de {row['input']}" for row in ROWS}
    assert capsys.readouterr().err == ""


def test_names_of_labels_in_a_card(tmp_path, cached):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "train.jsonl").write_text(lines([{"text": f"t{i}", "label": i % 2} for i in range(20)]))
    (tmp_path / "x" / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - {name: text, dtype: string}\n  - name: label\n    dtype:\n"
        "      class_label: {names: {'0': bad, '1': good}}\n---\n# x\n"
    )
    (task,) = read(tmp_path / "x")
    assert {target for _, target in pairs(task)} == {"bad", "good"}


def test_a_cap_streams_data_sets_and_reads_no_more_of_files(tmp_path, cached, monkeypatch):
    folder = configurations(tmp_path / "two")
    load, streamed = datasets.load_dataset, []
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *args, **kw: streamed.append(kw["streaming"]) or load(*args, **kw)
    )
    for path in (folder, folder / "en" / "train.jsonl"):
        task = read(path, max_rows=12)[0]
        assert sum(len(task[split]) for split in SPLITS) == 12
        assert task.notes[-1] == "only the first 12 rows of train were read (max_rows)"
        assert pairs(task) == {(e.input, *e.targets) for split in SPLITS for e in task[split]}
        assert not any("max_rows" in note for note in read(path, max_rows=20)[0].notes)
    assert streamed
    assert all(streamed)


def test_a_data_set_that_cannot_be_reached_is_a_path_that_does_not_exist(tmp_path, cached):
    with pytest.raises(InputError, match=r"The path '.*someone/unheard' does not exist, and on the hub: "):
        AutoReader(path="someone/unheard").read(base=tmp_path, seed=0)
    with pytest.raises(InputError, match=r"x\.jsonl' does not exist; give"):
        AutoReader(path="x.jsonl").read(base=tmp_path, seed=0)
    (tmp_path / "x.jsonl").write_text(lines())
    with pytest.raises(InputError, match="'config' is of a data set of the hub"):
        read(tmp_path / "x.jsonl", config="en")


@pytest.mark.parametrize("options", [{}, {"max_rows": 15}])
def test_a_data_set_that_breaks_off_is_one_sentence(tmp_path, cached, options):
    folder = configurations(tmp_path / "two")
    with (folder / "en" / "train.jsonl").open("a") as file:
        file.write('{"input": "x", "targ')
    with pytest.raises(InputError, match=r"cannot be (loaded|read)") as error:
        read(folder, **options)
    assert "\n" not in str(error.value)


# Folders


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("train", "dev"), [10, 2, 3]),
        (("train", "valid", "test"), [10, 5, 5]),
        (("training", "val", "eval"), [10, 5, 5]),
        (("train", "validation", "evaluation"), [10, 5, 5]),
        (("Train", "DEV", "Test"), [10, 5, 5]),
        (("reviews_train", "reviews_dev", "reviews_test"), [10, 5, 5]),
        (("dev-reviews", "train-reviews"), None),
        (("train-00000-of-00001", "validation-00000-of-00001"), [10, 2, 3]),
    ],
)
def test_files_named_after_splits_are_one_task(tmp_path, names, sizes):
    folder = tmp_path / "reviews"
    folder.mkdir()
    parts = {"train": ROWS[:10], "eval": ROWS[15:], "test": ROWS[15:], "val": ROWS[10:15], "dev": ROWS[10:15]}
    for name in names:
        part = next(rows for key, rows in parts.items() if key in name.lower())
        (folder / f"{name}.jsonl").write_text(lines(part))
    (task,) = read(folder)
    assert task.name == "reviews"
    if sizes:
        assert sorted(len(task[split]) for split in SPLITS) == sorted(sizes)
        assert len(task["train"]) == sizes[0]
        assert {e.input for e in task["train"]} == {row["input"] for row in ROWS[:10]}
    assert not any("divided" in note for note in task.notes)


def test_shards_are_read_together(tmp_path):
    (tmp_path / "x" / "data").mkdir(parents=True)
    for number, part in enumerate((ROWS[:9], ROWS[9:12])):
        parquet(tmp_path / "x" / "data" / f"train-0000{number}-of-00002.parquet", part)
    parquet(tmp_path / "x" / "data" / "test-00000-of-00001.parquet", ROWS[12:])
    (task,) = read(tmp_path / "x")
    assert (task.name, pairs(task)) == ("x", EXPECTED)
    assert len(task["test"]) == 8


def test_folders_named_after_splits_are_one_task(tmp_path):
    for split, part in {"train": ROWS[:12], "dev": ROWS[12:]}.items():
        (tmp_path / "x" / split).mkdir(parents=True)
        (tmp_path / "x" / split / "a.jsonl").write_text(lines(part))
    (task,) = read(tmp_path / "x")
    assert (task.name, len(task["train"]), pairs(task)) == ("x", 12, EXPECTED)


def test_a_folder_of_anything_has_a_task_a_file_and_folder(tmp_path):
    folder = tmp_path / "tasks"
    (folder / "d").mkdir(parents=True)
    (folder / "a.csv").write_text(table())
    (folder / "b.json").write_text(json.dumps(ROWS))
    parquet(folder / "c.parquet")
    (folder / "d" / "train.tsv").write_text(table(delimiter="\t"))
    (folder / "e").mkdir()
    for name in ("one", "two"):
        (folder / "e" / f"{name}.jsonl").write_text(lines())
    (folder / "x_train.jsonl").write_text(lines(ROWS[:12]))
    (folder / "x_test.jsonl").write_text(lines(ROWS[12:]))
    (folder / "lonely_test.jsonl").write_text(lines())
    for name in (
        ".DS_Store",
        ".hidden.jsonl",
        "README.md",
        "~$a.csv",
        ".~lock.a.csv#",
        "a.lock",
        "notes.txt",
    ):
        (folder / name).write_bytes(b"\x00\xff no rows")
    (folder / ".git").mkdir()
    (folder / "empty.jsonl").write_text("")
    (folder / "header.csv").write_text("input,target\n")
    (folder / "dataset_infos.json").write_text('{"license": "none", "splits": {"train": 3}}')
    register = {"a": {"file_name": "a.csv"}, "b": {"file_name": "b.json", "formatting": "sharegpt"}}
    (folder / "dataset_info.json").write_text(json.dumps(register))
    tasks = read(folder)
    assert [task.name for task in tasks] == ["a", "b", "c", "lonely_test", "x", "d", "e_one", "e_two"]
    assert all(pairs(task) == EXPECTED for task in tasks)
    assert len(tasks[4]["test"]) == 8
    assert tasks[0].notes[-1] == ("beside it, left out since they hold no rows: dataset_infos, empty, header")
    for name in ("empty.jsonl", "header.csv"):
        with pytest.raises(InputError, match=f"{name} has no rows"):
            read(folder / name)


def test_what_is_beside_splits_is_said(tmp_path):
    (tmp_path / "train.jsonl").write_text(lines())
    (tmp_path / "extra.csv").write_text(table())
    (task,) = read(tmp_path)
    assert "not read, beside the files of splits: extra.csv" in task.notes


def test_two_tasks_of_one_name_and_folders_without_any_are_refused(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match="has nothing to read tasks from"):
        read(tmp_path / "x")
    (tmp_path / "x" / "a.csv").write_text(table())
    (tmp_path / "x" / "a.jsonl").write_text(lines())
    with pytest.raises(InputError, match=r"two tasks named 'a' \(a\.csv, a\.jsonl\)"):
        read(tmp_path / "x")
    (tmp_path / "x" / "notes.txt").write_text("text")
    with pytest.raises(InputError, match=r"must end in one of \.jsonl"):
        read(tmp_path / "x" / "notes.txt")


# Rows as they should not be


BAD_LINES = (
    *('{"input": "x", "targ', "[1]", "null", '{"input": null, "target": "y"}', '{"input": "x"}'),
    *('{"input": "x", "target": [["y"]]}', '{"input": "x", "target": ""}', '{"input": ' + "[" * 100_000),
)


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_line_is_dropped_and_its_number_said(tmp_path, bad):
    path = tmp_path / "x.jsonl"
    path.write_text(lines(ROWS[:3]) + bad + "\n" + lines(ROWS[3:]))
    (task,) = read(path)
    assert pairs(task) == EXPECTED
    assert task.notes[0].startswith(
        "read as input/target: 20 examples, 1 dropped (the first: x.jsonl, line 4"
    )
    (tmp_path / "y.jsonl").write_text(bad + "\n" + lines())
    assert pairs(read(tmp_path / "y.jsonl")[0]) == EXPECTED


def test_broken_bytes_cost_their_line_alone_where_the_rest_is_utf8(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(lines().encode() + b'{"input": "\xff", "target": "y"}\n')
    (tmp_path / "x.csv").write_bytes(table().encode() + b"\xff,y\n")
    for name, line in (("x.jsonl", 21), ("x.csv", 22)):
        (task,) = read(tmp_path / name)
        assert pairs(task) == EXPECTED
        assert f"1 dropped (the first: {name}, line {line} is not text in the encoding" in task.notes[0]


def test_cells_too_many_missing_and_long(tmp_path):
    long = "word " * 60_000
    rows = f'{table()}a,b,c\n"{long}",long\nno target\n\n'
    (tmp_path / "x.csv").write_text(rows)
    (task,) = read(tmp_path / "x.csv")
    assert pairs(task) == EXPECTED | {(long.strip(), "long")}
    assert "2 dropped (the first: x.csv, line 22 has 3 cells, but the header names 2" in task.notes[0]


def test_the_line_by_which_spreadsheets_say_what_parts_the_cells(tmp_path):
    (tmp_path / "x.csv").write_text(f"sep=;\r\n{table(delimiter=';')}only one cell\r\n")
    (task,) = read(tmp_path / "x.csv")
    assert pairs(task) == EXPECTED
    assert "1 dropped (the first: x.csv, line 23 has an empty target" in task.notes[0]


def test_columns_of_one_name_are_told_apart(tmp_path):
    (tmp_path / "x.csv").write_text("text,label,text,\n" + "".join(f"q{i},a{i},other,9\n" for i in range(9)))
    (task,) = read(tmp_path / "x.csv")
    assert pairs(task) == {(f"q{i}", f"a{i}") for i in range(9)}
    assert task.notes[0] == "read as text/label, without text_2: 9 examples"


def test_a_lone_quotation_mark_swallows_no_lines_of_tabs(tmp_path):
    rows = [*EXPECTED, ('"open', "quoted")]
    (tmp_path / "x.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in [("input", "target"), *rows]))
    assert pairs(read(tmp_path / "x.tsv")[0]) == set(rows)


@pytest.mark.parametrize("kind", ["json", "parquet", "csv", "csv of pandas", "csv with NaN"])
def test_numbers_are_as_they_were_meant(tmp_path, kind):
    values = [None if i == 3 else i % 5 for i in range(40)]
    rows = [{"text": f"row {i}", "label": value} for i, value in enumerate(values)]
    path = tmp_path / f"x.{kind.split()[0]}"
    if kind.startswith("csv "):  # whose integers have become decimals
        gap = "NaN" if "NaN" in kind else ""
        written = [gap if value is None else f"{value}.0" for value in values]
        path.write_text("text,label\n" + "".join(f"row {i},{value}\n" for i, value in enumerate(written)))
    elif kind == "csv":
        path.write_text(
            table([row | {"label": "" if row["label"] is None else row["label"]} for row in rows])
        )
    elif kind == "json":
        path.write_text(json.dumps([row | {"label": row["label"] and float(row["label"])} for row in rows]))
    else:  # as pandas writes integers with a gap
        floats = pyarrow.array([None if v is None else float(v) for v in values], pyarrow.float64())
        texts = [row["text"] for row in rows]
        pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": floats}), path)
    (task,) = read(path)
    assert {target for _, target in pairs(task)} == set("01234")
    assert ", 1 dropped" in task.notes[0]
    assert task["train"][0].choices == tuple("01234")


def test_decimals_stay_decimals(tmp_path):
    for name, rest in (("full", ""), ("mixed", "row,6.5\nrow,\n")):
        (tmp_path / f"{name}.csv").write_text(
            "text,score\n" + "".join(f"r{i},{i}.0\n" for i in range(9)) + rest
        )
        (task,) = read(tmp_path / f"{name}.csv", input="{{ text }}", target="{{ score }}")
        assert ("r3", "3.0") in pairs(task)
    rows = [{"input": f"row {i}", "target": 1.0 * i} for i in range(9)]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    assert ("row 3", "3.0") in pairs(read(tmp_path / "x.json")[0])


def test_a_type_that_changes_within_a_column(tmp_path):
    rows = [{"text": f"row {i}", "label": (i % 2, str(i % 2))[i < 10]} for i in range(20)]
    (tmp_path / "x.jsonl").write_text(lines(rows))
    (task,) = read(tmp_path / "x.jsonl")
    assert task["train"][0].choices == ("0", "1")


def test_repeated_rows_and_html_are_said(tmp_path):
    rows = [
        *ROWS,
        *ROWS[:5],
        {"input": "a &lt;b&gt; &amp; c", "target": "x"},
        {"input": "&#39;", "target": "y"},
    ]
    (tmp_path / "x.jsonl").write_text(lines(rows))
    (task,) = read(tmp_path / "x.jsonl")
    assert ("a &lt;b&gt; &amp; c", "x") in pairs(task)
    assert "2 of 27 examples hold references of HTML such as &amp;, kept as they are" in task.notes
    assert any("dropped as repetitions" in note for note in task.notes)


def test_splits_with_different_columns_and_without_answers(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "train.csv").write_text(table(ROWS[:12]))
    asked = [{"question": row["input"], "answer": row["target"], "id": 1} for row in ROWS[12:]]
    (tmp_path / "x" / "dev.jsonl").write_text(lines(asked))
    (tmp_path / "x" / "test.jsonl").write_text(lines([{"input": "q"}] * 5))
    (task,) = read(tmp_path / "x")
    assert pairs(task) == EXPECTED
    assert "input/target (train, test), question/answer (validation), without id" in task.notes[0]
    assert "test was left out, since none of its 5 rows can be used" in task.notes
    assert "validation was split in half, since the source has no test examples" in task.notes


def test_held_out_labels_that_stand_for_none(tmp_path):
    (tmp_path / "x").mkdir()
    for split in ("train", "dev", "test"):
        rows = [{"text": f"{split} {i}", "label": -1 if split == "test" else i % 2} for i in range(20)]
        (tmp_path / "x" / f"{split}.jsonl").write_text(lines(rows))
    (task,) = read(tmp_path / "x")
    assert {target for _, target in pairs(task)} == {"0", "1"}
    assert {e.input.split()[0] for e in task["test"]} == {"dev"}
    assert "test was left out, since all its labels are -1, which stands for none" in task.notes
    assert task["test"][0].choices == ("0", "1")


def test_broken_files_are_one_sentence(tmp_path):
    for name, content in (("x.parquet", b"PAR1 no"), ("x.jsonl.gz", b"no gzip"), ("x.json", b"[{]")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"x\.(parquet|jsonl\.gz|json) cannot be") as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value)


TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\x1e\x02|", exclude_categories=("Cs", "Cc")),
    min_size=1,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(TEXT, TEXT), min_size=3, max_size=8, unique_by=lambda row: row[0].strip()),
    kind=st.sampled_from(["jsonl", "json", "csv", ";", "\t", "parquet"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_any_rows_in_any_container_are_the_same_examples(tmp_path, rows, kind, encoding, newline):
    found = [{"input": a, "target": b} for a, b in rows if b.strip()]
    if len(found) < 3:
        return
    path = tmp_path / f"x.{kind if kind.isalpha() else 'csv'}"
    if kind == "parquet":
        parquet(path, found)
    elif kind == "jsonl":
        path.write_bytes(lines(found, newline).encode(encoding))
    elif kind == "json":
        path.write_bytes(json.dumps(found, ensure_ascii=False).encode(encoding))
    else:
        delimiter = "," if kind == "csv" else kind
        path.write_bytes(table(found, delimiter, lineterminator=newline).encode(encoding))
    (task,) = read(path, find_choices=False)
    assert pairs(task) == {(row["input"].strip(), row["target"].strip()) for row in found}
