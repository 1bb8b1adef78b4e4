"""Other settings of a study on its own runs: Table 3 of AdaGroup as one command."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cotune.exceptions import InputError, StorageError
from cotune.studies import collect_study, plan_study, run_study, study_status

CLEAR = {"tasks": 9, "groups": 3, "noise": 0.05}
COMPARED = {"budgets": [4], "seeds": 2, "arms": ["grouped", "joint"]}
TABLE_3 = {"grouping.n_clusters": [2, 3, 5]}


class Events:
    def __init__(self, limit=None):
        self.runs, self.notes, self.totals, self.limit = [], [], {}, limit

    def stage(self, title, total, reused):
        self.totals[title] = (total, reused)

    def note(self, text):
        self.notes.append(text)

    def finished(self, record):
        self.runs.append((*record.identity["subset"], record.identity["seed"], record.identity["split"]))
        if len(self.runs) == self.limit:
            raise KeyboardInterrupt


def table(study):
    with (study.folder / "sweep.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def swept(planted, stem="study", **changes):
    options = {
        "learner": {**CLEAR, "side_by_side": 1},
        "comparison": COMPARED,
        "grouping": {"objective": "density"},
    }
    return planted.study(stem, **{**options, "sweep": TABLE_3, **changes})


def test_every_number_of_groups_has_its_density_and_test_score(planted):
    study, events = swept(planted), Events()
    result = run_study(study, events)
    own, *others = result.sweep
    assert (own.k, [row.k for row in others]) == (3, [2, 3, 5])
    rows = table(study)
    assert [row["value"] for row in rows] == ["", "2", "3", "5"]
    assert {row["steps_per_task"] for row in rows} == {"4"}
    by_k = {int(row["groups"]): row for row in rows}
    assert float(by_k[5]["summed_density"]) == pytest.approx(5 * float(by_k[5]["average_density"]))
    assert max(by_k, key=lambda k: float(by_k[k]["score"])) == 3, "the planted groups score best"
    two, five = (row.scores[0] for row in (others[0], others[2]))
    assert two.gain.mean < -0.1
    assert two.sign == five.sign == -1
    assert float(by_k[2]["gain_over_own"]) == pytest.approx(float(by_k[2]["score"]) - float(by_k[3]["score"]))
    assert others[1].scores[0].gain is None, "the same groups"
    assert any("tell grouping.n_clusters = 2, grouping.n_clusters = 5" in s for s in result.sentences())
    assert json.dumps(result.to_dict()["sweep"])
    page = (study.folder / "report.html").read_text().replace("<wbr>", "")
    assert "Other settings" in page
    assert "grouping.n_clusters = 5" in page
    run_study(swept(planted, sweep={}))
    assert not (study.folder / "sweep.csv").exists()


def test_what_settings_share_is_done_once_and_nothing_twice(planted):
    study, events = swept(planted), Events()
    plan = plan_study(study, measure=False)
    result = run_study(study, events)
    assert len(set(events.runs)) == len(events.runs)
    assert result.sweep[2].further_runs == 0, "k = 3 is what the file's own setting found"
    assert result.sweep[1].further_runs == 2, (
        "one of the two groups, with two seeds: the other is a planted one"
    )
    total, _ = events.totals["sweep"]
    assert total == sum(row.further_runs for row in result.sweep)
    assert plan.stages[-1].title == "sweep"
    assert plan.stages[-1].runs >= total
    assert study_status(study).complete
    again = Events()
    assert run_study(swept(planted), again).to_dict()["sweep"] == result.to_dict()["sweep"]
    assert again.runs == []
    assert collect_study(study).to_dict()["sweep"] == result.to_dict()["sweep"]
    assert plan_study(study, measure=False).stages[-1].runs == total
    assert plan_study(study, measure=False).stages[-1].stored == total


def test_a_sweep_that_was_killed_goes_on(planted):
    whole, events = swept(planted, "whole"), Events()
    result = run_study(whole, events)
    study, first, second = swept(planted, "parts"), Events(limit=len(events.runs) - 2), Events()
    with pytest.raises(KeyboardInterrupt):
        run_study(study, first)
    status = study_status(study)
    assert not status.complete
    assert status.stages[-1].title == "sweep"
    assert run_study(study, second).to_dict()["sweep"] == result.to_dict()["sweep"]
    assert sorted(first.runs + second.runs, key=str) == sorted(events.runs, key=str)


def test_size_and_number_of_subsets_are_swept_with_the_runs_they_take(planted):
    sweep = {"affinity.subset_size": [3, 4], "affinity.subsets": [20, 30], "grouping.rounding.c": [1.5, 4]}
    affinity = {"estimator": "higher_order", "subsets": 30, "design": "fixed_size"}
    grouping = {"n_clusters": 3, "rounding": {"name": "threshold", "c": 1.5}}
    study = swept(planted, affinity=affinity, grouping=grouping, comparison=None, sweep=sweep)
    own, three, four, few, many, close, far = run_study(study).sweep
    assert own.affinity_runs == three.affinity_runs == 30 + 9
    assert three.further_runs == many.further_runs == 0, "the file's own"
    assert four.further_runs == 30
    assert few.further_runs == 0, "a longer design begins with the shorter"
    assert few.affinity_runs == 20 + 9
    truth = [study.learner.families[task] for task in study.learner.tasks]
    assert adjusted_rand_score(truth, four.labels) == 1.0
    assert close.labels == own.labels
    assert far.k == 9, "1/3 is not above 4/9"
    assert own.scores == ()
    assert np.isfinite([row.summed_density for row in (own, four, few)]).all()


def test_the_papers_algorithm_is_swept_too(planted):
    affinity = {"estimator": "paper_adaptive", "k": 3, "adaptive_steps": 1, "matrix": "prepared"}
    sweep = {"affinity.k": [2], "affinity.adaptive_steps": [2], "affinity.c": [3]}
    study = swept(planted, affinity=affinity, grouping={}, sweep=sweep)
    own, two, steps, cut = run_study(study).sweep
    assert own.k == 3
    assert two.affinity_runs == own.affinity_runs == 9 + 5 * 9
    assert two.further_runs <= 2 * two.k, "the same subsets of the one step"
    assert steps.further_runs > 0
    assert cut.k == 9


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"learner.noise": [1]}, r"sweep\.learner\.noise: must be an option of affinity or of grouping"),
        ({"grouping": [1]}, r"sweep\.grouping: must be an option of"),
        ({"grouping.n_cluster": [2]}, r"grouping\.n_cluster: unknown key \(did you mean 'n_clusters'\?\)"),
        ({"grouping.n_clusters": [2, 0]}, r"grouping\.n_clusters.*: input should be greater than 0"),
        (
            {"grouping.n_clusters": [2, 99]},
            r"sweep\.grouping\.n_clusters = 99: grouping\.n_clusters: must be at",
        ),
        ({"grouping.n_clusters": [2, 2]}, r"sweep\.grouping\.n_clusters: 2 stands twice"),
        ({"grouping.n_clusters.a": [2]}, r"grouping\.n_clusters: has no option 'a'"),
        (
            {"affinity.subset_size": [50]},
            r"sweep\.affinity\.subset_size = 50: .*subset size must be between 2 and",
        ),
        ({"grouping.n_clusters": []}, r"sweep\.grouping\.n_clusters: tuple should have at least 1 item"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_any_run(planted, sweep, message):
    with pytest.raises(InputError, match=message):
        run_study(swept(planted, sweep=sweep))
    assert not (planted.folder / "study").exists()


def test_a_sweep_needs_a_fixed_number_of_seeds(planted):
    with pytest.raises(InputError, match=r"sweep: settings are compared .* leave out comparison\.until"):
        swept(planted, comparison={**COMPARED, "until": "decided", "max_seeds": 4})


def test_what_stands_in_the_way_of_a_page_is_said_in_a_sentence(planted):
    study = planted.study("way")
    run_study(study)
    (study.folder / "sweep.csv").mkdir()
    with pytest.raises(StorageError, match=r"sweep\.csv cannot be written: (it is a folder|its rights)"):
        run_study(study)
