"""Groups by predicted gain from tables of runs."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from cotune.exceptions import InputError
from cotune.studies.grouping._gain import _fewest, gain_groups, to_dict
from cotune.studies.grouping._gain_words import describe_gain, describe_units


def runs(n, sizes):
    inside = (np.arange(1, 1 << n)[:, None] >> np.arange(n)) & 1 > 0
    return inside[np.isin(inside.sum(1), sizes)]


def losses(inside, labels, rng, *, help_=0.1, hurt=-0.1, noise=0.005):
    same = np.asarray(labels)[:, None] == np.asarray(labels)[None, :]
    effects = np.where(same, help_, hurt)
    np.fill_diagonal(effects, 0.0)
    gain = inside @ effects.T / np.sqrt(np.maximum(inside.sum(1) - 1, 1))[:, None]
    return np.where(inside, gain - 1.0 + noise * rng.standard_normal(inside.shape), np.nan)


@pytest.mark.parametrize("sizes", [[1, 2], [1, 2, 6], [1, 2, 3, 6], [1, 3, 6]])
def test_planted_groups_are_found_whatever_was_run(sizes):
    inside = runs(6, sizes)
    found = gain_groups(inside, losses(inside, [0, 0, 0, 1, 1, 1], np.random.default_rng(0)))
    assert found.labels == (0, 0, 0, 1, 1, 1)
    assert found.exact
    assert found.optimal
    assert found.over_alone.value == pytest.approx(0.1 * (1.0 if sizes == [1, 2] else 2**0.5), abs=0.02)
    assert found.over_alone.low <= found.over_alone.value <= found.over_alone.high
    assert found.over_together.low <= found.over_together.value <= found.over_together.high


def test_tasks_that_hurt_each_other_stay_alone_and_friends_together():
    inside = runs(5, [1, 2, 3, 5])
    rng = np.random.default_rng(1)
    alone = gain_groups(inside, losses(inside, range(5), rng))
    assert alone.labels == (0, 1, 2, 3, 4)
    assert (alone.over_alone.value, alone.over_alone.low, alone.over_alone.high) == (0.0, 0.0, 0.0)
    together = gain_groups(inside, losses(inside, [0] * 5, rng))
    assert together.labels == (0,) * 5
    assert (together.over_together.value, together.over_together.low) == (0.0, 0.0)


def test_the_gain_of_a_group_is_the_weighted_mean_of_its_tasks():
    inside = runs(6, [1, 2, 6])
    scores = losses(inside, [0, 0, 0, 1, 1, 1], np.random.default_rng(0))
    found = gain_groups(inside, scores, weights=[1, 2, 3, 0, 0, 5])
    value = np.array([gain.value for gain in found.by_task])
    first, second = found.by_group
    assert first == pytest.approx(value[:3] @ [1, 2, 3] / 6)
    assert second == pytest.approx(value[5])
    assert (6 * first + 5 * second) / 11 == pytest.approx(found.over_alone.value)


def test_the_number_of_groups_can_be_told():
    inside = runs(6, [1, 2, 3])
    scores = losses(inside, [0, 0, 0, 1, 1, 1], np.random.default_rng(2))
    assert max(gain_groups(inside, scores, n_clusters=3).labels) == 2


def test_more_tasks_than_can_be_enumerated_have_a_bound():
    rng = np.random.default_rng(3)
    n = 18
    pairs = np.array(
        [[task in pair for task in range(n)] for pair in zip(*np.triu_indices(n, 1), strict=True)]
    )
    more = rng.random((40, n)) < 0.3
    inside = np.vstack([np.eye(n, dtype=bool), pairs, more[more.sum(1) > 1]])
    labels = np.repeat(range(3), 6)
    found = gain_groups(inside, losses(inside, labels, rng), draws=50)
    assert not found.exact
    assert found.bound >= found.over_alone.value
    assert "more than 16 tasks" in " ".join(describe_units([str(task) for task in range(n)], found))
    assert list(found.labels) == list(labels)


def test_weights_decide_between_tasks():
    inside = runs(2, [1, 2])
    scores = np.array([[-1.0, np.nan], [np.nan, -1.0], [-0.8, -1.3]])
    assert gain_groups(inside, scores).labels == (0, 1)
    assert gain_groups(inside, scores, weights=[2.0, 1.0]).labels == (0, 0)
    with pytest.raises(InputError, match="Weights must be 2 numbers"):
        gain_groups(inside, scores, weights=[1.0, -1.0])


def test_intervals_cover_the_truth_of_planted_worlds():
    held = {"alone": [], "together": [], "task": []}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        inside = runs(5, [1, 2, 3])
        labels = rng.integers(0, 2, 5)
        found = gain_groups(inside, losses(inside, labels, rng, noise=0.02), draws=200)
        got = np.asarray(found.labels)
        asked = np.vstack([got[None, :] == np.arange(got.max() + 1)[:, None], np.ones((1, 5), dtype=bool)])
        truth = losses(asked, labels, rng, noise=0.0) + 1.0
        right, together = truth[got, np.arange(5)], truth[-1]
        held["alone"].append(found.over_alone.low <= right.mean() <= found.over_alone.high)
        if found.over_together.value:
            over = (right - together).mean()
            held["together"].append(found.over_together.low <= over <= found.over_together.high)
        held["task"] += [
            gain.low <= gain_of <= gain.high
            for gain, gain_of in zip(found.by_task, right, strict=True)
            if gain.value
        ]
    assert {name: len(each) >= 20 for name, each in held.items()} == dict.fromkeys(held, True)
    assert min(np.mean(each) for each in held.values()) >= 0.8


def test_what_is_written_is_json_with_names():
    inside = runs(3, [1, 2, 3])
    found = gain_groups(inside, losses(inside, [0, 0, 1], np.random.default_rng(4)))
    written = json.loads(json.dumps(to_dict(found, "abc"), allow_nan=False))
    assert written["groups"] == [["a", "b"], ["c"]]
    assert set(written["tasks"]) == set("abc")
    assert written["over_alone"]["low"] <= written["over_alone"]["value"] <= written["over_alone"]["high"]


def test_words_say_what_was_tested_and_what_was_not():
    rng = np.random.default_rng(5)
    pairs = runs(6, [1, 2])
    found = gain_groups(pairs, losses(pairs, [0, 0, 0, 1, 1, 1], rng))
    assert "no run could be held out" in " ".join(describe_units("abcdef", found))
    some = runs(6, [1, 2, 3])
    said = 0
    for _ in range(5):
        fallen = gain_groups(some, losses(some, [0] * 6, rng, help_=0.0, noise=0.1))
        words = " ".join(describe_units("abcdef", fallen))
        assert fallen.prediction.fell_back_ == ("nothing did better on held-out runs of" in words)
        said += fallen.prediction.fell_back_
    assert said
    alone = gain_groups(pairs, losses(pairs, range(6), rng))
    assert "each alone is predicted best" in describe_gain("abcdef", alone)[0]
    one = gain_groups(pairs, losses(pairs, [0] * 6, rng), n_clusters=1)
    assert "over all together" not in describe_gain("abcdef", one)[0]


def test_groups_are_not_made_of_chance_where_company_is_any_company():
    some = runs(6, [1, 2, 3, 6])
    undecided = 0
    for seed in range(8):
        noise = 0.05 * np.random.default_rng(seed).standard_normal(some.shape)
        scores = np.where(some, 0.3 * (some.sum(1) > 1)[:, None] - 1.0 + noise, np.nan)
        found = gain_groups(some, scores, draws=200)
        if found.prediction.fell_back_:
            assert found.labels == (0,) * 6
        chance = "not told from chance" in " ".join(describe_gain("abcdef", found))
        assert chance == (found.undecided and not found.optimal)
        assert found.over_alone.value < found.bound or not chance
        undecided += chance
    assert undecided
    asked = gain_groups(some, scores, n_clusters=2, draws=0)
    assert max(asked.labels) == 1
    assert not asked.undecided


def test_tasks_that_lose_are_named():
    inside = runs(3, [1, 2, 3])
    rng = np.random.default_rng(6)
    effects = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [-0.2, -0.2, 0.0]])
    scores = np.where(inside, inside @ effects.T - 1.0 + 0.001 * rng.standard_normal(inside.shape), np.nan)
    found = gain_groups(inside, scores)
    assert found.labels == (0, 0, 0)
    assert any(line.startswith("predicted to lose: c (\u2212") for line in describe_gain("abc", found))
    assert found.value_of([0, 1, 2]) == 0.0
    assert found.value_of(found.labels) == pytest.approx(found.over_alone.value)


@pytest.mark.parametrize("seed", range(3))
def test_groups_that_lose_nothing_by_it_are_merged_one_pair_after_the_other(seed):
    rng = np.random.default_rng(seed)
    help_ = rng.integers(-1, 2, (7, 7)) * (1 - np.eye(7))  # small whole numbers: many merges change nothing

    class Whole:
        def predict(self, inside, *, believe_runs):
            return np.where(inside, inside @ help_.T, np.nan)

    def worth(groups):
        return sum(help_[np.ix_(group, group)].sum() for group in groups)

    groups = [[task] for task in range(7)]
    while len(groups) > 1:
        pairs = list(itertools.combinations(range(len(groups)), 2))
        rise = [worth([groups[a] + groups[b]]) - worth([groups[a], groups[b]]) for a, b in pairs]
        a, b = pairs[int(np.argmax(rise))]
        if max(rise) < 0:
            break
        groups[a] = groups[a] + groups[b]
        del groups[b]
    found = _fewest(Whole(), np.arange(7), np.ones(7))
    assert {frozenset(np.flatnonzero(found == label).tolist()) for label in range(found.max() + 1)} == {
        frozenset(group) for group in groups
    }
