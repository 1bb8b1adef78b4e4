from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from cotune._config import parse
from cotune.exceptions import InputError
from cotune.tasks import Mixture, SampledMixture
from cotune.training.config import TrainingConfig
from cotune.training.schemes import SCHEMES, Annealed, Proportional, RoundRobin, Temperature, Uniform

SIZES = [1000, 100, 400, 25]
RECIPES = {
    "annealed": {"start": 1.0, "end": 10.0, "horizon": 7},
    "proportional": {"max_examples_per_task": 300},
    "round_robin": {},
    "temperature": {"temperature": 2.0},
    "uniform": {},
}


def scheme(name, **options):
    config = parse(TrainingConfig, {"scheme": {"name": name, **(options or RECIPES[name])}}, "test")
    return config.scheme


SAMPLING = {
    "uniform": (Uniform(), 0, [1, 1, 1, 1]),
    "proportional": (Proportional(), 9, SIZES),
    "proportional, limited": (Proportional(max_examples_per_task=200), 9, [200, 100, 200, 25]),
    "temperature 2": (Temperature(temperature=2), 3, np.sqrt(SIZES)),
    "temperature 2, limited": (
        Temperature(temperature=2, max_examples_per_task=100),
        3,
        [10, 10, 10, 5],
    ),
    "cold": (Temperature(temperature=0.5), 0, np.square(SIZES)),
    "annealed, first step": (Annealed(start=1, end=100, horizon=20), 0, SIZES),
    # Half way the temperature is the geometric mean, sqrt(1 * 100) = 10.
    "annealed, half way": (Annealed(start=1, end=100, horizon=20), 10, np.power(SIZES, 1 / 10)),
    "annealed, at the horizon": (Annealed(start=1, end=100, horizon=20), 20, np.power(SIZES, 1 / 100)),
    "annealed, after it": (Annealed(start=1, end=100, horizon=20), 5000, np.power(SIZES, 1 / 100)),
    "cooled, half way": (Annealed(start=4, end=1, horizon=20), 10, np.sqrt(SIZES)),
    "cooled, after it": (Annealed(start=4, end=1, horizon=20), 21, SIZES),
}


@pytest.mark.parametrize(("chosen", "step", "weights"), SAMPLING.values(), ids=SAMPLING)
def test_probabilities_are_those_of_the_closed_form_and_draws_follow_them(chosen, step, weights):
    expected = np.asarray(weights) / np.sum(weights)
    np.testing.assert_allclose(chosen.probabilities(SIZES, step), expected, rtol=1e-12)
    drawn = SampledMixture(
        SIZES, 1000, 1000, 0, probabilities=lambda _: chosen.probabilities(SIZES, step)
    ).counts(100)
    assert drawn.sum() == 10**5
    assert chisquare(drawn.sum(0), 10**5 * expected).pvalue > 0.01


def test_annealing_follows_its_temperature_step_by_step():
    """Counts of each step, over many seeds, against that step's own probabilities."""
    chosen = Annealed(start=0.5, end=20, horizon=4)
    counts = sum(
        chosen.batches(SIZES, batch_size=100, tasks_per_batch=100, seed=seed).counts(6) for seed in range(150)
    )
    for step in range(6):
        expected = counts[step].sum() * chosen.probabilities(SIZES, step)
        assert chisquare(counts[step], expected).pvalue > 0.01


def test_no_temperature_overflows():
    for temperature in (1e-3, 1e6):
        shares = Temperature(temperature=temperature).probabilities([10**9, 1, 10**9], 0)
        assert np.isfinite(shares).all()
        assert shares.sum() == pytest.approx(1)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(SCHEMES)),
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.integers(1, 5),
    st.integers(5, 12),
    st.integers(0, 99),
)
def test_every_scheme_sees_the_same_number_of_examples(name, sizes, tasks, batch_size, seed):
    steps = 15
    batches = scheme(name).batches(sizes, batch_size=batch_size, tasks_per_batch=tasks, seed=seed)
    counts = batches.counts(steps)
    assert (counts.sum(1) == batch_size).all()
    assert counts.sum() == steps * batch_size
    drawn = np.zeros_like(counts)
    for step, rows in enumerate(islice(batches, steps)):
        for row in rows:
            drawn[step, row.task] += len(row.examples)
    assert (drawn == counts).all()


