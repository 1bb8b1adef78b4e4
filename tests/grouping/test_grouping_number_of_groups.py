"""Choosing k: the rules on planted groups, and their curves."""

from __future__ import annotations

import numpy as np
import pytest

from cotune.benchmark.planted import block_model, fig2, noise
from cotune.grouping import K_RULES, SDPClustering, choose_k, default_k_rule, objective
from cotune.grouping.number_of_groups import (
    _folds,
    bic,
    block_means,
    default_k_max,
)


@pytest.mark.parametrize("constant", [0.0, 10.0, -0.5])
@pytest.mark.parametrize("rule", ["bic", "entry_cv"])
def test_both_criteria_find_planted_groups_whatever_constant_is_added(rule, constant):
    planted = block_model(0, 40, 4, constant=constant)
    model = SDPClustering("auto", k_rule=rule).fit(planted.matrix)
    assert model.n_clusters_ == 4
    assert np.array_equal(model.labels_, planted.labels)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_default_finds_the_three_clusters_of_fig2(mirrored):
    for seed in range(3):
        T = fig2(seed, mirrored=mirrored).matrix
        assert choose_k(T, 8, np.random.default_rng(0), rule="bic").chosen["bic"] == 3
        assert choose_k(T, 149, np.random.default_rng(0)).chosen["evidence"] == 3


def test_the_paper_rule_measures_the_offset():
    planted = block_model(0, 40, 4)
    chosen = [
        choose_k(planted.matrix + shift, 8, np.random.default_rng(0), rule="bic").chosen["average_density"]
        for shift in (10, -0.5)
    ]
    assert chosen[0] == 1
    assert chosen[1] != chosen[0]


def test_noise_has_one_group():
    for seed in range(2):
        path = choose_k(noise(seed, 25), 6, np.random.default_rng(0), rule="entry_cv")
        assert path.chosen["bic"] == path.chosen["entry_cv"] == 1
        assert choose_k(noise(seed, 25), 24, np.random.default_rng(0)).chosen["evidence"] == 1


def test_the_path_records_every_rule_for_every_k():
    planted = block_model(1, 40, 3)
    path = choose_k(planted.matrix, 6, np.random.default_rng(0), rule="bic")
    assert set(path.chosen) == set(K_RULES) - {"evidence"}
    assert [record["k"] for record in path.records] == list(range(1, len(path.records) + 1))
    for record in path.records:
        assert record["summed_density"] == pytest.approx(objective(planted.matrix, path.labels[record["k"]]))
        assert record["average_density"] == pytest.approx(record["summed_density"] / record["k"])
        assert np.isfinite([record["bic"], record["entry_cv"], record["entry_cv_se"]]).all()
    assert path.records[0]["entry_cv"] == 1.0


def test_entries_are_held_out_above_the_limit_only_on_request(monkeypatch):
    monkeypatch.setattr("cotune.grouping.number_of_groups.CROSS_VALIDATE_UP_TO", 20)
    T = block_model(2, 30, 3).matrix
    assert "entry_cv" not in choose_k(T, 4, np.random.default_rng(0), rule="bic").chosen
    assert SDPClustering(k_rule="entry_cv", k_max=4).fit(T).k_choices_["entry_cv"] == 3


def test_folds_hold_every_pair_out_once_and_symmetrically():
    masks = _folds(9, np.random.default_rng(0))
    assert np.array_equal(sum(mask.astype(int) for mask in masks), 1 - np.eye(9))
    assert all(np.array_equal(mask, mask.T) for mask in masks)


def test_block_means_ignore_unseen_entries():
    S = np.array([[0.0, 2.0, 5.0], [2.0, 0.0, 7.0], [5.0, 7.0, 0.0]])
    seen = 1.0 - np.eye(3)
    seen[0, 2] = seen[2, 0] = 0.0
    means = block_means(S, seen, np.array([0, 0, 1]), 2)
    assert means[0, 0] == 2.0
    assert means[0, 1] == 7.0
    assert means[1, 1] == pytest.approx((2 * 2 + 2 * 7) / 4)  # no seen entry: the overall mean


def test_bic_does_not_see_the_diagonal_or_the_numbering():
    planted = block_model(3, 30, 3)
    S = (planted.matrix + planted.matrix.T) / 2
    value = bic(S, planted.labels, 3)
    assert bic(S + np.diag(np.arange(30.0)), planted.labels, 3) == pytest.approx(value)
    assert bic(S, (planted.labels + 1) % 3, 3) == pytest.approx(value)
    assert value < bic(S, np.zeros(30, dtype=int), 1)


@pytest.mark.parametrize("rule", ["evidence", "entry_cv", "bic"])
def test_an_interrupt_while_choosing_ends_the_fit(rule):
    def stop(k, summed_density):
        if k == 3:
            raise KeyboardInterrupt

    model = SDPClustering("auto", k_rule=rule, k_callback=stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(block_model(4, 60, 5).matrix)
    assert not hasattr(model, "labels_")


def test_every_k_tried_is_reported():
    heard = []
    model = SDPClustering("auto", k_rule="bic", k_callback=lambda *state: heard.append(state))
    model.fit(noise(0, 20))
    assert heard == [(record["k"], record["summed_density"]) for record in model.k_path_]


def test_every_k_that_evidence_looks_at_is_reported_once():
    heard = []
    model = SDPClustering("auto", k_callback=lambda k, objective: heard.append(k)).fit(noise(0, 20))
    assert sorted(heard) == [record["k"] for record in model.k_path_]


def test_the_default_rule_is_evidence_at_every_size():
    for n in (4, 100, 101):
        model = SDPClustering("auto").fit(block_model(0, n, 2).matrix)
        assert model.k_rule_ == default_k_rule(n) == "evidence"
        assert model.n_clusters_ == model.k_choices_["evidence"]


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (2, 1), (5, 4), (30, 10), (2000, 67)])
def test_the_default_largest_k(n, expected):
    assert default_k_max(n) == expected
