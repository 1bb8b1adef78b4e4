"""Predictors of gains, chosen by held-out runs; planted laws of how company adds up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune.affinity import PREDICTORS, CompanySurrogate, PredictedGain, task_gains
from cotune.affinity.company_surrogate import COMMON, POWERS, company_effects
from cotune.affinity.gain_predictors import Company, Linear, OwnMean, PairAverage
from cotune.exceptions import InputError


def every_subset(n):
    return (np.arange(1, 1 << n)[:, None] >> np.arange(n)) & 1 > 0


def planted(inside, effects, power, rng, noise=0.001):
    """Losses around 1 whose gains are effects of companions over (s - 1)^power."""
    others = np.maximum(inside.sum(1) - 1, 1)[:, None]
    gain = inside @ effects.T / others**power + noise * rng.standard_normal(inside.shape)
    return np.where(inside, gain - 1.0, np.nan)


@pytest.fixture
def effects():
    found = np.random.default_rng(5).normal(0.0, 0.05, (6, 6))
    np.fill_diagonal(found, 0.0)
    return found


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_the_law_of_size_is_learned(effects, power):
    inside = every_subset(6)
    surrogate = CompanySurrogate().fit(inside, planted(inside, effects, power, np.random.default_rng(0)))
    assert surrogate.power_ == power
    np.testing.assert_allclose(surrogate.effects_, effects, atol=0.01)


@given(
    seed=st.integers(0, 1000),
    runs=st.integers(4, 40),
    power=st.sampled_from(POWERS),
    common=st.sampled_from(COMMON),
    ridge=st.floats(1e-3, 1e3),
)
def test_normal_equations_find_the_effects_of_the_surrogate(seed, runs, power, common, ridge):
    rng = np.random.default_rng(seed)
    inside = np.vstack([np.eye(6, dtype=bool), rng.random((runs, 6)) < 0.5])
    scores = rng.normal(size=inside.shape)
    options = {"ridge": ridge, "power": power, "common": common}
    effects = company_effects(inside, scores, **options)
    expected = CompanySurrogate(**options).fit(inside, scores).effects_
    np.testing.assert_allclose(effects, expected, rtol=1e-8, atol=1e-10)


def test_of_company_of_one_size_every_power_says_the_same(effects):
    rng = np.random.default_rng(5)
    inside = np.array([row for row in every_subset(6) if row.sum() in (1, 3)])
    scores = planted(inside, effects, 0.5, rng, noise=0.05)
    found = CompanySurrogate().fit(inside, scores)
    assert found.power_ == POWERS[0]
    others = [CompanySurrogate(power=power).fit(inside, scores) for power in POWERS]
    assert [one.log_likelihood_ for one in others] == pytest.approx([found.log_likelihood_] * len(POWERS))
    assert {one.common_ for one in others} == {found.common_}
    assert np.array_equal(found.effects_, others[0].effects_)


def test_a_surrogate_predicts_what_its_effects_say(effects):
    inside = every_subset(6)
    surrogate = CompanySurrogate().fit(inside, planted(inside, effects, 0.5, np.random.default_rng(0)))
    alone = np.diag(surrogate.predict(np.eye(6, dtype=bool)))
    expected = surrogate.by_size_[inside.sum(1) - 1][:, None] * (inside @ surrogate.effects_.T) + alone
    np.testing.assert_allclose(surrogate.predict(inside), np.where(inside, expected, np.nan))


def test_its_affinity_is_the_mean_over_all_subsets_of_a_size(effects):
    inside = every_subset(6)
    surrogate = CompanySurrogate().fit(inside, planted(inside, effects, 0.5, np.random.default_rng(0)))
    triples = inside[inside.sum(1) == 3]
    predicted = surrogate.predict(triples)
    matrix = surrogate.affinity(3).matrix
    for i, j in ((0, 0), (0, 1), (4, 2)):
        assert matrix[i, j] == pytest.approx(predicted[triples[:, i] & triples[:, j], i].mean())


@pytest.mark.parametrize("kind", PREDICTORS)
def test_predictors_give_nothing_alone_and_nothing_outside(effects, kind):
    inside = every_subset(6)
    gains = task_gains(inside, planted(inside, effects, 0.5, np.random.default_rng(1)))
    predictor = kind().fit(gains.inside, gains.values)
    for fitted in (predictor, predictor.refit(gains.inside[::2], gains.values[::2])):
        predicted = fitted.predict(inside)
        assert (np.isnan(predicted) == ~inside).all()
        assert np.abs(np.diag(fitted.predict(np.eye(6, dtype=bool)))).max() < 1e-9
        if fitted.sized() is not None:
            np.testing.assert_allclose(fitted.sized().predict(inside), predicted)


def test_the_order_of_tasks_changes_nothing(effects):
    rng = np.random.default_rng(2)
    inside = every_subset(6)
    scores = planted(inside, effects, 0.7, rng, noise=0.03)
    order = rng.permutation(6)
    one = PredictedGain().fit(task_gains(inside, scores))
    other = PredictedGain().fit(task_gains(inside[:, order], scores[:, order]))
    assert one.chosen_ == other.chosen_
    np.testing.assert_allclose(one.predict(inside)[:, order], other.predict(inside[:, order]), atol=1e-9)


def test_held_out_runs_choose_by_the_sizes_asked_for():
    # Pairs help, and everything larger costs the same whoever is in it: no one predictor is best at both.
    rng = np.random.default_rng(3)
    inside = every_subset(6)
    effects = rng.normal(0.0, 0.1, (6, 6))
    size = inside.sum(1)[:, None]
    gain = np.where(size == 2, inside @ effects.T, -0.1 * (size > 2)) + 1e-4 * rng.standard_normal(
        inside.shape
    )
    prediction = PredictedGain().fit(task_gains(inside, np.where(inside, gain - 1.0, np.nan)))
    assert prediction.choose([5]).fell_back_
    assert prediction.chosen_ == OwnMean.name
    assert prediction.explained_ == 0.0
    assert prediction.predict(np.ones((1, 6), dtype=bool))[0] == pytest.approx(-0.1, abs=0.01)


def test_additive_runs_choose_a_law_that_adds(effects):
    inside = every_subset(6)
    prediction = PredictedGain().fit(
        task_gains(inside, planted(inside, effects, 0.0, np.random.default_rng(4)))
    )
    assert prediction.chosen_ in {Linear.name, Company.name}
    assert not prediction.fell_back_
    assert prediction.explained_ > 0.95


def test_noise_falls_back_on_the_means_of_tasks():
    rng = np.random.default_rng(6)
    inside = every_subset(6)
    fallen = 0
    for _ in range(5):
        scores = planted(inside, np.zeros((6, 6)), 1.0, rng, noise=0.1)
        fallen += PredictedGain().fit(task_gains(inside, scores)).fell_back_
    assert fallen >= 3


def test_pairs_alone_test_nothing_and_are_averaged(effects):
    inside = every_subset(6)
    inside = inside[inside.sum(1) <= 2]
    prediction = PredictedGain().fit(
        task_gains(inside, planted(inside, effects, 1.0, np.random.default_rng(0)))
    )
    assert prediction.tested_sizes_ == ()
    assert prediction.chosen_ == PairAverage.name


def test_repeated_runs_tell_how_far_a_subset_is_believed():
    rng = np.random.default_rng(7)
    inside = np.repeat(every_subset(5), 3, axis=0)
    own = np.repeat(np.where(every_subset(5).sum(1)[:, None] > 1, rng.normal(0, 0.1, (31, 5)), 0), 3, axis=0)

    def trust(noise):
        scores = np.where(inside, own - 1.0 + noise * rng.standard_normal(inside.shape), np.nan)
        return PredictedGain().fit(task_gains(inside, scores)).trust(3)

    assert trust(0.001) > 0.99
    assert trust(0.3) < 0.7


def test_only_runs_of_single_tasks_are_refused():
    inside = np.eye(3, dtype=bool)
    with pytest.raises(InputError, match="nothing tells what company does"):
        PredictedGain().fit(task_gains(inside, np.where(inside, -1.0, np.nan)))


@pytest.mark.parametrize("wrong", [{"power": 2.0}, {"common": -1.0}, {"ridge": 1.0}])
def test_options_of_the_company_surrogate_that_cannot_be(wrong):
    with pytest.raises(InputError):
        CompanySurrogate(**wrong)
