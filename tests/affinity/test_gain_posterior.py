"""The posterior of gains: against the dense Gaussian formulas, and against worlds drawn from what it says."""

from __future__ import annotations

import numpy as np
import pytest

from cotune.affinity import GainPosterior, task_gains
from cotune.affinity.gain_posterior import FEW_TASKS, SIGNALS
from cotune.exceptions import InputError


def every_subset(n):
    return (np.arange(1, 1 << n)[:, None] >> np.arange(n)) & 1 > 0


def planted(inside, rng, *, power=0.5, effect=0.05, own=0.02, noise=0.01, shared=0.0):
    """Return true gains of all subsets and scores around 1 of runs: effects of pairs, and of each subset."""
    n = inside.shape[1]
    groups = every_subset(n)
    size = groups.sum(1)[:, None]
    effects = rng.normal(-0.02, effect, (n, n)) * (1 - np.eye(n))

    def errors(rows):
        together = np.sqrt(shared) * rng.standard_normal((rows, 1))
        return together + np.sqrt(1 - shared) * rng.standard_normal((rows, n))

    gain = groups @ effects.T / np.maximum(size - 1, 1) ** power + own * errors(len(groups))
    gain = np.where(groups & (size > 1), gain, 0.0)
    at = inside @ (1 << np.arange(n)) - 1
    scores = 1.0 + gain[at] + noise * errors(len(inside))
    return gain, np.where(inside, scores, np.nan)


EVERY = list(range(15))
FEW = [0, 1, 2, 3, 5, 7, 14]
"""Each alone, two pairs and all: fewer runs of a task than effects."""


@pytest.mark.parametrize(
    ("subsets", "repeats", "law"),
    [(EVERY, 1, 5), (EVERY, 1, 10), (EVERY, 2, 7), (EVERY, 2, 16), (FEW, 1, 5), (FEW, 2, 16)],
)
def test_it_is_the_gaussian_posterior_of_its_law(subsets, repeats, law):
    rng = np.random.default_rng(0)
    inside = np.repeat(every_subset(4)[subsets], repeats, axis=0)
    gains = task_gains(inside, planted(inside, rng)[1])
    posterior = GainPosterior(gains)
    asked = every_subset(4)[[6, 14]]
    share, signal, i = 3, 6, 1
    power, common, pairs = posterior._laws[law]
    noise = posterior._shares[share]
    runs = inside[:, i]

    def kernel(a, b):
        a, b = (np.delete(x, i, axis=1).astype(float) for x in (a, b))
        factor = [np.where(x.sum(1) > 0, np.maximum(x.sum(1), 1) ** -power, 0) for x in (a, b)]
        alike, factors = a @ b.T, np.outer(*factor)
        one = alike + common * np.outer(a.sum(1), b.sum(1))
        two = pairs * factors * alike * (alike - 1) / 2
        return np.exp(SIGNALS[signal]) / posterior._unit[law] * factors * (one + two)

    def own(a, b):
        return (1 - noise) * ((a[:, None] == b[None]).all(2) & (a.sum(1) > 1)[:, None])

    y, rows = gains.values[runs, i], inside[runs]
    inverse = np.linalg.inv(kernel(rows, rows) + own(rows, rows) + noise * np.eye(len(rows)))
    alone = np.eye(4, dtype=bool)[[i]]
    cross = kernel(asked, rows) - kernel(alone, rows) + own(asked, rows)
    one = np.ones(len(rows))
    height = one @ inverse @ y / (one @ inverse @ one)
    offset = cross @ inverse @ one
    mean = cross @ inverse @ (y - height)
    covariance = kernel(asked, asked) + own(asked, asked) - cross @ inverse @ cross.T
    covariance += np.outer(offset, offset) / (one @ inverse @ one)

    found, slope, root = (at[signal] for at in posterior._asked(posterior._tasks[i], asked, law, share))
    np.testing.assert_allclose(found, mean, atol=1e-10)
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-10)
    others = np.maximum(rows.sum(1) - 1.0, 0)
    total = np.where(others > 0, np.maximum(others, 1) ** (1 - power), 0)
    middle = one @ inverse @ total / (one @ inverse @ one)
    expected = (asked.sum(1) - 1.0) ** (1 - power) - cross @ inverse @ (total - middle)
    np.testing.assert_allclose(slope, expected, atol=1e-10)


