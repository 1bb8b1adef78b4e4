"""The curves of the rules for k that the report of a study shows."""

from __future__ import annotations

import json

import pytest

from cotune.benchmark.planted import block_model
from cotune.exceptions import InputError
from cotune.grouping import SDPClustering
from cotune.studies import run_study
from cotune.studies.grouping._shown import _k_curves


@pytest.mark.parametrize("n", [5, 101, 250])
def test_every_number_of_tasks_has_curves_of_what_was_computed(n):
    clustering = SDPClustering("auto", k_max=4).fit(block_model(0, n, 2).matrix)
    curves = _k_curves(clustering)
    assert curves
    assert all(len(curve.values) == len(curve.ks) == len(clustering.k_path_) for curve in curves)
    assert {curve.chosen for curve in curves} == set(clustering.k_choices_.values())


def test_a_given_k_has_no_curves():
    assert _k_curves(SDPClustering(2).fit(block_model(0, 8, 2).matrix)) == ()


def test_the_curve_is_in_groups_json(planted):
    study = planted.study(grouping={"objective": "density"}, learner={"noise": 0.05})
    run_study(study)
    told = json.loads((study.folder / "groups.json").read_text())
    ks = [record["k"] for record in told["k_curve"]]
    assert ks == sorted(ks)
    assert {"summed_density", "average_density", "evidence", "weight"} < set(told["k_curve"][0])
    by_k = {record["k"]: record for record in told["k_curve"]}
    assert by_k[3]["summed_density"] == pytest.approx(3 * by_k[3]["average_density"])
    assert told["k_choices"]["evidence"] == told["k"] == 3
    for rule, better in (("average_density", max), ("bic", min)):
        assert told["k_choices"][rule] == better(ks, key=lambda k: by_k[k][rule])


def test_the_rounding_of_the_paper_is_chosen_by_the_file(planted):
    rounding = {"name": "threshold", "c": 1.5}
    study = planted.study(grouping={"n_clusters": 3, "rounding": rounding}, learner={"noise": 0.05})
    result = run_study(study)
    assert result.groups.clustering.rounding == "threshold"
    assert result.groups.clustering.rounding_c == 1.5
    assert result.groups.to_dict()["note"] == "grouped by density: rounding can only be of that"
    assert len(result.groups.members) == 3
    unclear = {"tasks": 20, "noise": 3.0}
    noisy = planted.study("noisy", grouping={"n_clusters": 4, "rounding": "threshold"}, learner=unclear)
    result = run_study(noisy)
    assert len(result.groups.members) != 4
    assert any("the threshold at 1 / n made other groups than the 4" in s for s in result.groups.sentences())


@pytest.mark.parametrize(
    ("rounding", "message"),
    [
        ({"name": "kmeans", "c": 2}, "grouping.rounding: c is of the roundings threshold and row_threshold"),
        ({"name": "threshold", "c": 0.5}, "grouping.rounding.c: input should be greater than or equal to 1"),
        ("dice", "grouping.rounding.name: input should be 'best', 'kmeans'"),
    ],
)
def test_a_rounding_that_is_none_is_refused(planted, rounding, message):
    with pytest.raises(InputError, match=message):
        planted.study(grouping={"rounding": rounding})


def test_groups_that_an_estimator_finds_are_not_rounded_again(planted):
    with pytest.raises(InputError, match=r"grouping\.rounding: this estimator finds the groups"):
        planted.study(affinity={"estimator": "adaptive"}, grouping={"rounding": "threshold"})
