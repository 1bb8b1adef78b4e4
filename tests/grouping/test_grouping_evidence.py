"""Choosing k by evidence: what it finds, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cotune.benchmark.planted import block_model, fig2, noise
from cotune.benchmark.structures import Structure
from cotune.exceptions import InputError
from cotune.grouping import SDPClustering
from cotune.grouping._partition import first_appearance
from cotune.grouping.block_fit import fit_model
from cotune.grouping.block_model import Observations
from cotune.grouping.evidence import canonical_order, choose_by_evidence
from cotune.grouping.evidence_search import Candidate, State
from cotune.grouping.heavy_tails import best_tailed, fit_tailed


def planted(seed, sizes, signal=3.0, columns=0.0):
    """Groups of given sizes in a random order, noise of one, offsets of columns."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    n = len(labels)
    T = signal * (labels[:, None] == labels) + rng.standard_normal((n, n))
    T += columns * rng.standard_normal(n)
    order = rng.permutation(n)
    return T[np.ix_(order, order)], labels[order]


def chosen(T, weights=None):
    return choose_by_evidence((T + T.T) / 2, len(T) - 1, weights=weights)


@pytest.mark.parametrize(
    ("sizes", "signal"),
    [
        ([4] * 25, 3.0),
        ([3] * 12, 3.0),
        ([2] * 10, 5.0),
        ([24, 10, 4, 2], 3.0),
        ([36, 3, 3, 3], 3.0),
        ([10, 10] + [1] * 10, 4.0),
        ([10] * 4, 1.0),
    ],
)
def test_groups_of_all_sizes_are_found(sizes, signal):
    T, labels = planted(0, sizes, signal)
    path = chosen(T)
    assert path.k == len(sizes)
    assert adjusted_rand_score(labels, path.labels[path.k]) > 0.99


@pytest.mark.parametrize("seed", range(3))
def test_offsets_of_columns_are_no_groups(seed):
    assert chosen(planted(seed, [20], 0.0, columns=3.0)[0]).k == 1
    assert chosen(planted(seed, [5] * 4, 3.0, columns=3.0)[0]).k == 4


def test_a_hierarchy_is_found_to_its_leaves():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 8)
    T = 1.5 * (labels[:, None] // 2 == labels // 2) + 1.5 * (labels[:, None] == labels)
    path = chosen(T + rng.standard_normal(T.shape))
    assert path.k == 6
    assert adjusted_rand_score(labels, path.labels[6]) == 1.0


@pytest.mark.parametrize("n", [3, 8, 20, 45])
def test_noise_has_no_groups(n):
    assert all(chosen(noise(seed, n)).k == 1 for seed in range(3))


@pytest.mark.parametrize("seed", range(4))
def test_single_entries_far_out_are_no_groups(seed):
    T = np.random.default_rng(seed).standard_t(3, (20, 20))
    assert chosen(T).k == 1


def test_groups_are_found_among_entries_far_out():
    drawn, _ = Structure((6,) * 5, 2.0, tails=3.0).draw(1)
    path = chosen(drawn.matrix)
    assert path.k == 5
    assert adjusted_rand_score(drawn.labels, path.labels[5]) == 1.0
    assert path.precision is not None


def test_noise_that_differs_between_groups_is_no_reason_to_split_them():
    drawn = fig2(48, mirrored=True)
    path = chosen(drawn.matrix)
    assert path.k == 3
    assert adjusted_rand_score(drawn.labels, path.labels[3]) > 0.9
    rough, even = (path.precision[np.ix_(rows, rows)].max() for rows in (range(50), range(50, 150)))
    assert even > 3.0 * rough
    assert path.weights[3] > 0.999


@pytest.mark.parametrize("seed", range(2))
def test_tasks_that_harm_one_another_are_no_group(seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), 6)
    same = labels[:, None] == labels
    noise_of_entries = rng.standard_normal(same.shape)
    assert chosen(noise_of_entries - 3.0 * same).k == 1
    found = SDPClustering().fit(noise_of_entries + np.where(labels < 3, 3.0, -3.0)[:, None] * same)
    assert adjusted_rand_score(labels[:18], found.labels_[:18]) == 1.0
    assert len(set(found.labels_[18:])) == 6
    assert not set(found.labels_[18:]) & set(found.labels_[:18])


