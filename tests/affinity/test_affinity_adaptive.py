import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from cotune.affinity import AdaptiveGrouping, cover_pairs, group_runs
from cotune.exceptions import InputError


def joined(matrix, labels, k_min, k_max):
    """Average linkage on affinities; the planner takes any clustering."""
    distance = matrix.max() - (matrix + matrix.T) / 2
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    for k in range(k_min, k_max + 1):
        yield fcluster(tree, k, "maxclust") - 1


class World:
    """Tasks whose score rises with the share of their own group in the company."""

    def __init__(self, labels, effect=6.0, seed=0, fail=0.0):
        self.labels, self.effect, self.fail = np.asarray(labels), effect, fail
        self.rng = np.random.default_rng(seed)

    def train(self, subsets):
        n = subsets.shape[1]
        labels = self.labels[:n]
        others = np.maximum(subsets.sum(1, keepdims=True) - 1, 1)
        share = (subsets.astype(float) @ (labels[:, None] == labels) - 1) / others
        scores = np.arange(n) + self.effect * share + self.rng.normal(size=subsets.shape)
        scores[self.rng.random(len(subsets)) < self.fail] = np.nan
        return np.where(subsets, scores, np.nan)


def run(planner, world, rounds=500):
    """Ask and tell until finished; return all that was asked."""
    asked = []
    for _ in range(rounds):
        if planner.finished:
            return asked
        asked.append(planner.ask())
        planner.tell(world.train(asked[-1]))
    raise AssertionError("the planner does not finish")


