from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune.exceptions import InputError
from cotune.tasks import Example, Task, draw_demonstrations


def make_task(n_train=6, name="words"):
    train = tuple(Example(f"input {i}", (f"output {i}",)) for i in range(n_train))
    return Task(name, "", {"train": train, "validation": (Example("v", ("w",)),), "test": ()})


@given(shots=st.integers(0, 6), seed=st.integers(0, 2**40), draw=st.integers(0, 50))
def test_demonstrations_are_distinct_training_examples_and_the_same_every_time(shots, seed, draw):
    task = make_task()
    drawn = draw_demonstrations(task, shots, seed=seed, draw=(draw,))
    assert len(drawn) == len({example.input for example in drawn}) == shots
    assert set(drawn) <= set(task["train"])
    assert drawn == draw_demonstrations(task, shots, seed=seed, draw=(draw,))
    assert drawn == draw_demonstrations(task, 6, seed=seed, draw=(draw,))[:shots]


def test_seeds_draws_examples_and_tasks_have_streams_of_their_own():
    task = make_task(200)
    drawn = [
        draw_demonstrations(task, 4, seed=0, draw=(0,)),
        draw_demonstrations(task, 4, seed=1, draw=(0,)),
        draw_demonstrations(task, 4, seed=0, draw=(1,)),
        draw_demonstrations(task, 4, seed=0, draw=(0, 0)),
        draw_demonstrations(task, 4, seed=0, draw=(0, 1)),
        draw_demonstrations(make_task(200, "other"), 4, seed=0, draw=(0,)),
    ]
    assert len(set(drawn)) == len(drawn)


def test_every_training_example_is_drawn_alike():
    task = make_task(5)
    first = Counter(draw_demonstrations(task, 1, seed=0, draw=(i,))[0].input for i in range(2000))
    # 400 expected of each, standard deviation 18.
    assert min(first.values()) > 320
    assert max(first.values()) < 480


@given(draw=st.integers(0, 200), excluded=st.sets(st.integers(0, 5), max_size=3))
def test_excluded_inputs_are_never_shown(draw, excluded):
    inputs = {f"input {i}" for i in excluded}
    drawn = draw_demonstrations(make_task(), 3, seed=0, draw=(draw,), exclude=inputs)
    assert not inputs & {example.input for example in drawn}


def test_too_few_training_examples_name_the_task():
    with pytest.raises(InputError, match=r"^Task words has 2 training examples .* fewer than the 3 shots"):
        draw_demonstrations(make_task(3), 3, seed=0, exclude={"input 1"})
