import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune.exceptions import InputError
from cotune.tasks import SPLITS, Example
from cotune.tasks.readers._splits import split_examples

FRACTIONS = {"train": 0.7, "validation": 0.1, "test": 0.2}
UNCAPPED = dict.fromkeys(SPLITS)


def split(source, *, task="t", seed=0, fractions=FRACTIONS, caps=UNCAPPED):
    splits, left_out, notes = split_examples(source, task=task, seed=seed, fractions=fractions, caps=caps)
    uncapped, nothing, _ = split_examples(source, task=task, seed=seed, fractions=fractions, caps=UNCAPPED)
    assert left_out == {name: len(uncapped[name]) - len(splits[name]) for name in SPLITS}
    assert not any(nothing.values())
    return splits, notes


def numbered(start, stop):
    return [Example(f"input {i}", (f"target {i}",)) for i in range(start, stop)]


def divisible(source):
    inputs = {name: {e.input for e in rows} for name, rows in source.items()}
    if len(inputs) == 1:
        return all(len(own) >= 3 for own in inputs.values())
    test = inputs.get("test", set())
    validation = inputs.get("validation", set()) - test
    train = inputs.get("train", set()) - validation - test
    if not test:
        return bool(train) and len(validation) >= 2
    return len(train) >= (1 if validation else 2)


examples = st.builds(Example, st.sampled_from("abcdefgh"), st.tuples(st.sampled_from("xyz")))


@given(
    st.dictionaries(st.sampled_from(SPLITS), st.lists(examples, min_size=1, max_size=40), min_size=1),
    st.integers(0, 5),
    st.sampled_from([UNCAPPED, {"train": 4, "validation": 1, "test": 2}]),
)
def test_splits_are_disjoint_in_inputs_full_and_of_the_source(source, seed, caps):
    if not divisible(source):
        with pytest.raises(InputError, match="The task 't'"):
            split(source, seed=seed, caps=caps)
        return
    splits, _ = split(source, seed=seed, caps=caps)
    inputs = [{e.input for e in splits[name]} for name in SPLITS]
    assert all(inputs)
    assert sum(map(len, inputs)) == len(set().union(*inputs))
    for name in SPLITS:
        assert len(set(splits[name])) == len(splits[name]) <= (caps[name] or 40)
        assert set(splits[name]) <= {e for rows in source.values() for e in rows}


@given(st.integers(3, 60), st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_every_split_gets_an_example_whatever_the_fractions(count, shares):
    fractions = {name: share / sum(shares) for name, share in zip(SPLITS, shares, strict=True)}
    splits, notes = split({"train": numbered(0, count)}, fractions=fractions)
    assert all(splits.values())
    assert sum(map(len, splits.values())) == count
    assert all(abs(len(splits[name]) - count * fractions[name]) <= 2 for name in SPLITS)
    assert notes == ()


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rng: random.Random):
    rows = numbered(0, 30)
    shuffled = rng.sample(rows, len(rows))
    assert split({"train": rows}) == split({"train": shuffled})


def test_seed_and_name_decide():
    rows = {"train": numbered(0, 100)}
    assert split(rows)[0] == split(rows)[0]
    assert split(rows)[0] != split(rows, seed=1)[0]
    assert split(rows)[0] != split(rows, task="other")[0]


def test_fractions_and_caps():
    splits, notes = split({"test": numbered(0, 400)}, caps={"train": 256, "validation": None, "test": 64})
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 256, "validation": 40, "test": 64}
    assert notes == ("train / test capped at 256 / 64 examples (of 280 / 80)",)


def test_a_cap_keeps_what_a_smaller_cap_keeps():
    rows = {"train": numbered(0, 100)}
    large = split(rows, caps={"train": 50, "validation": None, "test": None})[0]["train"]
    small = split(rows, caps={"train": 5, "validation": None, "test": None})[0]["train"]
    assert large[:5] == small


def test_repeats_are_dropped_and_counted():
    splits, notes = split({"train": numbered(0, 10) + numbered(0, 3)})
    assert sum(map(len, splits.values())) == 10
    assert notes == ("3 of 13 examples dropped as repetitions",)
    assert split({"train": [*numbered(0, 10), *numbered(0, 1)]})[1] == (
        "1 of 11 examples dropped as repetitions",
    )


def test_different_targets_of_one_input_stay_in_one_split():
    rows = [Example(f"input {i}", (f"target {j}",)) for i in range(10) for j in range(4)]
    splits, notes = split({"train": rows})
    assert {name: len(kept) for name, kept in splits.items()} == {"train": 28, "validation": 4, "test": 8}
    assert notes == ()


def test_held_out_inputs_are_dropped_from_train():
    source = {"train": numbered(0, 10), "validation": numbered(8, 14), "test": numbered(13, 20)}
    splits, notes = split(source)
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 8, "validation": 5, "test": 7}
    assert notes == (
        "1 of 6 validation examples dropped, whose input a held-out split has",
        "2 of 10 train examples dropped, whose input a held-out split has",
    )


def test_validation_is_halved_where_test_is_missing():
    splits, notes = split({"train": numbered(0, 10), "validation": numbered(10, 20)})
    assert set(splits["train"]) == set(numbered(0, 10))
    assert len(splits["validation"]) == len(splits["test"]) == 5
    assert set(splits["validation"]) | set(splits["test"]) == set(numbered(10, 20))
    assert notes == ("validation was split in half, since the source has no test examples",)


def test_validation_is_taken_from_train_where_it_is_missing():
    splits, notes = split({"train": numbered(0, 80), "test": numbered(80, 90)})
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 70, "validation": 10, "test": 10}
    assert set(splits["test"]) == set(numbered(80, 90))
    assert notes == (
        "validation was taken from train, since the source has no validation examples of its own",
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            {"train": numbered(0, 2) * 5},
            "'t' needs at least 3 examples with different inputs .* got 2 instead",
        ),
        (
            {"train": numbered(0, 9), "validation": numbered(9, 10)},
            "at least 2 examples .* into validation and test, got 1 instead",
        ),
        (
            {"validation": numbered(0, 9), "test": numbered(9, 12)},
            "in validation and test only; it needs some in train",
        ),
        ({"train": numbered(0, 5), "test": numbered(0, 9)}, "in test only; it needs some in train"),
    ],
)
def test_too_few_examples_are_refused(source, message):
    with pytest.raises(InputError, match=message):
        split(source)
