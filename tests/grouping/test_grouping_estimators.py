"""The estimators' contract: inputs, errors, determinism, invariances."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from cotune.exceptions import InputError
from cotune.grouping import GROUPERS, SDPClustering, SpectralGrouping, density, objective, prepare

BLOCKS = np.kron(np.eye(3), np.ones((4, 4)))
TRUTH = np.repeat([0, 1, 2], 4)


def noisy_blocks(seed: int, noise: float = 0.3) -> np.ndarray:
    return BLOCKS + noise * np.random.default_rng(seed).standard_normal(BLOCKS.shape)


@pytest.mark.parametrize("name", sorted(GROUPERS))
def test_every_grouper_finds_clear_blocks(name):
    model = GROUPERS[name](3).fit(noisy_blocks(0, 0.1))
    assert np.array_equal(model.labels_, TRUTH)
    assert model.n_clusters_ == 3
    assert model.objective_ == pytest.approx(objective(noisy_blocks(0, 0.1), TRUTH))


def test_clear_blocks_are_certified_with_a_bound_above_the_objective():
    model = SDPClustering(3).fit(noisy_blocks(1))
    assert np.array_equal(model.labels_, TRUTH)
    assert model.certified_
    assert model.status_ == "certified"
    assert model.objective_ <= model.upper_bound_ <= model.objective_ * (1 + 1e-5)
    assert model.gap_ <= 1e-5


def test_auto_finds_the_number_of_clear_blocks_and_keeps_the_curve_of_every_rule():
    model = SDPClustering("auto").fit(noisy_blocks(2))
    assert model.n_clusters_ == 3
    assert [record["k"] for record in model.k_path_][:3] == [1, 2, 3]
    assert set(model.k_choices_) == {"evidence", "bic", "average_density", "summed_density"}


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.ones((2, 3)), "square"),
        ([[0.0, np.nan], [1.0, 0.0]], "NaN"),
        ([[0.0, np.inf], [1.0, 0.0]], "infinity"),
        (np.ones(3), "2D"),
        (np.ones((0, 0)), "empty"),
        ([["a", "b"], ["c", "d"]], "numbers"),
    ],
)
def test_a_matrix_that_cannot_be_grouped_is_refused_in_one_sentence(matrix, words):
    with pytest.raises(InputError, match=words) as caught:
        SDPClustering(1).fit(matrix)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [0, -1, 13, 2.5, True, "many"])
@pytest.mark.parametrize("name", sorted(GROUPERS))
def test_an_impossible_number_of_groups_is_refused(name, bad):
    with pytest.raises(InputError, match="n_clusters"):
        GROUPERS[name](bad).fit(BLOCKS)


@pytest.mark.parametrize(
    "parameters",
    [
        {"k_rule": "elbow"},
        {"rounding": "dice"},
        {"tol": 0.0},
        {"max_iter": 0},
        {"exact_max": 21},
        {"affinity": "rbf"},
        {"n_clusters": "auto", "k_max": 0},
        {"warm_start": np.zeros(5)},
        {"warm_start": np.eye(5)},
    ],
)
def test_parameters_out_of_range_are_named(parameters):
    with pytest.raises(InputError) as caught:
        SDPClustering(**{"n_clusters": 3, **parameters}).fit(BLOCKS)
    assert next(name for name in parameters if name != "n_clusters") in str(caught.value).replace(
        "labels", "warm_start"
    )


def test_nearly_antisymmetric_input_is_pointed_out():
    A = np.random.default_rng(0).standard_normal((8, 8))
    with pytest.warns(UserWarning, match="antisymmetric"):
        SDPClustering(2).fit(A - A.T)


def test_a_single_triangle_is_pointed_out():
    T = np.triu(noisy_blocks(0))
    with pytest.warns(UserWarning, match="one whole triangle"):
        SDPClustering(3).fit(T)
    with pytest.warns(UserWarning, match="one whole triangle"):
        prepared = prepare(T.T)
    assert "triangle" in prepared.steps[0]


def test_ordinary_asymmetry_is_not_objected_to(recwarn):
    rng = np.random.default_rng(0)
    for seed in range(20):
        SDPClustering(3).fit(prepare(rng.standard_normal((12, 12))).matrix)
        prepare(noisy_blocks(seed) + 20 * rng.standard_normal((12, 1)))
        SDPClustering(3).fit(BLOCKS + np.triu(rng.standard_normal((12, 12))))
    assert not recwarn.list


def test_one_task_is_one_proven_group():
    model = SDPClustering("auto").fit([[2.5]])
    assert model.labels_.tolist() == [0]
    assert model.certified_
    assert model.objective_ == model.upper_bound_ == 2.5


@pytest.mark.parametrize("name", sorted(GROUPERS))
def test_as_many_groups_as_tasks_and_a_single_group_are_answered(name):
    T = noisy_blocks(3)
    assert GROUPERS[name](12).fit(T).labels_.tolist() == list(range(12))
    assert GROUPERS[name](1).fit(T).labels_.tolist() == [0] * 12
    assert GROUPERS[name](12).fit(T).objective_ == pytest.approx(np.trace(T))


def test_all_entries_equal_is_a_tie_that_is_proven_and_chosen_as_one_group():
    T = np.full((6, 6), 3.0)
    model = SDPClustering(2).fit(T)
    assert sorted(np.bincount(model.labels_)) == [1, 5]
    assert model.certified_
    assert model.objective_ == pytest.approx(model.upper_bound_)
    assert SDPClustering("auto").fit(T).n_clusters_ == 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(2, 4))
def test_permuting_tasks_permutes_groups(seed, k):
    rng = np.random.default_rng(seed)
    T = noisy_blocks(seed, 0.2)
    order = rng.permutation(12)
    plain = SDPClustering(k).fit(T)
    mixed = SDPClustering(k).fit(T[np.ix_(order, order)])
    assert mixed.objective_ == pytest.approx(plain.objective_, rel=1e-9)
    together = plain.labels_[:, None] == plain.labels_[None, :]
    assert np.array_equal(together[np.ix_(order, order)], mixed.labels_[:, None] == mixed.labels_[None, :])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), factor=st.sampled_from([1e-250, 1e-6, 3.7, 1e6, 1e250]))
def test_scaling_the_matrix_changes_no_group(seed, factor):
    T = noisy_blocks(seed, 0.5)
    assert np.array_equal(SDPClustering(3).fit(T).labels_, SDPClustering(3).fit(factor * T).labels_)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_adding_task_offsets_changes_neither_groups_nor_x(seed):
    rng = np.random.default_rng(seed)
    T, r = noisy_blocks(seed, 0.2), rng.standard_normal(12)
    plain, moved = SDPClustering(3).fit(T), SDPClustering(3).fit(T + r[:, None] + r[None, :])
    assert np.array_equal(plain.labels_, moved.labels_)
    assert np.abs(plain.X_ - moved.X_).max() < 1e-10


def test_labels_count_up_in_task_order_and_repeat_exactly():
    order = np.random.default_rng(5).permutation(12)
    T = noisy_blocks(5)[np.ix_(order, order)]
    first = SDPClustering(3).fit(T)
    assert first.labels_[np.sort(np.unique(first.labels_, return_index=True)[1])].tolist() == [0, 1, 2]
    again = SDPClustering(3).fit(T)
    assert np.array_equal(first.labels_, again.labels_)
    assert first.upper_bound_ == again.upper_bound_


FEATURES_ONLY = {
    "check_clustering": "clusters feature vectors, which precomputed affinities are not",
    "check_dtype_object": "wants a TypeError; every input error here is an InputError, a ValueError",
}
NO_ITERATION = {
    "check_non_transformer_estimators_n_iter": "0 iterations when the proof is found in closed form"
}


@pytest.mark.parametrize(
    ("model", "exempt"),
    [
        (SDPClustering(2, affinity="cosine", tol=0.1, max_iter=50), NO_ITERATION),
        (SDPClustering(2, tol=0.1, max_iter=50), FEATURES_ONLY | NO_ITERATION),
    ]
    + [(GROUPERS[name](2), FEATURES_ONLY) for name in ("lloyd", "spectral")],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learn_conformance(model, exempt):
    results = check_estimator(model, expected_failed_checks=exempt, on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert not failed
    assert sum(result["status"] == "passed" for result in results) > 40


def test_estimators_clone_and_pickle():
    model = clone(SDPClustering(3, tol=1e-4)).fit(noisy_blocks(6))
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.labels_, model.labels_)
    assert copy.get_params() == model.get_params()


def test_feature_vectors_are_grouped_through_their_cosines():
    rng = np.random.default_rng(7)
    features = np.kron(np.eye(3), np.ones((4, 1))) + 0.1 * rng.standard_normal((12, 3))
    assert np.array_equal(SDPClustering(3, affinity="cosine").fit(features).labels_, TRUTH)
    assert np.array_equal(SpectralGrouping(3, affinity="linear").fit(features).labels_, TRUTH)


def test_density_is_the_sum_over_a_group_divided_by_its_size():
    T = np.arange(9.0).reshape(3, 3)
    assert density(T, ["b", "a", "b"]).tolist() == [(0 + 2 + 6 + 8) / 2, 4.0]
    with pytest.raises(InputError, match="one group per task"):
        density(T, [0, 1])
