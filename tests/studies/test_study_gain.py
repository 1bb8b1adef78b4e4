"""Studies that choose their groups by the gain that their runs predict."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from cotune.exceptions import InputError
from cotune.studies import collect_study, run_study, study_status
from cotune.studies.grouping import GroupingConfig
from cotune.studies.grouping._objective import settle_objective

SHORT = {"budgets": [2], "seeds": 2}
ALONE_AND_PAIRS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=bool)


def settle(inside=ALONE_AND_PAIRS, found="", **options):
    return settle_objective(GroupingConfig(**options), "abc", inside, found=found, where="grouping.")


def test_gain_decides_wherever_runs_tell_of_it():
    assert settle().by_gain
    assert settle(objective="gain").by_gain
    assert settle(n_clusters=2, weights={"a": 2.0}, unit="noise").by_gain
    assert settle(missing="complete").by_gain
    assert not settle(objective="density").by_gain


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"inside": None}, "an affinity matrix holds no scores alone"),
        ({"inside": ALONE_AND_PAIRS[1:]}, "no run trains 'a' alone"),
        ({"inside": ALONE_AND_PAIRS[:3]}, "no run trains two tasks together"),
        ({"k_rule": "bic"}, "k_rule can only be of that"),
        ({"scale": "two_way", "k_max": 3}, "k_max and scale can only be of that"),
        ({"found": "adaptive"}, "adaptive finds the groups itself"),
    ],
)
def test_where_density_decides_unasked_it_is_said_why(options, why):
    objective = settle(**options)
    assert not objective.by_gain
    assert why in objective.note


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "gain", "inside": None}, "cannot be predicted: an affinity matrix"),
        ({"objective": "gain", "inside": ALONE_AND_PAIRS[2:]}, "no run trains 'a' alone .nor 1 more"),
        ({"objective": "gain", "scale": "none"}, "grouping.scale: groups by predicted gain do not have"),
        ({"objective": "gain", "k_rule": "bic"}, "grouping.k_rule: "),
        ({"objective": "gain", "k_max": 2}, "grouping.k_max: "),
        ({"objective": "gain", "missing": "complete"}, "grouping.missing: "),
        (
            {"objective": "density", "weights": {"a": 2.0}},
            "grouping.weights: only .* the objective is density",
        ),
        ({"objective": "density", "unit": "noise"}, "grouping.unit: only"),
        ({"inside": None, "weights": {"a": 2.0}}, "grouping.weights: only .* holds no scores alone"),
        ({"k_max": 2, "unit": "noise"}, "grouping.unit: only .* k_max asks for density"),
    ],
)
def test_what_cannot_be_honoured_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        settle(**options)


def test_a_study_of_a_real_learner_decides_by_gain_and_measures_it(workshop):
    study = workshop.study(
        affinity={"estimator": "pairwise", "steps_per_task": 1}, grouping={"weights": {"copy": 2}}
    )
    result = run_study(study)
    written = json.loads((study.folder / "groups.json").read_text())
    assert written["answer"] == "gain"
    assert written["gain"]["labels"] == written["labels"] == list(result.groups.labels)
    assert written["gain"]["weights"] == {"copy": 2.0, "first": 1.0, "last": 1.0, "repeat": 1.0}
    assert set(written["gain"]["tasks"]) == set(study.learner.tasks)
    of_density = {"objective", "upper_bound", "gap", "certified", "status", "stability", "preparation"}
    assert not of_density & set(written)
    assert of_density | {"groups", "k", "predicted_gain"} <= set(written["density"])
    assert written["k"] == len(written["groups"])
    measured = result.to_dict()["predicted_and_measured"]
    assert {(row["arm"], row["budget"]) for row in measured} == {
        (arm, budget) for arm in ("single", "joint") for budget in (1, 2)
    }
    with (study.folder / "predicted_gains.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["predicted"]) for row in rows] == [row["predicted"] for row in measured]
    page = (study.folder / "report.html").read_text()
    assert "Predicted and measured" in page
    assert any("upper bound" in line for line in result.sentences())
    assert study_status(workshop_again(workshop, study)).complete
    again = collect_study(workshop_again(workshop, study))
    assert again.groups.to_dict() == result.groups.to_dict()


def workshop_again(workshop, study):
    from cotune.studies import Study

    return Study.load(study.path)


def test_measured_gains_are_weighted_means_of_scaled_differences(planted):
    result = run_study(
        planted.study(
            comparison={**SHORT, "arms": ["joint", "single"]}, grouping={"weights": {"task-0003": 3}}
        )
    )
    units = dict(zip(result.groups.tasks, result.groups.gain.gains.units, strict=True))
    weight = dict(zip(result.groups.tasks, result.groups.gain.weights, strict=True))
    assert weight["task-0003"] == 3
    by = {(s.arm, s.seed, s.task): s.value for s in result.scores}
    for row in result.measured:
        expected = np.mean(
            [
                sum(
                    weight[t] * (by["grouped", seed, t] - by[row.arm, seed, t]) / units[t]
                    for t in result.groups.tasks
                )
                / sum(weight.values())
                for seed in (0, 1)
            ]
        )
        assert row.measured.mean == pytest.approx(expected)
        assert row.tasks == 9


@pytest.mark.parametrize(
    ("learner", "k", "arm"),
    [
        ({"tasks": 6, "groups": 1, "noise": 0.1}, 1, "joint"),
        ({"tasks": 6, "groups": 6, "noise": 0.1}, 6, "single"),
    ],
)
@pytest.mark.parametrize("others", [["joint", "single", "random", "spectral"], None])
def test_one_group_or_each_alone_has_nothing_to_compare_with_itself(planted, learner, k, arm, others):
    arms = others or [arm]
    study = planted.study(
        learner=learner,
        affinity={"estimator": "pairwise", "seeds": 2},
        comparison={**SHORT, "arms": arms},
        grouping={"objective": "gain"} if k == 6 else {"n_clusters": 1},
    )
    result = run_study(study)
    assert max(result.groups.labels) + 1 == k
    own = [row for row in result.measured if row.arm == arm]
    assert own
    assert all(row.measured is None for row in own)
    text = " ".join([result.comparison.overall.sentence, *result.comparison.overall.remarks])
    assert "is the same as" in text
    assert "nothing to compare" in (study.folder / "report.html").read_text()
    with (study.folder / "predicted_gains.csv").open() as stream:
        assert [row["measured"] for row in csv.DictReader(stream) if row["gain_over"] == arm] == [""]


def test_of_partitions_that_gain_the_same_the_fewest_groups_are_taken(planted):
    study = planted.study(learner={"tasks": 6, "groups": 1, "noise": 0.0, "effect": 2.0})
    assert run_study(study).groups.labels == (0,) * 6


def test_an_estimator_without_runs_is_grouped_by_density_and_says_so(planted):
    study = planted.study(affinity={"estimator": "gradient_cosine"})
    result = run_study(study)
    assert result.groups.gain is None
    why = "the estimator gradient_cosine trains no subsets of tasks"
    assert why in result.sentences()[0]
    assert why in (study.folder / "report.html").read_text()
    assert json.loads((study.folder / "groups.json").read_text())["answer"] == "density"


@pytest.mark.parametrize(
    ("affinity", "grouping", "message"),
    [
        ("gradient_cosine", {"objective": "gain"}, "the estimator gradient_cosine trains no subsets"),
        ("higher_order", {"objective": "gain", "k_max": 3}, "grouping.k_max: groups by predicted gain"),
        ("higher_order", {"weights": {"task-3": 1}}, "no task 'task-3' .did you mean 'task-000"),
        ("calibrated", {"objective": "gain"}, "no run trains 'task-0000' alone"),
    ],
)
def test_a_study_is_refused_before_anything_is_trained(planted, affinity, grouping, message):
    study = planted.study(affinity={"estimator": affinity}, grouping=grouping)
    with pytest.raises(InputError, match=message):
        run_study(study)
    assert not (study.folder / "runs.sqlite").exists()


@pytest.mark.parametrize("estimator", ["first_order", "calibrated"])
def test_first_order_estimates_predict_gains_where_every_task_is_trained_alone(planted, estimator):
    affinity = {"estimator": estimator, "alone": True}
    study = planted.study(affinity=affinity, learner={"noise": 0.05}, comparison={**SHORT, "arms": ["joint"]})
    result = run_study(study)
    written = json.loads((study.folder / "groups.json").read_text())["gain"]
    error = written["held_out_error"]
    assert written["predictor"] == "first_order"
    assert error["first_order"]["3"] < min(
        errors["3"] for name, errors in error.items() if name != "first_order"
    )
    families = [study.learner.families[task] for task in study.learner.tasks]
    assert len(set(zip(families, result.groups.labels, strict=True))) == len(set(families))
    assert "first-order estimates, put right by the runs" in (study.folder / "report.html").read_text()
    assert collect_study(study).groups.to_dict() == result.groups.to_dict()


def test_groups_of_adaptive_grouping_are_its_own_unless_gain_is_asked_for(planted):
    affinity = {"estimator": "adaptive", "runs_per_task": 3}
    own = run_study(planted.study("own", affinity=affinity))
    assert own.groups.gain is None
    assert "finds the groups itself" in own.groups.note
    gain = run_study(planted.study("gain", affinity=affinity, grouping={"objective": "gain"}))
    assert gain.groups.gain is not None
    assert gain.groups.density_labels == own.groups.labels


@pytest.mark.parametrize("tasks", [5, 101])
def test_a_study_with_defaults_writes_its_report(planted, tasks):
    learner = {"tasks": tasks, "groups": 5}
    study = planted.study(
        learner=learner, affinity={"estimator": "gradient_cosine"}, comparison={**SHORT, "arms": ["joint"]}
    )
    assert run_study(study).report.is_file()
    if tasks == 5:
        report = run_study(planted.study("trained", learner=learner, comparison=SHORT)).report
        assert "Predicted gain of every task" in report.read_text()
