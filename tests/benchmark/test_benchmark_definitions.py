import jinja2
import pytest

from cotune._config import parse
from cotune.benchmark.datasets import FAMILIES
from cotune.benchmark.definitions import evaluation_set, families_of, recordings, study_of
from cotune.benchmark.instructions import INSTRUCTED
from cotune.studies.grouping import GroupingStudyConfig

ROWS = {
    "sst2": {"sentence": "fine", "label": 1},
    "imdb": {"text": "dull", "label": 0},
    "yelp": {"text": "so so", "label": 2},
    "mnli": {"premise": "p", "hypothesis": "h", "label": 1},
    "rte": {"sentence1": "p", "sentence2": "h", "label": 0},
    "wnli": {"sentence1": "p", "sentence2": "h", "label": 1},
    "boolq": {"passage": "p", "question": "q", "label": 1},
    "copa": {"premise": "p", "question": "cause", "choice1": "a", "choice2": "b", "label": 1},
    "multirc": {"paragraph": "p", "question": "q", "answer": "a", "label": 0},
    "record": {"passage": "p", "query": "q", "entities": ["x", "y"], "answers": ["x", "y"]},
    "social_i_qa": {
        "context": "c",
        "question": "q",
        "answerA": "a",
        "answerB": "b",
        "answerC": "c",
        "label": "3",
    },
    "wiki_qa": {"question": "q", "answer": "a", "label": 0},
    "hotpot_qa": {"context": {"sentences": [["s ", "t"], ["u"]]}, "question": "q", "answer": "a"},
    "wsc": {"text": "t", "span1_text": "s", "span2_text": "it", "label": 1},
    "winogrande": {"sentence": "s _", "option1": "a", "option2": "b", "answer": "2"},
    "quoref": {"context": "c", "question": "q", "answers": {"text": ["a", "a", "b"]}},
    "xsum": {"document": "d", "summary": "s"},
    "samsum": {"dialogue": "d", "summary": "s"},
    "multi_news": {"document": "d", "summary": "s"},
}
ANSWERS = {
    "sst2": ("positive",),
    "rte": ("yes",),
    "record": ("x", "y"),
    "social_i_qa": ("3",),
    "copa": ("2",),
}
ANSWERS |= {"quoref": ("a", "b"), "winogrande": ("2",), "multirc": ("no",), "mnli": ("maybe",)}
INSTRUCTED_ROWS = {
    "rte": {"premise": "PREMISE", "hypothesis": "HYPOTHESIS", "label": 1},
    "wic": {"word": "WORD", "sentence1": "FIRST", "sentence2": "SECOND", "label": 1},
    "boolq": {"passage": "PASSAGE", "question": "QUESTION", "label": 0},
    "e2e_nlg_cleaned": {"meaning_representation": "MR", "human_reference": "text"},
    "web_nlg_en": {"input": ["TRIPLE", "OTHER"], "target": "text"},
}


def test_there_are_the_papers_63_cases():
    cases = evaluation_set()
    assert len(cases) == len({case.name for case in cases}) == 63
    count = [case.scenario for case in cases].count
    assert (count("multitask"), count("multi_instruction"), count("function_classes")) == (57, 5, 1)
    groups = [case.n_groups for case in cases if case.scenario == "multitask"]
    assert [groups.count(k) for k in range(2, 7)] == [15, 20, 15, 6, 1]
    assert {(len(c.tasks), c.n_groups) for c in cases if c.scenario == "multi_instruction"} == {(100, 10)}


def test_there_are_nineteen_data_sets_in_six_families():
    assert [len(members) for members in FAMILIES.values()] == [3, 3, 4, 3, 3, 3]
    largest = max(evaluation_set(), key=lambda case: len(set(case.families)))
    assert len(set(largest.tasks)) == len(largest.families) == 19


@pytest.mark.parametrize(
    "dataset", [d for members in FAMILIES.values() for d in members], ids=lambda d: d.name
)
def test_templates_fit_the_rows_of_their_data_sets(dataset):
    (example,) = dataset.reader.examples([("row 1", ROWS[dataset.name])])
    assert example.input
    assert example.targets == ANSWERS.get(dataset.name, example.targets)
    assert all(example.targets)


@pytest.mark.parametrize("dataset", INSTRUCTED.values(), ids=lambda d: d.name)
def test_a_hundred_different_instructions_hold_all_of_the_input(dataset):
    assert len(set(dataset.templates)) == len({entry["name"] for entry in dataset.entries}) == 100
    row = INSTRUCTED_ROWS[dataset.name]
    inputs = [jinja2.Template(template).render(row).split("|||")[0] for template in dataset.templates]
    assert len(set(inputs)) == 100
    fields = [value for value in row.values() if isinstance(value, str | list) and value != "text"]
    wanted = [word for value in fields for word in ([value] if isinstance(value, str) else value)]
    assert wanted
    for text in inputs:
        assert all(word in text for word in wanted)
        assert "<" not in text
        assert "{" not in text


@pytest.mark.parametrize("recording", recordings())
def test_every_recording_is_a_valid_study_of_the_cases_tasks(recording):
    config = parse(GroupingStudyConfig, study_of(recording, "some/model"), recording)
    assert config.comparison is None
    cases = [case for case in evaluation_set() if case.recording == recording]
    tasks = {task for case in cases for task in case.tasks}
    names = {reader.name for reader in config.tasks} or set(config.learner.classes)
    assert names == tasks
    if recording == "multitask":
        assert {task for members in families_of(recording).values() for task in members} == tasks
    else:
        assert families_of(recording) is None
