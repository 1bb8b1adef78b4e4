"""First-order estimates as a predictor of gains: planted gains, and estimates of them in other units."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from cotune.affinity import PREDICTORS, FirstOrderGain, PredictedGain, cover_pairs, task_gains

N = 12


class World:
    """Gains that saturate with the size of a group, and estimates that see most of their causes."""

    def __init__(self, seed: int, seen: float = 0.9, noise: float = 0.01) -> None:
        self.rng = np.random.default_rng(seed)
        self.effects = self.rng.normal(0.0, 0.05, (N, N))
        other = self.rng.normal(0.0, 0.05, (N, N))
        self.estimated = seen * self.effects + np.sqrt(1.0 - seen**2) * other
        self.worth = self.rng.uniform(3.0, 30.0, N)
        self.noise = noise
        for matrix in (self.effects, self.estimated):
            np.fill_diagonal(matrix, 0.0)

    def gains(self, inside):
        others = np.maximum(inside.sum(1) - 1, 1)[:, None]
        return np.where(inside, inside @ self.effects.T / np.sqrt(others), np.nan)

    def estimate(self, inside):
        others = np.maximum(inside.sum(1) - 1, 1)[:, None]
        return np.where(inside, self.worth * (inside @ self.estimated.T / np.sqrt(others)) - 7.0, np.nan)

    def runs(self, subsets):
        inside = np.array([*np.eye(N, dtype=bool), *(np.isin(np.arange(N), subset) for subset in subsets)])
        noise = self.noise * self.rng.standard_normal(inside.shape)
        return task_gains(inside, self.gains(inside) - 1.0 + noise)


def triples(count):
    return cover_pairs(N, 3, None, 0)[:count]


def every_pair():
    return np.array([np.isin(np.arange(N), pair) for pair in zip(*np.triu_indices(N, 1), strict=True)])


def missed(prediction, world, asked):
    return float(np.nanmean((prediction.predict(asked) - world.gains(asked)) ** 2))


def test_few_runs_and_estimates_tell_of_pairs_that_never_met():
    for seed in range(3):
        world = World(seed)
        gains = world.runs(triples(16))
        makers = (*PREDICTORS, partial(FirstOrderGain, world.estimate))
        found = PredictedGain(makers).fit(gains).choose([2])
        assert found.chosen_ == FirstOrderGain.name
        assert found.explained_ > 0.3
        without = PredictedGain().fit(gains).choose([2])
        assert missed(found, world, every_pair()) < 0.6 * missed(without, world, every_pair())


def test_estimates_of_something_else_are_not_believed():
    chosen = 0
    for seed in range(4):
        world = World(seed, seen=0.0)
        gains = world.runs(triples(22))
        found = FirstOrderGain(world.estimate).fit(gains.inside, gains.values)
        nothing = float(np.nanmean(world.gains(every_pair()) ** 2))
        assert missed(found, world, every_pair()) < 1.3 * nothing
        makers = (*PREDICTORS, partial(FirstOrderGain, world.estimate))
        chosen += PredictedGain(makers).fit(gains).chosen_ == FirstOrderGain.name
    assert chosen <= 2


def test_it_is_of_effects_and_sizes_nothing_alone_and_its_choices_stay():
    world = World(7)
    gains = world.runs(triples(16))
    asked = np.vstack([np.eye(N, dtype=bool), every_pair(), np.ones((1, N), dtype=bool)])
    fitted = FirstOrderGain(world.estimate).fit(gains.inside, gains.values)
    again = fitted.refit(gains.inside, gains.values)
    predicted = fitted.predict(asked)
    np.testing.assert_allclose(again.predict(asked), predicted)
    np.testing.assert_allclose(fitted.sized().predict(asked), predicted)
    assert np.abs(np.diag(predicted[:N])).max() == pytest.approx(0.0, abs=1e-12)
    assert (np.isnan(predicted) == ~asked).all()


@pytest.mark.parametrize("n", [2, 3])
def test_two_or_three_tasks_can_be_asked_about(n):
    inside = np.vstack([np.eye(n, dtype=bool), np.ones((1, n), dtype=bool)])
    gains = np.where(inside, np.where(inside.sum(1)[:, None] > 1, 0.1, 0.0), np.nan)
    fitted = FirstOrderGain(lambda asked: np.where(asked, asked.sum(1)[:, None] - 1.0, np.nan)).fit(
        inside, gains
    )
    assert (fitted.predict(inside)[-1] > 0).all()
