"""Algorithm 3 as it is printed: what is drawn, what is clustered, which number of groups is taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from cotune.affinity import AdaGroup, higher_order
from cotune.exceptions import InputError
from cotune.grouping import SDPClustering, prepare


class Relaxed:
    """Groups in turns of k, and a value that is largest for one number of groups; keeps what it was given."""

    def __init__(self, favourite=3):
        self.favourite, self.calls = favourite, []

    def __call__(self, matrix, start, k):
        self.calls.append((matrix, start, k))
        return np.arange(len(matrix)) % k, -abs(k - self.favourite)


def scores_of(subsets, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(subsets, rng.normal(size=subsets.shape), np.nan)


def steps_of(planner, score=scores_of):
    """Yield the groups before each step, its new tasks and its subsets, and train them."""
    while not planner.finished:
        before = planner.labels_.copy()
        subsets = planner.ask()
        assert (planner.ask() == subsets).all(), "asking changes nothing"
        planner.tell(score(subsets))
        yield before, np.flatnonzero((before < 0) & (planner.labels_ >= 0)), subsets


@settings(max_examples=30, deadline=None)
@given(n=st.integers(6, 40), size=st.integers(2, 5), seed=st.integers(0, 99), data=st.data())
def test_a_run_is_of_new_tasks_and_one_group(n, size, seed, data):
    steps = data.draw(st.integers(1, n // size))
    planner = AdaGroup(n, Relaxed(), k=3, adaptive_steps=steps, size=size, seed=seed)
    assert planner.runs_left == 5 * n
    seen = []
    for before, new, subsets in steps_of(planner):
        assert n // steps <= len(new) <= -(-n // steps)
        assert len(subsets) == 5 * len(new)
        assert (subsets.sum(1) == size).all()
        for subset in subsets:
            old = np.setdiff1d(np.flatnonzero(subset), new)
            assert len(set(before[old])) <= 1
            assert (before[old] >= 0).all()
        seen += new.tolist()
    assert sorted(seen) == list(range(n))
    assert planner.n_runs_ == 5 * n
    assert planner.runs_left == 0
    assert not len(planner.ask())


def test_groups_and_subsets_are_drawn_evenly():
    planner = AdaGroup(24, Relaxed(), k=3, adaptive_steps=2, size=2, subsets=3000, seed=1)
    _, (before, new, subsets) = steps_of(planner)
    share = subsets[:, new].sum() / subsets.sum()
    assert share == pytest.approx(12 / 16, abs=0.03), "of 12 new tasks and a group of 4"
    by_group = [subsets[:, before == group].sum() for group in range(3)]
    assert max(by_group) / min(by_group) < 1.3


def test_eq_6_of_all_steps_is_clustered_from_the_groups_before():
    relax = Relaxed(favourite=3)
    planner = AdaGroup(12, relax, k=5, adaptive_steps=2, size=3, seed=2)
    told = []

    def score(subsets):
        told.append((subsets, scores_of(subsets, len(told))))
        return told[-1][1]

    (_, first, _), (before, _, _) = steps_of(planner, score)
    assert [k for _, _, k in relax.calls] == [1, 2, 3, 4, 5, 3, 4, 5], "from the groups before to k"
    assert [max(values, key=values.get) for values in planner.values_] == [3, 3]
    member, scores = (np.concatenate(parts) for parts in zip(*told, strict=True))
    eq6 = higher_order(member, scores).matrix
    np.testing.assert_array_equal(planner.affinity.matrix, eq6)
    np.testing.assert_array_equal(relax.calls[-1][0], eq6)
    _, start, _ = relax.calls[-1]
    group = first[before[first] == 0]
    np.testing.assert_allclose(start[np.ix_(group, group)], 1 / len(group))
    np.testing.assert_allclose(start.sum(1), 1)
    new = np.flatnonzero(before < 0)
    np.testing.assert_array_equal(start[np.ix_(new, new)], np.eye(len(new)))


def test_where_rounding_gave_more_groups_k_alone_is_tried():
    def relax(matrix, start, k):
        tried.append(k)
        return np.arange(len(matrix)), 0.0

    tried = []
    list(steps_of(AdaGroup(9, relax, k=2, adaptive_steps=3, size=2)))
    assert tried == [1, 2, 2, 2]


def test_the_semidefinite_program_finds_planted_groups():
    labels = np.arange(30) % 3
    same = labels[:, None] == labels
    rng = np.random.default_rng(0)

    def train(subsets):
        share = (subsets.astype(float) @ same - 1) / (subsets.sum(1, keepdims=True) - 1)
        return np.where(subsets, 4 * share + 0.2 * rng.normal(size=subsets.shape), np.nan)

    def relax(matrix, start, k):
        model = SDPClustering(k, warm_start=start, exact_max=0, rounding="row_threshold", rounding_c=1.5)
        model.fit(prepare(matrix, missing="complete").matrix)
        return model.labels_, model.sdp_value_

    planner = AdaGroup(30, relax, k=3, adaptive_steps=3, subsets=200, seed=4)
    list(steps_of(planner, train))
    assert adjusted_rand_score(labels, planner.labels_) == 1.0


def test_failed_runs_count_and_have_no_part():
    planner = AdaGroup(8, Relaxed(), k=2, adaptive_steps=1, seed=0)
    subsets = planner.ask()
    scores = scores_of(subsets)
    scores[1, np.flatnonzero(subsets[1])[0]] = np.nan
    planner.tell(scores)
    keep = np.arange(len(subsets)) != 1
    np.testing.assert_array_equal(planner.affinity.matrix, higher_order(subsets[keep], scores[keep]).matrix)
    assert planner.n_runs_ == len(subsets)


def test_later_tasks_are_a_step_and_leave_the_questions_before_as_they_were():
    one, other = (AdaGroup(9, Relaxed(), k=3, adaptive_steps=3, seed=5) for _ in range(2))
    asked = [subsets for *_, subsets in steps_of(one)]
    one.add_tasks(4)
    assert one.runs_left == 20
    ((_, new, later),) = steps_of(one)
    assert new.tolist() == [9, 10, 11, 12]
    assert later.shape == (20, 13)
    for mine, (*_, theirs) in zip(asked, steps_of(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "subset size must be between 2 and the number of tasks 9, got 1"),
        ({"size": 10}, "subset size must be between 2 and the number of tasks 9, got 10"),
        ({"k": 10}, "k must be from 1 to 9 for 9 tasks, got 10"),
        ({"adaptive_steps": 4}, "from 1 to 3 for 9 tasks, as each takes up a subset of 3 at least, got 4"),
        ({"subsets": 0}, "subsets must be at least 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        AdaGroup(9, Relaxed(), **{"k": 3, **options})


def test_telling_out_of_turn_is_refused():
    planner = AdaGroup(9, Relaxed(), k=3)
    with pytest.raises(InputError, match="nothing to tell"):
        planner.tell(np.zeros((1, 9)))
    planner.ask()
    with pytest.raises(InputError, match=r"\(15, 9\), got \(1, 9\)"):
        planner.tell(np.zeros((1, 9)))
    with pytest.raises(InputError, match="have been told"):
        planner.add_tasks(1)
