from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.exceptions import InputError
from cotune.tasks import Mixture


@st.composite
def mixtures(draw):
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=7))
    tasks = draw(st.integers(1, 9))
    batch = draw(st.integers(min(tasks, len(sizes)), 20))
    return Mixture(sizes, batch, tasks, draw(st.integers(0, 2**32)))


@given(mixtures())
def test_a_batch_is_shared_evenly_between_different_tasks(mixture):
    for rows in islice(mixture, 20):
        sizes = [len(row.examples) for row in rows]
        assert len({row.task for row in rows}) == len(rows) == mixture.rows_per_batch
        assert sum(sizes) == mixture.batch_size
        assert max(sizes) - min(sizes) <= 1


@given(mixtures())
def test_no_task_is_ever_ahead_by_more_than_one_row(mixture):
    met = Counter(dict.fromkeys(range(len(mixture.task_sizes)), 0))
    for rows in islice(mixture, 30):
        met.update(row.task for row in rows)
        assert max(met.values()) - min(met.values()) <= 1


@given(mixtures())
def test_examples_come_without_replacement_within_an_epoch(mixture):
    drawn = {task: [] for task in range(len(mixture.task_sizes))}
    for rows in islice(mixture, 30):
        for row in rows:
            drawn[row.task].extend(row.examples)
    for task, examples in drawn.items():
        size = mixture.task_sizes[task]
        epochs = [examples[start : start + size] for start in range(0, len(examples), size)]
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs if len(epoch) == size)
        assert all(len(set(epoch)) == len(epoch) for epoch in epochs)


@settings(deadline=None)  # going back draws again
@given(mixtures(), st.lists(st.integers(0, 25), max_size=6))
def test_steps_can_be_had_in_any_order(mixture, steps):
    expected = list(islice(mixture, 26))
    assert [mixture[step] for step in steps] == [expected[step] for step in steps]


def test_the_seed_decides():
    def steps(seed):
        return list(islice(Mixture([9, 9, 9], 4, 2, seed), 10))

    assert steps(0) == steps(0)
    assert steps(0) != steps(1)


def test_epochs_and_rounds_are_shuffled_afresh():
    mixture = Mixture([50, 50, 50, 50], 4, 4, 0)
    rounds = [tuple(row.task for row in rows) for rows in islice(mixture, 20)]
    assert len(set(rounds)) > 5
    single = Mixture([50], 50, 1, 0)
    assert single[0][0].examples != single[1][0].examples


def test_a_negative_step_is_refused():
    with pytest.raises(IndexError, match="endless"):
        _ = Mixture([3], 1, 1, 0)[-1]


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        (([], 1, 1, 0), "task_sizes"),
        (([3, 0], 2, 2, 0), "task_sizes"),
        (([3, 3], 1, 2, 0), "batch_size"),
        (([3], 0, 1, 0), "batch_size"),
        (([3], 1, 0, 0), "tasks_per_batch"),
        (([3], 1, 1, -1), "seed"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, parameter):
    with pytest.raises(InputError, match=f"'{parameter}' of a Mixture"):
        Mixture(*arguments)
