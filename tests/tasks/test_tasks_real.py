"""The readers on real data sets in their own formats."""

import json
from pathlib import Path

import pytest

from cotune.tasks import READERS, SPLITS, check_tasks

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.real


def inputs(task, split):
    return {example.input for example in task[split]}


def check(task):
    assert all(task[split] for split in SPLITS)
    assert not inputs(task, "train") & (inputs(task, "test") | inputs(task, "validation"))
    assert not inputs(task, "test") & inputs(task, "validation")


def test_natural_instructions():
    tasks = READERS["natural_instructions"](path="natural_instructions").read(base=DATA, seed=0)
    check_tasks(tasks)
    assert len(tasks) == 36
    assert len({task.category for task in tasks}) == 14
    for task in tasks:
        check(task)
        assert [len(task[split]) for split in SPLITS] == [256, 32, 64]
        assert task.instruction
        assert len(task.notes) == 1


def test_classification():
    reader = READERS["jsonl"](
        path="classification",
        input="{{ text }}",
        target="{{ label }}",
        templates={
            name: {"input": "{{ premise }}\n{{ hypothesis }}", "choices": choices}
            for name, choices in {
                "cb": ["entailment", "contradiction", "neutral"],
                "rte": ["entailment", "not_entailment"],
            }.items()
        },
    )
    tasks = {task.name: task for task in reader.read(base=DATA, seed=0)}
    assert list(tasks) == ["cb", "cr", "mpqa", "mr", "rte", "sst2", "subj", "trec"]
    for task in tasks.values():
        check(task)
    assert tasks["rte"].metric == "accuracy"
    assert "2 of 2490 train examples dropped as repetitions" in tasks["rte"].notes
    assert "147 of 2000 train examples dropped, whose input a held-out split has" in tasks["mpqa"].notes


def test_classification_under_the_templates_of_the_paper():
    builtins = {name: {"builtin": name} for name in ("rte", "cb")}
    reader = READERS["jsonl"](
        path="classification", input="{{ text }}", target="{{ label }}", templates=builtins, format="plain"
    )
    tasks = {task.name: task for task in reader.read(base=DATA, seed=0)}
    assert len(tasks) == 8
    for name, words in (("rte", {"True", "False"}), ("cb", {"True", "False", "Neither"})):
        task = tasks[name]
        check(task)
        assert (task.metric, task.format, task.instruction) == ("accuracy", "plain", "")
        assert {target for example in task["train"] for target in example.targets} == words
        assert all(set(example.choices) == words for example in task["test"])
        assert all(example.input.endswith("answer:") for example in task["test"])
        assert "validation was split in half" in " ".join(task.notes)
    assert [len(tasks["rte"][split]) for split in SPLITS] == [256, 32, 64]


def test_the_development_set_is_the_test_set_of_the_paper(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))
    reader = READERS["huggingface"](
        path="classification/cb",
        builtin="cb",
        split={"train": "train", "test": "validation"},
        max_examples={"train": None, "validation": 20, "test": None},
    )
    (task,) = reader.read(base=DATA, seed=0)
    check(task)
    assert len(task["test"]) == 56
    assert len(task["validation"]) == 20


def test_instruction_induction():
    tasks = READERS["instruction_induction"](path="instruction_induction").read(base=DATA, seed=0)
    check_tasks(tasks)
    assert len(tasks) == 24
    for task in tasks:
        check(task)
        assert task.instruction
    by_name = {task.name: task for task in tasks}
    assert len(by_name["rhymes"]["test"][0].targets) > 1
    assert by_name["sentiment"]["test"][0].choices == ("positive", "negative")


def test_word_in_context_under_the_template_of_the_paper():
    fields = {
        "sentence1": "input.split(' Sentence 2: ')[0].removeprefix('Sentence 1: ')",
        "sentence2": "input.split(' Sentence 2: ')[1].rsplit(' Word: ', 1)[0]",
        "word": "input.rsplit(' Word: ', 1)[1]",
        "label": "output == 'same'",
    }
    reader = READERS["instruction_induction"](
        path="instruction_induction/word_in_context.json", builtin="wic", fields=fields
    )
    (task,) = reader.read(base=DATA, seed=0)
    check(task)
    assert (task.metric, task.format, task.instruction) == ("accuracy", "plain", "")
    assert {example.targets for example in task["train"]} == {("True",), ("False",)}
    for example in task["test"]:
        assert "Sentence" not in example.input
        assert " is used in the same way in the two sentences. Is it true or False?" in example.input


def test_every_reference_of_a_meaning_representation_stays_in_its_split():
    reader = READERS["jsonl"](path="generation/e2e", template="{{ mr }} ||| {{ ref }}")
    (task,) = reader.read(base=DATA, seed=0)
    check(task)


def test_the_instructions_of_adagroup_render_on_their_tasks(tmp_path):
    instructions = json.loads((DATA / "adagroup_instructions.json").read_text())
    rte = [json.loads(line) for line in (DATA / "classification/rte/validation.jsonl").open()][:20]
    rows = [row | {"label": int(row["label"] == "not_entailment")} for row in rte]
    (tmp_path / "rte.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for template in instructions["rte"]:
        reader = READERS["jsonl"](path="rte.jsonl", template=template, choices=["yes", "no"])
        (task,) = reader.read(base=tmp_path, seed=0)
        check(task)
        assert {example.targets for split in SPLITS for example in task[split]} == {("yes",), ("no",)}


def test_hugging_face_reads_the_same_as_json_lines(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))
    options = {"path": "classification/cb", "template": "{{ premise }} {{ hypothesis }} ||| {{ label }}"}
    tasks = [READERS[name](**options).read(base=DATA, seed=0) for name in ("jsonl", "huggingface")]
    assert tasks[0] == tasks[1]


def test_a_path_is_enough():
    sets = {"classification": 8, "generation": 1, "bbh": 27, "natural_instructions": 36, "p3_templates": 70}
    for folder, count in sets.items():
        tasks = READERS["auto"](path=folder).read(base=DATA, seed=0)
        check_tasks(tasks)
        assert len(tasks) == count, folder
        assert all("read as" in task.notes[0] for task in tasks)
        if folder == "classification":
            assert {task.metric for task in tasks} == {"accuracy"}
            assert len(tasks[-1]["train"][0].choices) == 6  # trec
    by_template = READERS["jsonl"](path="classification/sst2", input="{{ text }}", target="{{ label }}")
    (task,) = by_template.read(base=DATA, seed=0)
    (found,) = READERS["auto"](path="classification/sst2").read(base=DATA, seed=0)
    assert [(e.input, e.targets) for e in found["test"]] == [(e.input, e.targets) for e in task["test"]]


def test_data_as_people_keep_it():
    cases = DATA.parent / "cases" / "tasks"
    expected = {"alpaca.jsonl": "Alpaca", "chat.jsonl": "conversations", "sharegpt.jsonl": "conversations"}
    for path in cases.iterdir():
        tasks = READERS["auto"](path=str(path)).read(base=cases, seed=0)
        assert len(tasks) == (2 if path.name in ("confs", "csvs", "many_tasks.jsonl") else 1), path
        for task in tasks:
            check(task)
            assert {"book moon", "moon book"} & {e.targets[0].rpartition(" ")[0] for e in task["train"]}
            assert any(f"read as {expected.get(path.name, '')}" in note for note in task.notes)
