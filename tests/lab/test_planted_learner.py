"""Planted tasks follow their formula, and nothing but subset, seed and split changes a score."""

from __future__ import annotations

import numpy as np
import pytest

from cotune.exceptions import InputError, RunError
from cotune.lab import PlantedConfig, PlantedLearner
from cotune.training import FeatureLearner, LinearisedLearner, LookaheadLearner, SideBySideLearner

EXACT = PlantedConfig(tasks=6, groups=2, noise=0.0, effect=2.0, harm=1.0)


def values(learner, *tasks, seed=0, split="validation"):
    fit = learner.fit(tasks, seed, steps=1, split=split)
    return {task: score.value for task, score in fit.scores.items()}


def test_scores_are_those_of_the_formula():
    learner = PlantedLearner(EXACT)
    a, b, c, d = learner.tasks[:4]  # a and c are of one group, b and d of the other
    alone = values(learner, a)[a]
    assert values(learner, a, c)[a] == pytest.approx(alone + 2.0)
    assert values(learner, a, b)[a] == pytest.approx(alone - 1.0)
    assert values(learner, a, b, c, d)[a] == pytest.approx(alone + 2.0 / 3 - 2.0 / 3)
    assert learner.families[a] == learner.families[c] != learner.families[b]


def test_a_run_is_determined_by_subset_seed_and_split():
    learner = PlantedLearner(PlantedConfig())
    pair = learner.tasks[:2]
    assert values(learner, *pair) == values(PlantedLearner(PlantedConfig(tasks=500)), *pair)
    assert values(learner, *pair) != values(learner, *pair, seed=1)
    assert values(learner, *pair) != values(learner, *pair, split="test")
    many = learner.fit_many([pair, pair], [0, 1], steps=[3, 4], split="validation")
    assert [fit.scores for fit in many] == [
        learner.fit(pair, seed, steps=9, split="validation").scores for seed in (0, 1)
    ]


def test_runs_scatter_by_the_noise_and_fail_at_the_rate_asked_for():
    learner = PlantedLearner(PlantedConfig(noise=0.5, failures=0.25))
    pair, found, failed = learner.tasks[:2], [], 0
    for seed in range(400):
        try:
            found.append(values(learner, *pair, seed=seed)[pair[0]])
        except RunError:
            failed += 1
    assert 70 < failed < 130
    assert np.std(found) == pytest.approx(0.5, rel=0.15)


def test_it_has_every_ability_and_its_gradients_know_the_groups():
    learner = PlantedLearner(EXACT)
    for ability in (SideBySideLearner, FeatureLearner, LinearisedLearner, LookaheadLearner):
        assert isinstance(learner, ability)
    a, b, c = learner.tasks[:3]
    first, other, mate = (
        learner.gradient_features(task, examples=32, seed=0, dimension=16).mean(0) for task in (a, b, c)
    )
    assert first @ mate > first @ other
    linear = learner.linearise(a, examples=5, seed=0, dimension=4)
    assert linear["train_gradients"].shape == linear["eval_gradients"].shape == (5, 4)
    before, after = learner.lookahead(0, steps=10, every=3)
    assert before.shape == (4, 6)
    assert after.shape == (4, 6, 6)
    assert (before > 0).all()


def test_what_is_not_planted_is_an_error():
    with pytest.raises(InputError, match="planted tasks are task-0000 to task-0005, got 'task-0006'"):
        values(PlantedLearner(EXACT), "task-0006")
    with pytest.raises(ValueError, match="groups must be at most the number of tasks 2"):
        PlantedConfig(tasks=2)
