import itertools

import numpy as np
import pytest
from affinity_designs import inside_only, uniform_design
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp

from cotune.affinity import GroupEvidence
from cotune.affinity._belief import Belief, believe
from cotune.affinity._group_likelihood import EFFECTS, NOISES
from cotune.affinity._sampler import PartitionSampler
from cotune.exceptions import InputError


def planted(seed, labels, m, size=3, effect=4.0):
    """Runs on random subsets; a task scores by the share of its own group, in a unit of its own."""
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels)
    n = len(labels)
    membership = uniform_design(rng, n, size, m)
    own = membership.astype(float) @ (labels[:, None] == labels) - 1
    scores = rng.normal(size=n) + np.exp(0.5 * rng.normal(size=n)) * (
        effect * own / (size - 1) + rng.normal(size=membership.shape)
    )
    return membership, inside_only(membership, scores)


def all_partitions(n):
    """Every set partition of n tasks, groups numbered by first appearance."""
    for labels in itertools.product(range(n), repeat=n):
        if all(label <= max(labels[:i], default=-1) + 1 for i, label in enumerate(labels)):
            yield np.array(labels)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 4))
def test_gains_are_differences_of_the_log_evidence(seed, k):
    rng = np.random.default_rng(seed)
    n = 7
    labels = np.unique(rng.integers(0, k, n), return_inverse=True)[1]
    membership, scores = planted(seed, labels, 25)
    evidence = GroupEvidence(membership, scores).fit(labels)
    gains = evidence.gains(labels, np.arange(n))
    here = evidence.log_evidence(labels)
    for task in range(n):
        for group in range(labels.max() + 2):
            moved = labels.copy()
            moved[task] = group
            if (labels == labels[task]).sum() == 1 and group == labels.max() + 1:
                assert gains[task, group] == -np.inf  # alone it is a group of its own already
                continue
            expected = evidence.log_evidence(moved) - here
            np.testing.assert_allclose(gains[task, group] - gains[task, labels[task]], expected, atol=1e-8)


def test_the_likelihood_of_a_task_is_the_integral_it_stands_for():
    # Two companies, with and without the group: integrate the normal likelihood over b and v numerically.
    membership = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]], dtype=bool)
    scores = inside_only(membership, np.zeros((4, 3)))
    scores[:, 0] = y = np.array([2.0, 1.0, -1.5, -1.5])
    x = np.array([0.5, 0.5, -0.5, -0.5])
    evidence = GroupEvidence(membership, scores).fit([0, 0, 1])
    s, beta = evidence.noise_[0], evidence.effect_

    def given_variance(v, use):
        # b ~ N(beta, (beta / 3)^2), all in units of s; the level has a flat prior.
        cov = v * np.eye(4) + use * v * (beta / 3) ** 2 * np.outer(x, x)
        rest = y / s - use * beta * x
        contrast = np.linalg.svd(np.ones((1, 4)))[2][1:]
        cov, rest = contrast @ cov @ contrast.T, contrast @ rest
        density = np.exp(-0.5 * rest @ np.linalg.solve(cov, rest)) / np.sqrt(np.linalg.det(cov))
        return density * v**-3.0 * np.exp(-2.0 / v)  # inverse gamma, 4 degrees of freedom

    with_group, without = (
        quad(lambda t, use=use: given_variance(np.exp(t), use) * np.exp(t), -12, 12)[0] for use in (1, 0)
    )
    found = evidence.gains([0, 1, 2], [0])[0]
    prior = evidence.prior.log_prior(np.array([1, 1, 1])) - evidence.prior.log_prior(np.array([2, 1]))
    np.testing.assert_allclose(found[1] - found[0] + prior, np.log(with_group / without), rtol=1e-6)


def test_improve_and_merge_climb_and_find_planted_groups_from_singletons():
    labels = np.repeat(np.arange(3), 5)
    membership, scores = planted(0, labels, 150, effect=6.0)
    evidence = GroupEvidence(membership, scores).fit(labels)
    singles = np.arange(15)
    improved = evidence.improve(singles)
    merged = evidence.merge(improved)
    values = [evidence.log_evidence(v) for v in (singles, improved, merged)]
    assert values == sorted(values)
    assert (evidence.improve(merged) == np.unique(labels, return_inverse=True)[1]).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.sampled_from([2, 3, 4]))
def test_union_gains_are_differences_of_the_log_evidence(seed, size):
    rng = np.random.default_rng(seed)
    labels = np.unique(rng.integers(0, 4, 9), return_inverse=True)[1]
    membership, scores = planted(seed, labels, 25, size=size)
    evidence = GroupEvidence(membership, scores).fit(labels)
    gain, here = evidence.union_gains(labels), evidence.log_evidence(labels)
    for a, b in itertools.permutations(range(labels.max() + 1), 2):
        union = evidence.log_evidence(np.where(labels == b, a, labels))
        np.testing.assert_allclose(gain[a, b], union - here, atol=1e-8)
    assert (gain.diagonal() == -np.inf).all()


def test_merging_joins_halves_that_single_moves_cannot():
    labels = np.repeat(np.arange(2), 8)
    membership, scores = planted(1, labels, 120, effect=6.0)
    halves = np.repeat(np.arange(4), 4)
    evidence = GroupEvidence(membership, scores).fit(labels)
    assert (evidence.merge(halves) == labels).all()


