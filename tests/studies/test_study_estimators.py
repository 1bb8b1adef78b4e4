"""What every estimator of affinity has to do in a study, and what some do beyond."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cotune.exceptions import InputError, RunError
from cotune.studies import collect_study, plan_study, run_study, study_status
from cotune.studies.grouping.estimators import ESTIMATORS

CLEAR = {"noise": 0.05}


class Counter:
    """Counts what a study does."""

    def __init__(self):
        self.stages, self.runs, self.notes = [], [], []

    def stage(self, title, total, reused):
        self.stages.append((title, total, reused))

    def finished(self, record):
        self.runs.append(record)

    def note(self, text):
        self.notes.append(text)


def planted_labels(study):
    return [study.learner.families[task] for task in study.learner.tasks]


OPTIONS = {"paper_adaptive": {"k": 3, "adaptive_steps": 2, "matrix": "prepared"}}
"""What an estimator has to be told."""


@pytest.fixture(params=sorted(ESTIMATORS))
def affinity(request):
    return {"estimator": request.param, **OPTIONS.get(request.param, {})}


def test_it_finds_the_planted_groups_and_runs_nothing_twice(planted, affinity):
    study, counter = planted.study(affinity=affinity, learner=CLEAR), Counter()
    plan = plan_study(study, measure=False)
    result = run_study(study, counter)
    n = len(study.learner.tasks)
    assert adjusted_rand_score(planted_labels(study), result.groups.labels) == 1
    assert result.estimate.affinity.matrix.shape == result.estimate.affinity.counts.shape == (n, n)
    assert result.estimate.estimator
    assert result.estimate.unit
    assert 0 < len(counter.runs) <= plan.stages[0].runs
    assert (study.folder / "affinity.csv").is_file()
    assert study_status(study).complete
    again = Counter()
    second = run_study(planted.study(affinity=affinity, learner=CLEAR), again)
    assert again.runs == []
    assert second.groups.to_dict() == result.groups.to_dict()
    assert collect_study(study).groups.to_dict() == result.groups.to_dict()


def test_its_plan_is_measured_in_the_end(planted, affinity):
    plan = plan_study(planted.study(affinity=affinity))
    assert plan.wall_seconds >= 0
    assert plan.disk_bytes > 0
    assert plan.stages[0].runs > 0


def test_failed_runs_are_left_out_and_told(planted, affinity):
    failing = {**CLEAR, "failures": 0.06}
    study = planted.study(affinity=affinity, learner=failing, grouping={"missing": "complete"})
    result = run_study(study)
    failed = [r for r in result.affinity_records.values() if r.error is not None]
    assert np.isfinite(result.groups.prepared.matrix).all()
    assert len(study_status(study).errors) == len(failed)
    if failed:
        assert any("failed" in note for note in result.estimate.notes)
        assert failed[0].error in (study.folder / "report.html").read_text()


def test_too_few_tasks_are_an_error_before_any_run(planted, affinity):
    study = planted.study(affinity=affinity, learner={"tasks": 1, "groups": 1})
    with pytest.raises(InputError, match="at least two tasks"):
        run_study(study)
    assert not study.folder.exists()
    if "subset_size" in ESTIMATORS[affinity["estimator"]].model_fields:
        larger = planted.study(affinity={**affinity, "subset_size": 10})
        with pytest.raises(InputError, match="subset size"):
            larger.check()


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_gains_are_scores_in_company_less_those_alone(planted):
    study = planted.study(affinity={"estimator": "pairwise"}, learner=CLEAR)
    result = run_study(study)
    names = list(study.learner.tasks)
    written = np.array([[float(cell) for cell in row[1:]] for row in rows(study.folder / "gains.csv")[1:]])
    scores = {run.subset: record.scores for run, record in result.affinity_records.items()}
    for i, j in ((0, 3), (3, 0), (0, 1)):
        pair = tuple(sorted((names[i], names[j])))
        gain = scores[pair][names[i]].value - scores[names[i],][names[i]].value
        assert written[i, j] == pytest.approx(gain)
    same = np.array([[study.learner.families[a] == study.learner.families[b] for a in names] for b in names])
    off = ~np.eye(len(names), dtype=bool)
    assert (written[same & off] > 0).all()
    assert (written[~same] < 0).all()
    assert "Who gains by company" in (study.folder / "report.html").read_text()


@pytest.mark.parametrize("estimator", ["pairwise", "linear_surrogate", "first_order", "calibrated"])
def test_negative_transfer_is_predicted_on_held_out_subsets(planted, estimator):
    affinity = {"estimator": estimator, "held_out": {"sizes": [2, 4], "subsets": 12}}
    if estimator == "linear_surrogate":
        affinity["design"] = "fixed_size"
    study = planted.study(affinity=affinity, learner={**CLEAR, "effect": 2.0, "harm": 1.0})
    counter = Counter()
    result = run_study(study, counter)
    sizes = [len(record.identity["subset"]) for record in counter.runs]
    assert sizes.count(4) == 12
    assert plan_study(study, measure=False).stages[0].runs == len(counter.runs)
    table = rows(study.folder / "negative_transfer.csv")
    assert table[0] == ["subset_size", "f1", "tasks", "scores", "prevalence"]
    by_size = {int(row[0]): row for row in table[1:]}
    assert {2, 4} >= set(by_size) >= {4}
    assert 0.6 < float(by_size[4][1]) <= 1
    assert [s.size for s in result.estimate.negative_transfer.by_size] == sorted(by_size)


def test_own_runs_are_predicted_from_one_another(planted):
    affinity = {"estimator": "linear_surrogate", "design": "fixed_size"}
    result = run_study(planted.study(affinity=affinity, learner=CLEAR))
    (found,) = result.estimate.negative_transfer.by_size
    assert found.size == 3
    assert found.f1 > 0.8
    assert "fitted to other runs" in result.estimate.negative_transfer.predictor


def test_predictions_that_disagree_with_training_are_named(planted):
    affinity = {"estimator": "calibrated", "subsets": 30}
    noise = {"effect": 0.0, "harm": 0.0, "noise": 1.0}
    study = planted.study(affinity=affinity, learner=noise)
    result = run_study(study)
    trust = result.estimate.trust.by_task
    poor = [task for task, value in trust.items() if value < 0.3]
    assert poor
    (told,) = (note for note in result.estimate.notes if note.startswith("Do not trust"))
    assert all(task in told for task in poor)
    table = dict(rows(study.folder / "prediction_agreement.csv")[1:])
    assert float(table[poor[0]]) == trust[poor[0]]
    (worth,) = (note for note in result.estimate.notes if note.startswith("The predictions"))
    share = float(worth.split("%")[0].split()[-1].lstrip("(")) if "leave all" not in worth else 100
    assert share > 50


def test_a_recorded_table_takes_the_place_of_training(planted):
    first = planted.study("first", affinity={"estimator": "higher_order"}, learner=CLEAR)
    trained = run_study(first)
    recorded = {"kind": "recorded", "path": "first/scores.csv"}
    planted.data["learner"] = recorded
    study = planted.study("second", affinity={"estimator": "higher_order"})
    result = run_study(study)
    np.testing.assert_allclose(result.estimate.affinity.matrix, trained.estimate.affinity.matrix, rtol=1e-12)
    assert result.groups.labels == trained.groups.labels
    with pytest.raises(
        InputError, match=r"scores.csv has no run on task-0000 \+ .*; a recorded learner knows only"
    ):
        run_study(planted.study("third", affinity={"estimator": "higher_order", "subset_size": 4}))
    with pytest.raises(InputError, match="comparison: null"):
        run_study(planted.study("fourth", comparison={"budgets": [1]}))
    losses = {**recorded, "lower_is_better": True}
    planted.data["learner"] = losses
    turned = run_study(planted.study("fifth"))
    np.testing.assert_allclose(turned.estimate.affinity.matrix, -trained.estimate.affinity.matrix, rtol=1e-12)


def test_a_task_whose_runs_all_failed_is_named(planted):
    affinity = {"estimator": "linear_surrogate"}
    with pytest.raises(RunError, match=r"All runs of the task task-\d+ with others failed"):
        run_study(planted.study(affinity=affinity, learner={"failures": 0.9}))


def sizes_run(planted, affinity, **changes):
    study = planted.study(affinity={"estimator": "higher_order", **affinity}, **changes)
    runs = study.config.estimator.planned(study.learner, study.config.seed)
    plan = plan_study(study, measure=False)
    assert plan.stages[0].runs == len(runs)
    assert plan.stages[0].steps == sum(run.steps for run in runs)
    assert len(set(runs)) == len(runs)
    return [len(run.subset) for run in runs]


def test_subsets_of_mixed_sizes_are_the_default_where_gain_decides_and_cost_no_more(planted):
    fixed = sizes_run(planted, {"design": "fixed_size"})
    assert set(fixed) == {1, 3}
    mixed = sizes_run(planted, {})
    assert {1, 2, 4, 5, 9} <= set(mixed)
    assert mixed.count(1) == fixed.count(1) == 9
    assert sum(fixed) - 9 < sum(mixed) <= sum(fixed)
    assert sizes_run(planted, {}, grouping={"objective": "density"}) == fixed
    assert sizes_run(planted, {}, grouping={"k_rule": "bic"}) == fixed
    assert set(sizes_run(planted, {"subset_size": 4})) == {1, 4}
    assert set(sizes_run(planted, {"subsets": 20})) == {1, 3}


def test_mixed_sizes_cost_what_subsets_of_one_size_would(planted):
    mixed = sizes_run(planted, {"design": "mixed_sizes", "subset_size": 4, "subsets": 20})
    assert 80 - 9 < sum(size for size in mixed if size > 1) <= 80


def test_a_few_tasks_are_run_in_every_pair(planted):
    learner = {"tasks": 4, "groups": 2}
    assert sorted(sizes_run(planted, {}, learner=learner)) == [1] * 4 + [2] * 6 + [4]