def same_partition(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return ((a[:, None] == a) == (b[:, None] == b)).all()


def test_it_finds_planted_groups_stops_early_and_says_what_that_saved():
    labels = np.arange(24) % 3
    planner = AdaptiveGrouping(24, joined, n_resamples=10, seed=0)
    asked = run(planner, World(labels, effect=8.0))
    assert same_partition(planner.labels_, labels)
    assert not len(planner.unstable)
    assert planner.confidence_.min() >= 0.8
    assert planner.n_runs_ == sum(len(subsets) for subsets in asked)
    assert planner.saved_runs == 5 * 24 - planner.n_runs_ > 24
    assert planner.ask().shape == (0, 24)
    assert planner.affinity.counts.diagonal().sum() == 3 * planner.n_runs_


def test_every_subset_holds_an_open_task_and_members_of_one_group_besides():
    planner = AdaptiveGrouping(32, joined, size=4, batch=6, n_resamples=5, seed=1)
    world = World(np.arange(32) % 4)
    steps = 0
    while not planner.finished:
        before, still_open = planner.labels_, np.isin(np.arange(32), planner.open_tasks)
        taken = before >= 0
        subsets = planner.ask()
        assert len(subsets)
        assert (subsets & still_open).any(1).all()
        assert not (subsets & ~taken).any()
        assert (subsets.sum(1) >= 2).all()
        assert (subsets.sum(1) <= 4).all()
        for subset in subsets:
            assert len(np.unique(before[subset & ~still_open])) <= 1
        planner.tell(world.train(subsets))
        steps += (planner.labels_ >= 0).sum() > taken.sum()
    assert steps == 2  # 20 tasks first, so that groups have members; then twice 6
    assert (planner.labels_ >= 0).all()


def test_the_same_seed_and_scores_give_the_same_questions():
    def questions(seed):
        planner = AdaptiveGrouping(8, joined, n_resamples=5, seed=seed)
        return [subsets.tobytes() for subsets in run(planner, World(np.arange(8) % 2))]

    assert questions(3) == questions(3)
    assert questions(3) != questions(4)


def test_a_planner_goes_on_from_the_state_of_another_after_every_round():
    first, second = (AdaptiveGrouping(24, joined, n_resamples=8, seed=4) for _ in range(2))
    worlds = [World(np.arange(27) % 3, effect=3.0, seed=9, fail=0.1) for _ in range(2)]
    rounds = 0
    while not (first.finished and len(first.labels_) == 27):
        if first.finished:  # and tasks that come later
            first.add_tasks(3)
            second.add_tasks(3)
        questions = first.ask(), second.ask()
        np.testing.assert_array_equal(*questions)
        with pytest.raises(InputError, match="state can be taken when"):
            first.state_dict()
        first.tell(worlds[0].train(questions[0]))
        second.tell(worlds[1].train(questions[1]))
        other = AdaptiveGrouping(24, joined, n_resamples=8, seed=4)
        other.load_state_dict(second.state_dict())
        second = other
        rounds += 1
        np.testing.assert_array_equal(first.labels_, second.labels_)
        np.testing.assert_array_equal(first.confidence_, second.confidence_)
    assert rounds > 4
    assert first.n_runs_ == second.n_runs_
    assert first.saved_runs == second.saved_runs
    np.testing.assert_array_equal(first.affinity.matrix, second.affinity.matrix)


def test_asking_twice_gives_the_same_until_scores_are_told():
    planner = AdaptiveGrouping(20, joined, seed=1)
    first = planner.ask()
    assert (planner.ask() == first).all()
    first[:] = False  # what was handed out is the caller's
    again = planner.ask()
    assert again.any()
    planner.tell(World(np.arange(20) % 3).train(again))
    assert planner.n_runs_ == len(again)
    with pytest.raises(InputError, match="ask for subsets first"):
        planner.tell(np.ones(again.shape))


def test_scores_outside_of_a_subset_are_ignored():
    planners = [AdaptiveGrouping(10, joined, seed=2) for _ in range(2)]
    subsets = planners[0].ask()
    scores = World(np.arange(10) % 2).train(subsets)
    planners[0].tell(scores)
    planners[1].ask()
    planners[1].tell(np.where(subsets, scores, 1e9))
    assert (planners[0].labels_ == planners[1].labels_).all()


def test_failed_runs_cost_and_tell_nothing():
    planner = AdaptiveGrouping(18, joined, n_resamples=10, seed=0)
    labels = np.arange(18) % 2
    run(planner, World(labels, effect=8.0, fail=0.2))
    assert same_partition(planner.labels_, labels)
    assert planner.affinity.counts.diagonal().sum() < 3 * planner.n_runs_


@pytest.mark.parametrize("batch", [None, 4])
def test_it_ends_when_every_run_fails(batch):
    planner = AdaptiveGrouping(30, joined, batch=batch, k_max=5)
    run(planner, World(np.zeros(30, dtype=int), fail=1.0))
    assert planner.n_runs_ == 150
    assert not planner.confidence_.any()


def test_added_tasks_are_asked_about_and_no_subset_is_without_one():
    labels = np.arange(20) % 3
    planner, world = AdaptiveGrouping(16, joined, n_resamples=10, seed=0), World(labels, effect=8.0)
    run(planner, world)
    before = planner.n_runs_
    planner.add_tasks(4)
    assert planner.open_tasks.tolist() == [16, 17, 18, 19]
    assert not planner.finished
    asked = run(planner, world)
    assert all(subsets[:, 16:].any(1).all() for subsets in asked)
    assert planner.n_runs_ - before < before
    assert same_partition(planner.labels_, labels)


def test_tasks_can_be_added_where_the_budget_was_spent():
    planner, world = AdaptiveGrouping(10, joined, runs_per_task=1.0), World(np.arange(14) % 2, effect=0.0)
    run(planner, world)
    planner.add_tasks(4)
    run(planner, world)
    assert planner.n_runs_ <= 14


@settings(max_examples=8, deadline=None)
@given(
    n=st.integers(2, 14),
    data=st.data(),
    budget=st.sampled_from([0.4, 1.0, 2.0]),
    effect=st.sampled_from([0.0, 6.0]),
    batch=st.sampled_from([None, 1, 5]),
)
def test_the_budget_is_never_exceeded_and_all_tasks_are_grouped(n, data, budget, effect, batch):
    size = data.draw(st.integers(2, n))
    planner = AdaptiveGrouping(
        n, joined, size=size, batch=batch, runs_per_task=budget, k_max=2, n_resamples=5
    )
    run(planner, World(np.arange(n) % 2, effect=effect))
    assert planner.n_runs_ + planner.saved_runs == int(budget * n + 1e-9)
    assert set(planner.labels_) == set(range(planner.labels_.max() + 1))
    assert ((planner.confidence_ >= 0) & (planner.confidence_ <= 1 + 1e-9)).all()


def test_uniform_runs_are_grouped_by_the_same_rule():
    labels = np.arange(20) % 3
    subsets = np.zeros((130, 20), dtype=bool)
    np.put_along_axis(subsets, cover_pairs(20, 3, 130), True, axis=1)
    found, confidence = group_runs(subsets, World(labels, effect=8.0).train(subsets), joined)
    assert same_partition(found, labels)
    assert confidence.min() > 0.8
    with pytest.raises(InputError, match="two tasks or more"):
        group_runs(np.eye(3), np.eye(3), joined)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "subset size must be between 2 and the number of tasks 9, got 1"),
        ({"size": 10}, "got 10"),
        ({"batch": 0}, "'batch' parameter must be at least 1"),
        ({"runs_per_task": 0.0}, "'runs_per_task' parameter must be positive"),
        ({"stability": 1.5}, "'stability' parameter must be above 0 and at most 1"),
        ({"k_max": 0}, "'k_max' parameter must be at least 1"),
        ({"n_resamples": 0}, "'n_resamples' parameter must be at least 1"),
    ],
)
def test_parameters_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        AdaptiveGrouping(9, joined, **options)


def test_what_does_not_fit_is_refused():
    planner = AdaptiveGrouping(9, joined)
    with pytest.raises(InputError, match="at least 1, got 0"):
        planner.add_tasks(0)
    asked = planner.ask()
    with pytest.raises(InputError, match="have been told"):
        planner.add_tasks(1)
    with pytest.raises(InputError, match="must have the shape of what was asked"):
        planner.tell(np.zeros((len(asked), 8)))
