"""The findings of a study of groups: what was sampled, who gains by whom, the groups in words."""

import dataclasses

import numpy as np
import pytest
from samples import grouping as samples

from cotune.exceptions import InputError
from cotune.findings.grouping import (
    AffinityData,
    NegativeTransfer,
    certificate,
    company_gains,
    groupers,
    groups_in_words,
    headline,
    least_agreeing,
    means_between,
    sampling,
)
from cotune.findings.runs import RunKind, total

NAN = float("nan")


def test_pairs_never_sampled_are_those_unknown_both_ways():
    matrix = [[1.0, NAN, 3.0], [NAN, 1.0, NAN], [5.0, 2.0, 1.0]]
    found = sampling(AffinityData(matrix=matrix, counts=[[4, 0, 2], [0, 4, 1], [2, 1, 4]]), 3)
    assert (found.pairs, found.never) == (3, 1)
    assert found.samples == (0, 1, 2)
    assert found.stderr is None
    assert found.spread == pytest.approx(np.std([3, 5, 2]))
    unknown = sampling(AffinityData(matrix=matrix, stderr=[[NAN] * 3] * 3), 3)
    assert unknown.samples is None
    assert np.isnan(unknown.stderr)


def test_a_single_task_has_no_pairs():
    found = sampling(AffinityData(matrix=[[1.0]], counts=[[3]]), 1)
    assert (found.pairs, found.never, found.samples) == (0, 0, None)
    assert np.isnan(found.spread)


def test_gains_leave_a_task_s_own_score_out():
    data = samples.lab_report()
    gains = np.full((9, 9), -0.25)
    gains[0, 3], gains[0, 4], gains[0, 5] = 0.75, -1.5, NAN
    np.fill_diagonal(gains, 100.0)
    gains[8] = NAN
    affinity = dataclasses.replace(data.affinity, gains=gains.tolist(), alone=tuple(range(9)))
    found = company_gains(data, affinity)
    names = [task.name for task in data.tasks]
    assert [one.task for one in found] == names
    assert found[0].best == (names[3], 0.75)
    assert found[0].worst == (names[4], -1.5)
    assert (found[0].positive, found[0].partners, found[0].alone) == (1, 7, 0)
    assert found[0].mean == pytest.approx((0.75 - 1.5 - 5 * 0.25) / 7)
    assert (found[8].best, found[8].worst, found[8].partners) == (None, None, 0)
    assert company_gains(data, data.affinity) == ()


def test_means_between_groups_skip_the_diagonal_and_what_is_unknown():
    matrix = [[9.0, 1.0, 2.0], [3.0, 9.0, NAN], [4.0, NAN, 9.0]]
    means = means_between(AffinityData(matrix=matrix), [[1, 0], [2]], 3)
    np.testing.assert_allclose(means, [[2.0, 2.0], [4.0, NAN]])


def test_those_whose_prediction_was_not_judged_come_last():
    data = samples.lab_report()
    affinity = dataclasses.replace(data.affinity, agreement=(0.9, -0.2, NAN, *(0.5,) * 6))
    names = [task.name for task in data.tasks]
    ranked = [name for name, _ in least_agreeing(data, affinity)]
    assert (ranked[0], ranked[-2], ranked[-1]) == (names[1], names[0], names[2])
    assert list(least_agreeing(data, data.affinity)) == []
    with pytest.raises(InputError, match="agreements of a report must be one number for each of its 9"):
        list(least_agreeing(data, dataclasses.replace(data.affinity, agreement=(0.5,))))


def test_calling_every_subset_harmful_finds_all_at_the_precision_of_the_prevalence():
    truth = np.array([1, 0, 0, 0])
    score = NegativeTransfer(size=3, f1=0.8, tasks=1, scores=4, prevalence=float(truth.mean()))
    assert score.f1_of_everything == pytest.approx(2 * 1 * 0.25 / (1 + 0.25))


def test_groupers_are_compared_up_to_the_names_of_groups():
    data = samples.lab_report()
    found, spectral, lloyd = groupers(data, data.grouping)
    assert (found.with_found, found.with_reference) == (None, 1.0), "the planted types are the groups"
    assert spectral.with_reference == spectral.with_found
    assert lloyd.k == 1
    assert lloyd.with_found == 0
    without = groupers(dataclasses.replace(data, reference=None), data.grouping)
    assert {one.with_reference for one in without} == {None}
    short = dataclasses.replace(data.grouping.baselines[0], labels=(0, 1))
    with pytest.raises(InputError, match="labels of 'spectral' in a report must be one for each of its 9"):
        groupers(data, dataclasses.replace(data.grouping, baselines=(short,)))


def test_the_answer_is_that_of_the_comparison_or_says_that_there_is_none():
    data = samples.language_report()
    assert headline(data).lower() == f"{data.comparison.overall.decision}."
    assert headline(dataclasses.replace(data, comparison=None)).startswith(
        "7 groups of tasks, by the density of affinities; not"
    )
    assert headline(dataclasses.replace(data, comparison=None, grouping=None)) == "No groups yet."


def test_groups_are_named_where_that_fills_a_paragraph_at_most():
    lab = groups_in_words(samples.lab_report())
    assert lab.startswith(
        "The 9 tasks form 3 groups, proved optimal among all partitions into 3: linear-1.0,"
    )
    assert groups_in_words(samples.many_tasks_report()).endswith("of 24 tasks and the smallest of 1 task.")
    two = dataclasses.replace(samples.two_tasks_report(), grouping=None)
    assert groups_in_words(two) == "The 2 tasks of this study were not grouped."


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "yes: within that gap, no partition into 3 has a higher objective on this matrix"),
        ({"certified": None}, "no bound was computed"),
        (
            {"certified": False, "objective": 2.0, "upper_bound": 2.5},
            "no: another partition into 3 could have an objective higher by up to 0.50, and by no more",
        ),
        ({"certified": False, "upper_bound": float("inf")}, "no"),
    ],
)
def test_a_proof_says_what_room_is_left(change, text):
    assert certificate(dataclasses.replace(samples.lab_report().grouping, **change)) == text


def test_what_is_unknown_of_all_runs_is_unknown_in_their_sum():
    known = RunKind(kind="a", done=1, reused=2, failed=0, cpu_seconds=3.0, wall_seconds=NAN, tokens=7)
    other = RunKind(kind="b", done=4, reused=0, failed=1, cpu_seconds=NAN, wall_seconds=NAN)
    both = total([known, other])
    assert (both.done, both.reused, both.failed, both.cpu_seconds, both.tokens) == (5, 2, 1, 3.0, 7)
    assert np.isnan(both.wall_seconds)
    assert total([other]).tokens is None