@pytest.mark.parametrize("seed", range(3))
def test_heavy_tails_without_end_are_normal_noise(seed):
    T, labels = planted(seed, [6, 5, 4, 3])
    labels = np.unique(labels, return_inverse=True)[1]
    data = Observations((T + T.T) / 2)
    one = np.zeros(len(T), dtype=np.intp)
    costs = []
    for partition, k in ((one, 1), (labels, 4)):
        normal = Candidate(partition, k, fit_model(data, partition, k, pairs=False))
        costs.append(fit_tailed(data, normal, 1e7, pairs=False).cost - normal.cost)
    assert costs == pytest.approx([0.0, 0.0], abs=1.0)
    assert best_tailed(data, normal, pairs=False).cost > normal.cost - 3.0


def test_many_partitions_about_as_good_count_together():
    T, labels = planted(0, [8] * 3, 0.8)
    S = (T + T.T) / 2
    data = Observations(S)
    labels = np.unique(labels, return_inverse=True)[1]
    clear = planted(0, [8] * 3, 5.0)
    sharp = Observations((clear[0] + clear[0].T) / 2)
    fuzzy, certain = (
        State(of, Candidate(groups, 3, fit_model(of, groups, 3, pairs=False)), False).doubt()
        for of, groups in ((data, labels), (sharp, np.unique(clear[1], return_inverse=True)[1]))
    )
    assert fuzzy > 0.1
    assert 0.0 <= certain < 1e-3


@pytest.mark.parametrize("case", ["noise", "groups", "weak"])
def test_neither_order_nor_seed_matters(case):
    T = {
        "noise": lambda: noise(1, 18),
        "groups": lambda: planted(1, [6, 5, 4, 2])[0],
        "weak": lambda: planted(3, [8] * 3, 0.8)[0],
    }[case]()
    first = SDPClustering().fit(T)
    for seed in range(8):
        order = np.random.default_rng(seed).permutation(len(T))
        again = SDPClustering(random_state=seed).fit(T[np.ix_(order, order)])
        assert again.n_clusters_ == first.n_clusters_
        assert again.k_weights_ == pytest.approx(first.k_weights_)


def test_the_canonical_order_follows_the_tasks():
    S = noise(0, 12)
    S = S + S.T
    order = np.random.default_rng(0).permutation(12)
    assert np.array_equal(canonical_order(S)[...], order[canonical_order(S[np.ix_(order, order)])])


def test_entries_of_many_measurements_count_more():
    T, labels = planted(0, [8] * 3, 1.0)
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 30, T.shape).astype(float)
    counts = np.tril(counts) + np.tril(counts, -1).T
    noise_of_entries = rng.standard_normal(T.shape) * 3.0 / np.sqrt(counts)
    blocks = (labels[:, None] == labels).astype(float)
    weighted = SDPClustering(partition="likelihood").fit(blocks + noise_of_entries, weights=counts)
    plain = SDPClustering(partition="likelihood").fit(blocks + noise_of_entries)
    score = adjusted_rand_score(labels, weighted.labels_)
    assert weighted.n_clusters_ == 3
    assert score >= adjusted_rand_score(labels, plain.labels_)
    assert score > 0.8


def test_unseen_entries_say_nothing():
    T, labels = planted(0, [8] * 3)
    seen = (np.random.default_rng(0).random(T.shape) < 0.7).astype(float)
    seen = np.minimum(seen, seen.T)
    path = chosen(np.where(seen > 0, T, 1e3), seen)
    assert path.k == 3
    assert adjusted_rand_score(labels, path.labels[3]) == 1.0