def test_a_task_alone_gains_nothing_and_others_are_missing():
    inside = every_subset(4)
    draws = GainPosterior(task_gains(inside, planted(inside, np.random.default_rng(1))[1])).draws(inside, 20)
    assert (np.isnan(draws) == ~inside[None]).all()
    alone = draws[:, inside.sum(1) == 1]
    assert (alone[~np.isnan(alone)] == 0).all()
    assert (draws[:, -1].std(0) > 0).all()


def test_the_order_of_tasks_changes_no_weight():
    rng = np.random.default_rng(2)
    inside = every_subset(5)
    scores = planted(inside, rng)[1]
    order = rng.permutation(5)
    one, other = (GainPosterior(task_gains(inside[:, at], scores[:, at])) for at in (np.arange(5), order))
    np.testing.assert_allclose(one._weights, other._weights, atol=1e-9)
    assert one.correlation_ == pytest.approx(other.correlation_)


@pytest.mark.parametrize("design", ["pairs", "mixed", "twice"])
def test_intervals_cover_the_truth_as_often_as_they_say(design):
    """Of the groups that came out best, which is where a winner's curse would show."""
    rng = np.random.default_rng(3)
    n, covered = 5, []
    inside = every_subset(n)
    if design == "pairs":
        inside = inside[inside.sum(1) <= 2]
    elif design == "mixed":
        inside = inside[np.isin(inside.sum(1), [1, 3, 5])]
    else:
        inside = np.repeat(inside, 2, axis=0)
    groups = every_subset(n)[every_subset(n).sum(1) > 1]
    for seed in range(40):
        truth, scores = planted(inside, rng, power=rng.choice([0.0, 0.5, 1.0]))
        draws = GainPosterior(task_gains(inside, scores)).draws(groups, 200, seed)
        best = int(np.nanmean(draws, (0, 2)).argmax())
        low, high = np.nanquantile(np.nanmean(draws[:, best], 1), [0.05, 0.95])
        members = groups[best]
        right = truth[members @ (1 << np.arange(n)) - 1, members].mean()
        covered.append(low <= right <= high)
    assert np.mean(covered) >= 0.8


def test_what_tasks_of_a_run_have_in_common_widens_the_interval_of_their_sum():
    rng = np.random.default_rng(4)
    inside = np.repeat(every_subset(5), 2, axis=0)
    found = [
        GainPosterior(task_gains(inside, planted(inside, rng, shared=shared)[1])) for shared in (0.0, 0.8)
    ]
    assert found[0].correlation_ < 0.2
    assert found[1].correlation_ > 0.5


def test_many_tasks_are_looked_at_under_few_laws():
    rng = np.random.default_rng(5)
    n = FEW_TASKS + 2
    runs = np.array([np.isin(np.arange(n), rng.choice(n, 5, replace=False)) for _ in range(40)])
    inside = np.vstack([np.eye(n, dtype=bool), runs])
    gain = 0.05 * (inside.sum(1) > 1)[:, None] + 0.01 * rng.standard_normal(inside.shape)
    posterior = GainPosterior(task_gains(inside, np.where(inside, 1.0 + gain, np.nan)))
    draws = posterior.draws(runs[:1], 100)[:, 0, runs[0]]
    assert draws.mean() == pytest.approx(0.05, abs=0.02)


def test_scores_that_never_differ_are_not_an_error():
    inside = every_subset(3)
    draws = GainPosterior(task_gains(inside, np.where(inside, 1.0, np.nan))).draws(inside, 10)
    assert np.nanmax(np.abs(draws)) < 1e-9


def test_only_runs_of_single_tasks_are_refused():
    inside = np.eye(3, dtype=bool)
    with pytest.raises(InputError, match="nothing tells what company does"):
        GainPosterior(task_gains(inside, np.where(inside, 1.0, np.nan)))