def test_the_sampler_visits_partitions_as_often_as_they_are_likely():
    n = 4
    membership, scores = planted(3, [0, 0, 1, 1], 14, size=2, effect=2.5)
    evidence = GroupEvidence(membership, scores)
    weight = {}
    for labels in all_partitions(n):
        values = []
        for effect, share in itertools.product(EFFECTS, NOISES):
            evidence.effect_, evidence.noise_ = float(effect), share * evidence.typical
            values.append(evidence.log_evidence(labels))
        weight[tuple(labels)] = logsumexp(values)
    total = logsumexp(list(weight.values()))
    chains, sweeps = 50, 60
    sampler = PartitionSampler(
        [evidence.entries],
        evidence.typical,
        np.tile(np.arange(n), (chains, 1)),
        np.arange(n),
        np.random.default_rng(0),
        prior=evidence.prior,
    )
    visits = dict.fromkeys(weight, 0)
    for _ in range(10):
        sampler.sweep()
    for _ in range(sweeps):
        sampler.sweep()
        for labels in sampler.labels.tolist():
            first = {}
            visits[tuple(first.setdefault(label, len(first)) for label in labels)] += 1
    draws = chains * sweeps
    for labels, log_weight in weight.items():
        p = np.exp(log_weight - total)
        # Sweeps are correlated: allow for a quarter of the draws being independent.
        assert abs(visits[labels] / draws - p) < 4 * np.sqrt(p * (1 - p) / (draws / 4)) + 2e-3


def test_beliefs_leave_the_other_tasks_where_they_are_and_agree_with_the_planted_groups():
    labels = np.repeat(np.arange(3), 6)
    membership, scores = planted(4, labels, 200, effect=6.0)
    start = labels.copy()
    tasks = np.array([0, 7, 13])
    start[tasks] = [3, 4, 5]
    for resample in (False, True):
        rng, starts = np.random.default_rng(0), np.tile(start, (10, 1))
        evidence = GroupEvidence(membership, scores)
        belief = believe(evidence, starts, tasks, rng, sweeps=5, resample=resample)
        others = np.setdiff1d(np.arange(18), tasks)
        for draw in belief.draws:
            same = draw[:, None] == draw
            assert (same == (labels[:, None] == labels))[np.ix_(others, others)].all()
        found = belief.consensus([start])
        assert (found == labels).all()
        assert belief.confidence(found).min() > 0.8


def test_consensus_maximises_the_agreement_with_the_posterior():
    rng = np.random.default_rng(0)
    n = 5
    for _ in range(10):
        p = rng.random((n, n))
        p = (p + p.T) / 2
        np.fill_diagonal(p, 0.0)

        def agreement(labels, p=p):
            return ((p - 0.5) * np.triu(labels[:, None] == labels, 1)).sum()

        best = max(all_partitions(n), key=agreement)
        belief = Belief(np.arange(n), p, (np.arange(n), np.zeros(n, dtype=np.intp)))
        found = belief.consensus(all_partitions(n))
        assert agreement(found) == pytest.approx(agreement(best))
        assert agreement(belief.consensus([])) >= max(agreement(draw) for draw in belief.draws)


def test_confidence_by_hand():
    p = np.array([[0.0, 0.9, 0.2], [0.9, 0.0, 0.1], [0.2, 0.1, 0.0]])
    belief = Belief(np.arange(3), p, ())
    np.testing.assert_allclose(belief.confidence(np.array([0, 0, 1])), [0.8, 0.9, 0.85])
    halves = Belief(np.arange(3), np.array([[0.0, 1.0, 0.6], [1.0, 0.0, 0.6], [0.6, 0.6, 0.0]]), ())
    assert (halves.confidence(np.array([0, 0, 1])) <= 0.41).all()  # sure of each other, not of the third


def test_units_and_levels_of_scores_do_not_matter():
    labels = np.repeat(np.arange(2), 4)
    membership, scores = planted(5, labels, 40)
    plain = GroupEvidence(membership, scores).fit(labels).gains(labels, np.arange(8))
    moved = GroupEvidence(membership, scores * 50.0 + np.arange(8)).fit(labels).gains(labels, np.arange(8))
    np.testing.assert_allclose(moved, plain, atol=1e-7)


def test_runs_of_one_task_say_nothing():
    membership, scores = planted(6, [0, 0, 1, 1], 20, size=2)
    alone = np.vstack([membership, np.eye(4, dtype=bool)])
    more = np.vstack([scores, np.where(np.eye(4) > 0, 100.0, np.nan)])
    first = GroupEvidence(membership, scores).fit([0, 0, 1, 1])
    second = GroupEvidence(alone, more).fit([0, 0, 1, 1])
    assert first.log_evidence([0, 1, 1, 0]) == pytest.approx(second.log_evidence([0, 1, 1, 0]))


def test_what_does_not_fit_is_refused():
    evidence = GroupEvidence([[1, 1, 0]], [[1.0, 2.0, np.nan]])
    with pytest.raises(InputError, match="a group number from 0 for each of 3 tasks"):
        evidence.fit([0, 1])
    with pytest.raises(InputError, match="a group number from 0"):
        evidence.gains([0, -1, 0], [0])
    with pytest.raises(InputError, match="must have a finite score"):
        GroupEvidence([[1, 1]], [[1.0, np.nan]])