@pytest.mark.parametrize("bad", [np.ones((3, 3)), -np.ones((6, 6)), np.zeros((6, 6))])
def test_weights_that_cannot_be_are_refused(bad):
    with pytest.raises(InputError, match="weights must"):
        SDPClustering().fit(noise(0, 6), weights=bad)


def test_giants_are_not_split_and_the_densest_groups_are_beside():
    T, labels = planted(0, [10, 10] + [1] * 10, 4.0)
    model = SDPClustering().fit(T)
    assert model.partition_ == "likelihood"
    assert adjusted_rand_score(labels, model.labels_) == 1.0
    assert adjusted_rand_score(labels, model.density_labels_) < 0.9
    assert model.objective_ < model.density_objective_ <= model.upper_bound_ + 1e-9
    assert model.gap_ > model.density_gap_
    plain = SDPClustering(partition="density").fit(T)
    assert np.array_equal(plain.labels_, model.density_labels_)
    assert plain.partition_ == "density"
    given = SDPClustering(12, partition="likelihood").fit(T)
    assert adjusted_rand_score(labels, given.labels_) > adjusted_rand_score(labels, plain.labels_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("pairs", [False, True])
def test_sums_kept_move_by_move_are_those_counted_anew(pairs, weighted):
    T, labels = planted(2, [6, 5, 4, 3], 1.0)
    S = (T + T.T) / 2
    weights = np.random.default_rng(0).uniform(0.5, 2.0, S.shape)
    data = Observations(S, weights + weights.T if weighted else None)
    rng = np.random.default_rng(3)
    labels = rng.permutation(labels)
    labels = np.unique(labels, return_inverse=True)[1]
    state = State(data, Candidate(labels, 4, fit_model(data, labels, 4, pairs=pairs)), pairs)
    assert state.move(10, fixed=True)
    kept = state.A.copy(), state.B.copy(), state.S.copy(), state.N.copy(), state.size.copy()
    state.refresh(state.k)
    for before, after in zip(kept, (state.A, state.B, state.S, state.N, state.size), strict=True):
        assert before == pytest.approx(after, abs=1e-9)


def paired_state(seed, n, groups, weights=None):
    """Groups with means of pairs of their own, and a start at random into more or fewer."""
    rng = np.random.default_rng(seed)
    true = np.arange(n) % groups
    S = rng.standard_normal((n, n))
    S = (S + S.T) / 2 + 2.0 * (true[:, None] == true) + rng.standard_normal((groups, groups))[true][:, true]
    data = Observations((S + S.T) / 2, weights)
    labels = first_appearance(rng.integers(0, groups + 3, n))
    k = int(labels.max()) + 1
    return State(data, Candidate(labels, k, fit_model(data, labels, k, pairs=True)), True)


@pytest.mark.parametrize(("n", "groups"), [(24, 4), (40, 6)])
def test_weights_that_are_all_alike_change_no_gain(n, groups):
    plain, weighted = (paired_state(0, n, groups, weights) for weights in (None, np.ones((n, n))))
    assert plain.pairs
    assert plain.gains() == pytest.approx(weighted.gains(), abs=1e-9)


@pytest.mark.parametrize("seed", [105, 133, 184])
def test_moves_that_undo_one_another_come_to_an_end(seed):
    state = paired_state(seed, 32, 4)
    assert state.move(32, fixed=False)
    assert not state.move(32, fixed=False)


def test_the_evidence_does_not_change_with_units_or_offsets():
    planted_blocks = block_model(0, 24, 3)
    S = (planted_blocks.matrix + planted_blocks.matrix.T) / 2
    one, two = chosen(S), chosen(1e6 * S + 1e3)
    assert one.k == two.k
    assert one.costs[one.k] - one.costs[1] == pytest.approx(two.costs[two.k] - two.costs[1], abs=1e-3)
