import json

import pytest

from cotune.exceptions import InputError
from cotune.tasks import SPLITS
from cotune.tasks.readers import InstructionInductionReader


def write(folder, name, rows, **others):
    half = len(rows) // 2
    content = {"name": name, "induce": rows[:half], "execute": rows[half:]} | others
    (folder / f"{name}.json").write_text(json.dumps(content))


def read(folder, **options):
    tasks = InstructionInductionReader(path=".", **options).read(base=folder, seed=0)
    return tasks[0] if len(tasks) == 1 else tasks


def everything(task):
    return [example for split in SPLITS for example in task[split]]


@pytest.fixture
def opposites(tmp_path):
    rows = [{"input": f"a{n}", "output": f"b{n}"} for n in range(20)]
    write(tmp_path, "antonyms", rows, instructions=["Write the opposite. ", "Turn it around."])
    return tmp_path


def test_induce_is_training_and_execute_is_testing(opposites):
    task = read(opposites)
    assert (task.name, task.metric, task.format) == ("antonyms", "exact_match", "default")
    assert {e.input for e in task["test"]} == {f"a{n}" for n in range(10, 20)}
    assert {e.input for split in ("train", "validation") for e in task[split]} == {f"a{n}" for n in range(10)}
    assert task["test"][0].targets == (task["test"][0].input.replace("a", "b"),)


def test_instruction_is_one_of_the_files_or_ones_own(opposites):
    assert read(opposites).instruction == "Write the opposite."
    assert read(opposites, instruction_number=1).instruction == "Turn it around."
    assert read(opposites, instruction_number=None).instruction == ""
    assert read(opposites, instruction="Oppose:").instruction == "Oppose:"
    assert read(opposites, instruction="").instruction == ""
    with pytest.raises(InputError, match=r"antonyms.json has 2 instructions, .* less than that, got 2"):
        read(opposites, instruction_number=2)


def test_a_file_may_come_without_instructions(tmp_path):
    write(tmp_path, "plain", [{"input": f"a{n}", "output": "b"} for n in range(8)])
    assert read(tmp_path).instruction == ""
    with pytest.raises(InputError, match="has 0 instructions"):
        read(tmp_path, instruction_number=0)


@pytest.mark.parametrize("field", ["possible_outputs", "possible_translations", "other_rhymes"])
def test_other_outputs_are_targets_behind_the_first(tmp_path, field):
    rows = [{"input": f"in {n}", "output": "b", field: ["a", "b", "", "c ||| d"]} for n in range(8)]
    write(tmp_path, "some", rows)
    assert {e.targets for e in everything(read(tmp_path))} == {("b", "a", "c ||| d")}


def test_a_word_does_not_rhyme_with_itself(tmp_path):
    rows = [{"input": f"w{n}", "output": "note", "other_rhymes": [f"w{n}", "boat"]} for n in range(8)]
    write(tmp_path, "rhymes", rows)
    assert {e.targets for e in everything(read(tmp_path))} == {("note", "boat")}


def test_cause_and_effect_stand_in_either_order(tmp_path):
    rows = [{"cause": f"It rained {n}.", "effect": f"It is wet {n}."} for n in range(40)]
    write(tmp_path, "cause_and_effect", rows)
    examples = everything(read(tmp_path))
    orders = {e.input.startswith("Sentence 1: It rained") for e in examples}
    assert orders == {True, False}
    for example in examples:
        number = example.targets[0].removeprefix("It rained ").removesuffix(".")
        assert f": It rained {number}." in example.input
        assert f": It is wet {number}." in example.input


def test_common_concept_lists_its_items(tmp_path):
    rows = [
        {"items": [f"x{n}", "y"], "concept": "bells", "all_common_concepts": ["ring", "bells"]}
        for n in range(8)
    ]
    write(tmp_path, "common_concept", rows)
    task = read(tmp_path)
    assert task.metric == "token_f1"
    assert {e.targets for e in everything(task)} == {("bells", "ring")}
    assert {e.input for e in everything(task)} == {f"x{n}, y" for n in range(8)}


def test_closed_sets_of_answers_are_choices(tmp_path):
    rows = [
        {"input": f"in {n}", "output": "not the same", "possible_outputs": ["not the same", "no"]}
        for n in range(8)
    ]
    write(tmp_path, "word_in_context", rows)
    task = read(tmp_path)
    assert task.metric == "accuracy"
    assert {(e.targets, e.choices) for e in everything(task)} == {
        (("not the same",), ("same", "not the same"))
    }
    own = read(tmp_path, choices=["yes", "no"], labels={"not the same": "no"}, target="{{ output }}")
    assert {(e.targets, e.choices) for e in everything(own)} == {(("no",), ("yes", "no"))}


def test_letters_are_scored_with_the_articles_among_them(tmp_path):
    write(tmp_path, "first_word_letter", [{"input": f"apple {n}", "output": "a"} for n in range(8)])
    assert read(tmp_path).metric == "accuracy"


