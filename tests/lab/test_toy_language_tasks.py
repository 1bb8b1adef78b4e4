"""The toy language's tasks, splits and tokenizer."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune.exceptions import InputError
from cotune.lab.toy_language import PRETRAINED, TOY_TASKS, ToyLanguageReader, make_tokenizer, toy_tasks
from cotune.lab.toy_language._reader import inputs_by_split
from cotune.models import Encoder
from cotune.tasks import SPLITS, check_tasks, format_prompt, format_target, get_metric

GOLDEN = {
    "copy": ("3 7 2", "3 7 2"),
    "reverse": ("3 7 2", "2 7 3"),
    "rotate": ("3 7 2", "7 2 3"),
    "sort": ("13 7 2", "2 7 13"),
    "repeat_first": ("3 7 2", "3 3 3"),
    "repeat_last": ("3 7 2", "2 2 2"),
    "max": ("3 10 9", "10"),
    "min": ("3 10 9", "3"),
    "member": ("3 7 7", "T"),
    "less": ("9 7 10", "T"),
    "even_first": ("3 7 2", "F"),
    "weighted": ("3 7 12", "T"),
    "rotate_right": ("3 7 2", "2 3 7"),
    "swap_first_two": ("3 7 2", "7 3 2"),
    "swap_last_two": ("3 7 2", "3 2 7"),
    "sort_descending": ("3 7 12", "12 7 3"),
    "median": ("3 10 9", "9"),
    "extremes": ("9 10 3", "3 10"),
    "repeat_middle": ("3 7 2", "7 7 7"),
    "repeat_max": ("3 10 9", "10 10 10"),
    "double_first": ("3 7 2", "3 3"),
    "first": ("3 7 2", "3"),
    "middle": ("3 7 2", "7"),
    "last": ("3 7 2", "2"),
    "drop_first": ("3 7 2", "7 2"),
    "drop_middle": ("3 7 2", "3 2"),
    "drop_last": ("3 7 2", "3 7"),
    "greater": ("9 7 10", "F"),
    "odd_first": ("3 7 2", "T"),
    "even_last": ("3 7 2", "T"),
    "ascending": ("3 7 10", "T"),
    "duplicates": ("3 7 3", "T"),
}
"""Of every task an input and its answer."""

OPPOSITES = {
    "member": ("3 3 7", "F"),
    "less": ("9 7 9", "F"),
    "even_first": ("10 7 2", "T"),
    "weighted": ("3 7 11", "F"),
    "greater": ("10 7 9", "T"),
    "odd_first": ("10 7 2", "F"),
    "even_last": ("2 7 13", "F"),
    "ascending": ("3 3 10", "F"),
    "duplicates": ("3 7 10", "F"),
}
"""Of every true/false task an input with the other answer."""


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="module")
def all_tasks():
    """Every task with all of its examples."""
    return toy_tasks(list(TOY_TASKS), train=None, validation=None, test=None)


def answer(name, text):
    return TOY_TASKS[name].target(tuple(map(int, text.split())))


def test_every_task_gives_its_golden_answer():
    assert {name: answer(name, text) for name, (text, _) in GOLDEN.items()} == {
        name: expected for name, (_, expected) in GOLDEN.items()
    }
    assert set(GOLDEN) == set(TOY_TASKS)


def test_true_false_tasks_give_both_answers():
    assert set(OPPOSITES) == {name for name, task in TOY_TASKS.items() if task.choices}
    for name, (text, expected) in OPPOSITES.items():
        assert answer(name, text) == expected != GOLDEN[name][1]


def test_no_two_tasks_are_the_same_function():
    inputs = inputs_by_split()["validation"]
    answers = {name: tuple(task.target(x) for x in inputs) for name, task in TOY_TASKS.items()}
    assert len(set(answers.values())) == len(answers)


def test_there_are_enough_tasks_to_train_on_and_to_hold_out():
    assert len(PRETRAINED) == 11
    assert "weighted" not in PRETRAINED
    assert len(TOY_TASKS) - len(PRETRAINED) >= 12 + 6


def test_splits_share_no_input_within_or_across_tasks(all_tasks):
    check_tasks(all_tasks)
    seen = {split: {e.input for task in all_tasks for e in task[split]} for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        assert not seen[one] & seen[other]
    assert {split: len(inputs) for split, inputs in seen.items()} == {
        "train": 3072,
        "validation": 256,
        "test": 768,
    }


def test_true_false_tasks_are_balanced(all_tasks):
    for task in all_tasks:
        for split in SPLITS:
            counts = Counter(e.targets for e in task[split])
            if TOY_TASKS[task.name].choices:
                assert counts[("T",)] == counts[("F",)] > 0
                assert {e.choices for e in task[split]} == {("T", "F")}


def test_tasks_are_plain_lines_that_their_metric_scores_right(all_tasks):
    for task in all_tasks:
        first, second = task["train"][:2]
        shown = f"{first.input} {first.targets[0]}\n{second.input}"
        assert format_prompt(task.instruction, second.input, second.choices, [first], task.format) == shown
        score = get_metric(task.metric).score
        assert score(second.targets[0], second.targets) == 1
        assert score("0 1 2 3", second.targets) == 0


def test_the_seed_decides_which_examples_are_taken():
    one, same, other = (toy_tasks(["sort"], train=50, seed=seed)[0] for seed in (1, 1, 2))
    assert one == same
    assert one["train"] != other["train"]
    assert len(one["train"]) == 50
    assert len(one["test"]) == 64


def test_tasks_come_in_the_order_asked_for():
    assert [task.name for task in toy_tasks(["weighted", "copy", "min"])] == ["weighted", "copy", "min"]


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(InputError, match=r"'revers'.*'reverse'"):
        toy_tasks(["revers"])


def test_the_reader_takes_the_options_of_all_readers():
    reader = ToyLanguageReader(include=["repeat_*"], exclude=["repeat_max"], metric="token_f1")
    tasks = reader.read(base=Path(), seed=0)
    assert [task.name for task in tasks] == ["repeat_first", "repeat_last", "repeat_middle"]
    assert {task.metric for task in tasks} == {"token_f1"}
    assert {task.format for task in tasks} == {"plain"}


@given(st.lists(st.sampled_from([*map(str, range(16)), "T", "F", ">", "\n"]), min_size=1))
def test_text_survives_the_tokenizer(tokenizer, words):
    ids = tokenizer(" ".join(words))["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == words
    assert tokenizer.decode(ids, skip_special_tokens=True).split() == [word for word in words if word != "\n"]


def test_the_tokenizer_is_an_ordinary_one(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.is_fast
    assert len(loaded) == len(tokenizer) == 22
    assert (loaded.eos_token, loaded.pad_token) == ("\n", "<pad>")
    text = "3 7 2 > 2 7 3\n15 0 1 >"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert len(loaded(text)["input_ids"]) == 12


def test_a_target_is_its_symbols_and_the_end(tokenizer):
    encoded = Encoder(tokenizer).encode(str, "3 7 2 >", format_target("12 7 3"))
    assert tokenizer.convert_ids_to_tokens(encoded.prompt) == ["3", "7", "2", ">"]
    assert tokenizer.convert_ids_to_tokens(encoded.target) == ["12", "7", "3", "\n"]
    assert tokenizer.batch_decode([encoded.target], skip_special_tokens=True) == ["12 7 3"]


def test_words_of_another_language_are_unknown(tokenizer):
    assert tokenizer.convert_ids_to_tokens(tokenizer("Input: 3 16")["input_ids"]) == ["<unk>", "3", "<unk>"]
