"""Stability of a study's groups over resamples of its runs."""

from __future__ import annotations

import numpy as np
import pytest

from cotune.affinity import higher_order
from cotune.grouping import objective
from cotune.studies.grouping import GroupingConfig, group_tasks
from cotune.studies.grouping._grouping import group_stability

TRUTH = np.repeat([0, 1], 4)


def run_scores(runs: int, noise: float = 0.2) -> np.ndarray:
    """Score triples of eight tasks; mates of the same half help."""
    rng = np.random.default_rng(0)
    scores = np.full((runs, 8), np.nan)
    for row in scores:
        subset = rng.choice(8, 3, replace=False)
        for task in subset:
            mates = sum(TRUTH[other] == TRUTH[task] for other in subset) - 1
            row[task] = mates + noise * rng.standard_normal()
    return scores


def stability(scores):
    return group_stability(scores, TRUTH, scale="row_zscore", resamples=30, seed=0)


def test_clear_groups_come_back_from_every_resample():
    found = stability(run_scores(120))
    assert (found.confidence == 1).all()
    assert np.array_equal(found.co_assignment, TRUTH[:, None] == TRUTH)
    assert len(found.n_clusters) == 30


def test_groups_of_pure_noise_do_not():
    rng = np.random.default_rng(1)
    scores = run_scores(60)
    scores[~np.isnan(scores)] = rng.standard_normal(int((~np.isnan(scores)).sum()))
    assert stability(scores).confidence.mean() < 0.9


@pytest.mark.parametrize("case", ["too few runs", "a single group"])
def test_nothing_is_said_where_nothing_can_be_judged(case):
    if case == "too few runs":
        assert stability(run_scores(15)) is None
    else:
        assert group_stability(run_scores(120), np.zeros(8, int), scale="none", resamples=5, seed=0) is None


def test_groups_are_written_with_their_stability():
    scores = run_scores(120)
    tasks = tuple("abcdefgh")
    affinity = higher_order(~np.isnan(scores), scores)
    groups = group_tasks(
        tasks, affinity, GroupingConfig(n_clusters=2), scale="row_zscore", scores=scores, resamples=10
    )
    written = groups.to_dict()["stability"]
    assert written["resamples"] == 10
    assert written["confidence"] == dict.fromkeys(tasks, 1.0)
    assert np.shape(written["co_assignment"]) == (8, 8)
    without = group_tasks(tasks, affinity, GroupingConfig(n_clusters=2), scale="row_zscore")
    assert without.to_dict()["stability"] is None


def test_entries_of_few_runs_are_drawn_to_the_effects_of_tasks_and_a_line_says_so():
    scores = run_scores(40, noise=1.0)
    groups = group_tasks(
        tuple("abcdefgh"),
        higher_order(~np.isnan(scores), scores),
        GroupingConfig(n_clusters=2, missing="complete"),
        scale="row_zscore",
        resamples=0,
    )
    (line,) = (step for step in groups.sentences() if "drawn towards the effects of their tasks" in step)
    assert "the median one keeps" in line
    assert groups.objective == pytest.approx(objective(groups.prepared.matrix, groups.density_labels))
    assert all(other.objective <= groups.objective + 1e-9 for other in groups.others)
