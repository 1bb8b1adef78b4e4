"""What every estimator of affinity has to do in a study, and what some do beyond."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cotune.exceptions import InputError
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


@pytest.fixture(params=sorted(ESTIMATORS))
def affinity(request):
    return {"estimator": request.param}


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
    failing = {**CLEAR, "failures": 0.1}
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