@settings(deadline=None)
@given(st.sampled_from(sorted(SCHEMES)), st.integers(0, 20), st.integers(1, 6))
def test_the_order_from_any_step_on_is_that_of_the_whole_run(name, start, tasks):
    batches = scheme(name).batches([9, 3, 20], batch_size=6, tasks_per_batch=tasks, seed=4)
    whole = list(islice(batches, 25))
    assert list(islice(batches.since(start), 25 - start)) == whole[start:]
    assert batches[start] == whole[start]
    assert (batches.counts(5, start=start) == batches.counts(25)[start : start + 5]).all()


def test_draws_of_a_step_do_not_depend_on_those_before():
    moved = scheme("annealed").batches(SIZES, batch_size=8, tasks_per_batch=8, seed=0)
    always = Temperature(temperature=10).batches(SIZES, batch_size=8, tasks_per_batch=8, seed=0)
    assert (moved.counts(50) != always.counts(50)).any()
    assert (moved.counts(50, start=7) == always.counts(50, start=7)).all()


def test_examples_come_without_replacement_within_an_epoch():
    batches = Uniform().batches([7, 5], batch_size=4, tasks_per_batch=4, seed=1)
    drawn = {0: [], 1: []}
    for rows in islice(batches, 40):
        for row in rows:
            drawn[row.task] += row.examples
    for task, size in enumerate([7, 5]):
        epochs = [drawn[task][at : at + size] for at in range(0, len(drawn[task]) - size + 1, size)]
        assert len(epochs) > 5
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs)


def test_a_batch_may_be_of_one_task_or_each_example_of_its_own():
    homogeneous = Uniform().batches(SIZES, batch_size=8, tasks_per_batch=1, seed=0).counts(60)
    assert ((homogeneous > 0).sum(1) == 1).all()
    assert set(homogeneous.argmax(1)) == {0, 1, 2, 3}
    heterogeneous = Uniform().batches(SIZES, batch_size=8, tasks_per_batch=8, seed=0).counts(60)
    # Of independent examples a step's count of a task is binomial, with variance n p (1 - p).
    assert heterogeneous.var(0).mean() == pytest.approx(8 * 0.25 * 0.75, rel=0.3)


def test_the_default_is_the_round_robin():
    config = TrainingConfig()
    assert isinstance(config.scheme, RoundRobin)
    ours = config.scheme.batches([5, 6, 7], batch_size=4, tasks_per_batch=2, seed=3)
    assert list(islice(ours, 20)) == list(islice(Mixture([5, 6, 7], 4, 2, 3), 20))


def test_plain_data_leaves_out_what_is_at_its_default():
    """So that the hashes of runs that were stored before there were schemes stay as they are."""
    plain = TrainingConfig(batch_size=4).plain()
    assert not {"scheme", "task_weights", "balancing", "replay"} & set(plain)
    assert "scheme" not in TrainingConfig(scheme=RoundRobin()).plain()


@pytest.mark.parametrize("name", SCHEMES)
def test_plain_data_makes_the_same_recipe(name):
    config = TrainingConfig(scheme={"name": name, **RECIPES[name]})
    assert TrainingConfig(**config.plain()) == config


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "unifrom"}, "did you mean 'uniform'"),
        ({"name": "temperature"}, "temperature: is required"),
        ({"name": "temperature", "temperature": 0}, "greater than 0"),
        ({"name": "annealed", "start": 1, "end": 2}, "horizon: is required"),
        ({"name": "uniform", "max_examples_per_task": 3}, "unknown key"),
    ],
)
def test_options_that_are_not_valid_are_told(options, sentence):
    with pytest.raises(InputError, match=sentence):
        parse(TrainingConfig, {"scheme": options}, "study.yaml")
