"""The curves of the rules for k that the report of a study shows."""

from __future__ import annotations

import pytest

from cotune.benchmark.planted import block_model
from cotune.grouping import SDPClustering
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