def test_single_tasks_have_templates_of_their_own(opposites):
    rows = [{"input": f"s{n} | t{n} | w", "output": "same"} for n in range(8)]
    write(opposites, "word_in_context", rows)
    fields = {
        "sentence1": "input.split(' | ')[0]",
        "sentence2": "input.split(' | ')[1]",
        "word": "input.split(' | ')[2]",
        "label": "output == 'same'",
    }
    antonyms, wic = read(opposites, templates={"word_in_context": {"builtin": "wic", "fields": fields}})
    assert (wic.metric, wic.format, wic.instruction) == ("accuracy", "plain", "")
    assert wic["train"][0].input.startswith("s")
    assert "The word w is used" in wic["train"][0].input
    assert {e.targets for e in everything(wic)} == {("True",)}
    assert antonyms.instruction == "Write the opposite."
    kept = read(opposites, templates={"antonyms": {"input": "{{ input | upper }}"}})[0]
    assert {e.targets for e in everything(kept)} == {(f"b{n}",) for n in range(20)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"induce": [], "execute": [{}]},
            r"is not a task of instruction induction: induce: List should have",
        ),
        ({"induce": [{}]}, "execute: Field required; it needs the lists"),
        ({"induce": [{"output": "x"}], "execute": [{}]}, "induce, example 1 has no field 'input'"),
        (
            {"induce": [{"cause": "x"}], "execute": [{}]},
            "example 1 has no field 'effect'; its fields are cause",
        ),
        (
            {"induce": [{"input": "x", "output": ""}], "execute": [{}]},
            "induce, example 1 has an empty target",
        ),
        ([], "the file: Input should be a valid dictionary"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, content, message):
    (tmp_path / "odd.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"odd.json.*{message}"):
        read(tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        {"input": "x", "output": ""},
        {"input": "x", "output": None},
        {"input": "x"},
        {"input": "x", "output": {"a": 1}},
        {"cause": "x", "effect": float("nan")},
        {"cause": "\ud83d", "effect": "y"},
        {"items": [None], "concept": "a", "all_common_concepts": []},
        {"informal": "x", "formal": ["y"]},
        "x",
        None,
    ],
)
def test_an_example_that_cannot_be_used_is_dropped_and_counted(tmp_path, row):
    write(tmp_path, "some", [{"input": f"a{n}", "output": "b"} for n in range(8)])
    path = tmp_path / "some.json"
    data = json.loads(path.read_text())
    rows = sum(len(data[part]) for part in ("induce", "execute"))
    data["execute"][1:1] = [row]
    path.write_text(json.dumps(data))
    task = read(tmp_path)
    note = next(note for note in task.notes if "unusable" in note)
    assert note.startswith(
        f"1 of {rows + 1} examples dropped as unusable (the first: some.json, execute, example 2"
    )
    data["execute"] = [row]
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"some\.json, execute, example 1"):
        read(tmp_path)


def test_outputs_may_be_a_list_or_numbers(tmp_path):
    write(tmp_path, "some", [{"input": n, "output": [n, f"n{n}"]} for n in range(8)])
    assert {e.targets for e in everything(read(tmp_path))} == {(str(n), f"n{n}") for n in range(8)}


def publish(folder, name, parts, annotations=None):
    for part, rows in parts.items():
        (folder / "raw" / part).mkdir(parents=True, exist_ok=True)
        content = {"metadata": {}, "examples": {str(n): row for n, row in enumerate(rows, start=1)}}
        (folder / "raw" / part / f"{name}.json").write_text(json.dumps(content))
    if annotations is not None:
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"{name}.json").write_text(json.dumps({"annotations": annotations}))


def test_the_published_folder_is_read_as_it_is(tmp_path):
    words = [{"input": f"a{n}", "output": f"b{n}"} for n in range(8)]
    manners = [{"informal": f"hi {n}", "formal": f"Good day {n}"} for n in range(8)]
    publish(tmp_path, "antonyms", {"induce": words[:4], "execute": words[4:]}, ["Oppose."])
    publish(tmp_path, "informal_to_formal", {"induce": manners[:4], "execute": manners[4:]})
    antonyms, formal = read(tmp_path)
    assert (antonyms.name, antonyms.instruction) == ("antonyms", "Oppose.")
    assert {e.input for e in antonyms["test"]} == {"a4", "a5", "a6", "a7"}
    assert formal.instruction == ""
    assert {(e.input, e.targets) for e in formal["test"]} == {
        (f"hi {n}", (f"Good day {n}",)) for n in range(4, 8)
    }


def test_a_published_folder_that_lacks_a_part_is_named(tmp_path):
    publish(tmp_path, "antonyms", {"induce": [{"input": "a", "output": "b"}]})
    with pytest.raises(InputError, match=r"antonyms\.json has no file of its name in '.*raw/execute'"):
        read(tmp_path)
    publish(tmp_path, "antonyms", {"execute": []})
    with pytest.raises(InputError, match="execute: List should have at least 1 item"):
        read(tmp_path)
    (tmp_path / "raw" / "execute" / "antonyms.json").write_text("[]")
    with pytest.raises(InputError, match=r"execute.antonyms.json is not a task .*\"examples\" by number"):
        read(tmp_path)


def test_a_folder_without_files_and_templates_of_unknown_tasks(opposites, tmp_path_factory):
    with pytest.raises(InputError, match=r"has no \.json file"):
        read(tmp_path_factory.mktemp("empty"))
    with pytest.raises(InputError, match=r"'templates' names 'antonym', which is not a task; .*'antonyms'"):
        read(opposites, templates={"antonym": {}})
