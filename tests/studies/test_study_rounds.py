"""Adaptive grouping as a study: rounds of runs that can be broken off, and tasks that come later."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cotune.affinity import AdaptiveGrouping
from cotune.exceptions import InputError
from cotune.studies import run_study, study_status
from cotune.studies.grouping._rounds import arrivals, note_arrivals

ADAPTIVE = {"estimator": "adaptive", "runs_per_task": 6}
CLEAR = {"tasks": 14, "groups": 2, "noise": 0.1}


class Events:
    """Counts runs and keeps notes; breaks off after some runs if asked to."""

    def __init__(self, limit=None):
        self.runs, self.notes, self.totals, self.limit = [], [], [], limit

    def stage(self, title, total, reused):
        self.totals.append((title, total, reused))

    def note(self, text):
        self.notes.append(text)

    def finished(self, record):
        self.runs.append(tuple(record.identity["subset"]))
        if len(self.runs) == self.limit:
            raise KeyboardInterrupt


def truth(study):
    return [study.learner.families[task] for task in study.learner.tasks]


def test_an_interrupted_study_goes_on_and_comes_to_the_same(planted):
    whole, counter = planted.study("whole", affinity=ADAPTIVE, learner=CLEAR), Events()
    result = run_study(whole, counter)
    assert adjusted_rand_score(truth(whole), result.groups.labels) == 1.0
    assert any("tasks taken up are in a stable group" in note for note in counter.notes)
    totals = [total for _, total, _ in counter.totals]
    assert totals == sorted(totals)
    assert totals[-1] == len(counter.runs)

    first, second = Events(limit=len(counter.runs) - 5), Events()
    study = planted.study("parts", affinity=ADAPTIVE, learner={**CLEAR, "side_by_side": 1})
    with pytest.raises(KeyboardInterrupt):
        run_study(study, first)
    assert not study_status(study).complete
    resumed = run_study(
        planted.study("parts", affinity=ADAPTIVE, learner={**CLEAR, "side_by_side": 1}), second
    )
    assert study_status(study).complete
    assert sorted(first.runs + second.runs) == sorted(counter.runs)
    assert resumed.groups.to_dict() == result.groups.to_dict()
    assert resumed.estimate.notes == result.estimate.notes


def test_what_the_planner_worked_out_is_not_worked_out_again(planted, monkeypatch):
    study = planted.study(affinity=ADAPTIVE, learner=CLEAR)
    result = run_study(study)
    with monkeypatch.context() as patched:
        patched.setattr(AdaptiveGrouping, "tell", lambda *_: pytest.fail("the planner was told again"))
        status = study_status(study)
        again = run_study(study)
    assert status.complete
    assert again.groups.to_dict() == result.groups.to_dict()
    assert again.estimate.notes == result.estimate.notes


@pytest.mark.parametrize("spoil", ["other scores", "no archive", "other options"])
def test_what_is_kept_of_the_planner_is_left_aside_where_it_does_not_fit(planted, spoil):
    study = planted.study(affinity=ADAPTIVE, learner=CLEAR)
    result = run_study(study)
    kept, options = study.shared / "rounds.npz", ADAPTIVE
    if spoil == "other scores":
        with np.load(kept) as archive:
            arrays = dict(archive)
        arrays["planner.score"][0] += 1.0
        arrays["planner.labels_"][:] = 0
        np.savez(kept, **arrays)
    elif spoil == "no archive":
        kept.write_text("nothing")
    else:
        options = {**ADAPTIVE, "stability": 0.81}
    again, counter = planted.study(affinity=options, learner=CLEAR), Events()
    assert run_study(again, counter).groups.to_dict()["labels"] == result.groups.to_dict()["labels"]
    assert counter.runs == [] or spoil == "other options"


def test_tasks_that_come_later_are_trained_and_nothing_else(planted):
    study = planted.study(affinity=ADAPTIVE, learner=CLEAR)
    before = run_study(study)
    counter = Events()
    grown = planted.study(affinity=ADAPTIVE, learner={**CLEAR, "tasks": 18})
    result = run_study(grown, counter)
    new = set(grown.learner.tasks) - set(study.learner.tasks)
    assert len(new) == 4
    assert counter.runs
    assert all(new & set(subset) for subset in counter.runs)
    assert adjusted_rand_score(truth(grown), result.groups.labels) == 1.0
    assert json.loads((study.folder / "groups.json").read_text())["labels"] == list(result.groups.labels)
    again = Events()
    assert run_study(grown, again).groups.to_dict() == result.groups.to_dict()
    assert again.runs == []
    assert before.groups.found is not None


def test_the_budget_is_what_is_planned_and_what_is_saved_is_told(planted):
    from cotune.studies import plan_study

    study, counter = planted.study(affinity=ADAPTIVE, learner=CLEAR), Events()
    plan = plan_study(study, measure=False)
    assert plan.stages[0].runs == 14 + 6 * 14
    assert any("whole budget" in note for note in plan.notes)
    result = run_study(study, counter)
    trained = sum(len(subset) > 1 for subset in counter.runs)
    assert trained < 6 * 14
    assert any(f"saved {6 * 14 - trained} runs" in note for note in result.estimate.notes)
    assert f"saved {6 * 14 - trained} runs" in (study.folder / "report.html").read_text()


def test_bounds_hold_for_the_groups_found(planted):
    groups = run_study(planted.study(affinity=ADAPTIVE, learner=CLEAR)).groups
    assert groups.objective <= groups.to_dict()["upper_bound"] + 1e-9
    assert groups.gap >= -1e-9
    assert {other.name for other in groups.others} == {"sdp", "spectral", "lloyd"}
    assert np.isfinite(groups.prepared.matrix).all()


def test_the_number_of_groups_is_not_the_files_to_say(planted):
    with pytest.raises(InputError, match=r"grouping.n_clusters: this estimator finds .* affinity.k_max"):
        planted.study(affinity=ADAPTIVE, grouping={"n_clusters": 2})
    with pytest.raises(InputError, match="subset size must be between 2 and the number of tasks 9, got 10"):
        planted.study(affinity={**ADAPTIVE, "subset_size": 10}).check()


def test_the_order_of_arrival_is_kept_until_a_task_goes(tmp_path):
    assert arrivals(tmp_path, ["b", "a"]) == [["b", "a"]]
    note_arrivals(tmp_path, [["b", "a"]])
    assert arrivals(tmp_path, ["a", "b"]) == [["b", "a"]]
    assert arrivals(tmp_path, ["a", "c", "b"]) == [["b", "a"], ["c"]]
    assert arrivals(tmp_path, ["a", "c"]) == [["a", "c"]]


PAPER = {"estimator": "paper_adaptive", "k": 2, "adaptive_steps": 2, "matrix": "prepared"}


def test_the_papers_algorithm_takes_its_runs_and_those_of_later_tasks(planted):
    study, counter = planted.study(affinity=PAPER, learner=CLEAR), Events()
    result = run_study(study, counter)
    assert len(counter.runs) == 14 + 5 * 14, "each task alone, and m = 5 b"
    assert adjusted_rand_score(truth(study), result.groups.labels) == 1.0
    told = result.groups.to_dict()
    assert told["answer"] == "paper_adaptive"
    assert told["stability"] is None
    assert any("never met in the 70 runs of Algorithm 3" in note for note in result.estimate.notes)
    grown, later = planted.study(affinity=PAPER, learner={**CLEAR, "tasks": 18}), Events()
    result = run_study(grown, later)
    assert len(later.runs) == 4 + 5 * 4
    assert adjusted_rand_score(truth(grown), result.groups.labels) == 1.0
    assert study_status(grown).complete


def test_the_papers_algorithm_is_told_its_number_of_groups(planted):
    with pytest.raises(InputError, match=r"grouping.n_clusters: this estimator finds .* by affinity.k\."):
        planted.study(affinity=PAPER, grouping={"n_clusters": 2})
    with pytest.raises(InputError, match=r"affinity\.k: .*required"):
        planted.study(affinity={"estimator": "paper_adaptive"})
    with pytest.raises(InputError, match="affinity: adaptive_steps must be from 1 to 3 for 9 tasks"):
        planted.study(affinity={**PAPER, "adaptive_steps": 4}).check()


def test_the_threshold_says_how_many_groups_it_made(planted):
    merged = {**PAPER, "k": 4, "rounding": "threshold", "c": 1.0, "matrix": "raw"}
    study = planted.study(affinity=merged, learner={**CLEAR, "noise": 2.0})
    result = run_study(study)
    found = max(result.groups.labels) + 1
    assert found != 4
    assert any(f"made {found} groups where 4 were asked for" in note for note in result.estimate.notes)
