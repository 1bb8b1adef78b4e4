"""The sampler of partitions: its prior, blocks of independent tasks, chains of their own weights."""

import itertools

import numpy as np
import pytest
from affinity_designs import inside_only, uniform_design
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from cotune.affinity._belief import renewed
from cotune.affinity._entries import Entries
from cotune.affinity._partition_prior import PartitionPrior
from cotune.affinity._placements import Companies, Weighted, sums_of
from cotune.affinity._sampler import PartitionSampler, independent
from cotune.affinity.evidence import GroupEvidence


def partitions(n):
    for labels in itertools.product(range(n), repeat=n):
        if all(label <= max(labels[:i], default=-1) + 1 for i, label in enumerate(labels)):
            yield np.array(labels)


def runs(seed, n, m, size=3):
    rng = np.random.default_rng(seed)
    membership = uniform_design(rng, n, size, m)
    return Entries.of(membership, inside_only(membership, rng.normal(size=membership.shape)))


def test_the_prior_is_that_of_labels_drawn_with_dirichlet_weights():
    n, k_max = 4, 2
    prior = PartitionPrior(n, k_max)
    found = np.array([prior.log_prior(np.bincount(labels)) for labels in partitions(n)])
    found = np.exp(found - logsumexp(found))
    rng = np.random.default_rng(0)
    chance = np.array([1.0, 1.0, np.exp(-1), np.exp(-2)])
    counts = dict.fromkeys(map(tuple, partitions(n)), 0)
    draws = 20_000
    for number in rng.choice(n, draws, p=chance / chance.sum()) + 1:
        first = {}
        drawn = rng.choice(number, n, p=rng.dirichlet(np.full(number, prior.evenness)))
        counts[tuple(first.setdefault(label, len(first)) for label in drawn.tolist())] += 1
    share = np.array(list(counts.values())) / draws
    assert np.abs(share - found).max() < 4 * np.sqrt(0.25 / draws)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 25), m=st.integers(1, 30))
def test_tasks_drawn_at_once_share_no_run_and_no_fellow(seed, n, m):
    entries = runs(seed, n, m)
    tasks = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.8)
    blocks = independent(entries, tasks)
    assert sorted(np.concatenate([*blocks, np.zeros(0, int)]).tolist()) == tasks.tolist()
    company = {task: {task} for task in range(n)}
    for run in range(entries.n_runs):
        inside = entries.task[entries.run == run]
        for task in inside:
            company[task] |= set(inside)
    for block in blocks:
        for a, b in itertools.combinations(block, 2):
            assert not company[a] & company[b]


@pytest.mark.parametrize("weighted", [False, True])
def test_the_sums_kept_are_those_of_the_partitions_the_chains_are_at(weighted):
    entries, rng = runs(1, 12, 40), np.random.default_rng(0)
    weightings = [entries]
    if weighted:
        weightings = [entries.resampled(rng.integers(0, 3, 40).astype(float)) for _ in range(4)]
    starts, tasks = rng.integers(0, 5, (4, 12)), np.arange(0, 12, 2)
    sampler = PartitionSampler(weightings, np.ones(12), starts, tasks, rng, prior=PartitionPrior(12, 5))
    for _ in range(3):
        sampler.sweep()
        again = sums_of(Weighted.of(weightings), entries, Companies(entries), sampler._labels)
        np.testing.assert_allclose(sampler._sums[..., :-1], again[..., :-1], atol=1e-9)
    odd = np.arange(1, 12, 2)  # who is not drawn stays with whom it was
    for start, labels in zip(starts, sampler.labels, strict=True):
        assert ((start[odd][:, None] == start[odd]) == (labels[odd][:, None] == labels[odd])).all()


def test_runs_of_sizes_that_differ_are_weighed_as_by_the_log_evidence():
    rng = np.random.default_rng(2)
    membership = np.concatenate([uniform_design(rng, 9, size, 12) for size in (2, 3, 5)])
    labels = np.arange(9) % 3
    evidence = GroupEvidence(membership, inside_only(membership, rng.normal(size=membership.shape)))
    gains, here = evidence.gains(labels, np.arange(9)), evidence.log_evidence(labels)
    for task, group in itertools.product(range(9), range(3)):
        moved = labels.copy()
        moved[task] = group
        expected = evidence.log_evidence(moved) - here
        np.testing.assert_allclose(gains[task, group] - gains[task, labels[task]], expected, atol=1e-8)


def test_stuck_chains_give_way_to_those_that_explain_the_runs():
    rng = np.random.default_rng(0)
    truth = np.arange(24) % 4
    membership = uniform_design(rng, 24, 3, 200)
    share = ((membership.astype(float) @ (truth[:, None] == truth)) - 1) / 2
    scores = np.where(membership, 3.0 * share + 0.5 * rng.normal(size=share.shape), np.nan)
    evidence = GroupEvidence(membership, scores)
    halves = truth + 4 * (np.arange(24) >= 12)  # no move of a single task joins them
    draws = np.stack([truth, halves, truth, truth, halves + 3, truth, truth, truth])
    kept = renewed(evidence, draws)
    assert [len(np.unique(draw)) for draw in kept] == [4] * 8
    np.testing.assert_array_equal(kept[[0, 2, 3, 5, 6, 7]], draws[[0, 2, 3, 5, 6, 7]])
    np.testing.assert_array_equal(renewed(evidence, draws[:3]), draws[:3])  # too few to tell which are stuck
