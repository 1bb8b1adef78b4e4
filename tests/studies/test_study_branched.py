"""The arm that trains on all tasks first: its steps, the joint part once, kills and failures, adapters."""

import csv
import itertools
import json
import shutil

import numpy as np
import pytest

from cotune.exceptions import InputError
from cotune.findings.comparison import ArmScore, compare
from cotune.studies import plan_study, run_study, study_status
from cotune.studies.engine._executor import InlineExecutor
from cotune.studies.grouping._comparison import ArmRuns, TrainedArm
from cotune.studies.grouping._costs import about_updates
from cotune.studies.grouping._runs import BranchedRun, FitRun, JointPartRun
from cotune.studies.grouping.arms import Length, Variation

ARMS = ["branched", "joint", "single"]


def compared(*arms, **options):
    return {"budgets": [2, 4], "seeds": 2, "arms": list(arms or ARMS), **options}


def steps_of(plan, arm, budget, seed):
    runs = plan.cells[arm, budget, seed]
    parts = {run.joint for run in runs if isinstance(run, BranchedRun)}
    return sum(run.steps for run in runs) + sum(part.steps for part in parts)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("labels", [(0, 0, 1, 1), (0, 1, 2, 2), (0, 1, 2, 3), (0, 0, 0, 0)])
def test_it_takes_as_many_steps_as_the_others_and_trains_the_joint_part_once(workshop, share, labels):
    study = workshop.study(comparison=compared({"name": "branched", "share": share}, "joint", budgets=[2, 7]))
    plan = ArmRuns.plan(study.learner, labels, study.config.comparison, 3)
    for budget in (2, 7):
        for seed in (0, 1):
            totals = {arm: steps_of(plan, arm, budget, seed) for arm in ("branched", "joint", "grouped")}
            assert set(totals.values()) == {4 * budget}
            runs = plan.cells["branched", budget, seed]
            assert sorted(task for run in runs for task in run.subset) == sorted(study.learner.tasks)
            if len(set(labels)) == 1:
                assert runs == plan.cells["joint", budget, seed]
                continue
            (joint,) = {run.joint for run in runs}
            together = Length(budget).together(share)
            assert 1 <= together < budget
            assert joint == JointPartRun(
                tuple(sorted(study.learner.tasks)), 3 + seed, 4 * together, 4 * (budget - together), ""
            )
            for run in runs:
                assert run.since == together * len(run.subset)
                assert run.since + run.steps == budget * len(run.subset)
    expected = 0 if len(set(labels)) == 1 else 2 * 2
    assert len(plan.joint_parts) == expected


def test_a_study_trains_it_from_file_to_report(workshop):
    study = workshop.study(comparison=compared())
    plan = plan_study(study, measure=False)
    result = run_study(study)
    records = result.stages[1].records
    assert [record.error for record in records] == [None] * len(records)
    kinds = [record.kind for record in records]
    assert kinds.count("joint_part") == 2 * 2
    assert kinds.count("branched_fit") == 2 * 2 * len(result.groups.members)
    assert plan.stages[1].steps == sum(len(record.losses) for record in records)
    assert study_status(study).complete
    assert not (study.shared / "joint-parts").exists(), "nothing goes on from it any more"

    with (study.folder / "results.csv").open(newline="") as stream:
        arms = {row["arm"] for row in csv.DictReader(stream)}
    assert arms == {"grouped", *ARMS}
    assert "branched" in (study.folder / "report.html").read_text()
    again = run_study(study)
    assert again.stages[1].reused == len(records)


def test_its_adapters_are_kept_as_ordinary_ones(workshop):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    study = workshop.study(comparison=compared())
    result = run_study(study)
    expected = {
        s.task: s.per_example for s in result.scores if (s.arm, s.budget, s.seed) == ("branched", 4, 0)
    }
    for number, members in enumerate(result.groups.members):
        folder = study.folder / "adapters" / f"branched-group-{number}"
        record = json.loads((folder / "cotune.json").read_text())
        assert record["tasks"] == sorted(members)
        assert record["after"] == {"tasks": sorted(study.learner.tasks), "steps": 2 * 4}
        assert "reading" in record
        base = AutoModelForCausalLM.from_pretrained(study.config.learner.model)
        model = PeftModel.from_pretrained(base, str(folder)).eval()
        for task in members:
            score = study.learner.score(model, task, "test")
            np.testing.assert_allclose(score.per_example, expected[task], atol=1e-5)
    # One whose folder was taken away is trained again, with the joint part that it goes on from.
    gone = study.folder / "adapters" / "branched-group-0"
    before = (gone / "adapter_model.safetensors").read_bytes()
    shutil.rmtree(gone)
    run_study(study)
    assert (gone / "adapter_model.safetensors").read_bytes() == before


def test_further_seeds_of_it_train_their_own_joint_part(workshop):
    comparison = {"budgets": [2], "seeds": 2, "arms": ["branched", "joint"], "until": "decided"}
    study = workshop.study(comparison={**comparison, "max_seeds": 3})
    result = run_study(study)
    records = {(r.kind, r.identity["seed"]): r for r in result.stages[1].records}
    assert all(record.error is None for record in records.values())
    seeds = {seed for kind, seed in records if kind == "branched_fit"}
    assert seeds == {seed for kind, seed in records if kind == "joint_part"} >= {3, 4}
    assert study_status(study).complete


class _Killed(BaseException):
    """What a kill of the process is to the code that runs."""


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_study_killed_in_the_joint_part_or_after_it_goes_on(workshop, monkeypatch, after):
    study = workshop.study(comparison=compared(budgets=[2], seeds=2))
    whole, done = InlineExecutor.run, []

    def killed(self, jobs, on_jobs):
        for records in whole(self, jobs, on_jobs):
            if records[0].kind in ("joint_part", "branched_fit"):
                if len(done) == after:
                    raise _Killed
                done.append(records)
            yield records

    monkeypatch.setattr(InlineExecutor, "run", killed)
    with pytest.raises(_Killed):
        run_study(study)
    assert not study_status(study).complete
    monkeypatch.setattr(InlineExecutor, "run", whole)
    result = run_study(study)
    assert study_status(study).complete
    fresh = run_study(workshop.study(stem="fresh", comparison=compared(budgets=[2], seeds=2)))
    assert [s.value for s in result.scores] == [s.value for s in fresh.scores]


def test_a_joint_part_that_fails_takes_its_groups_along_and_no_other_arm(workshop):
    learner = {**workshop.data["learner"]}
    learner["training"] = {**learner["training"], "max_loss": 1e-9}
    study = workshop.study(comparison=compared(budgets=[2], seeds=1), learner=learner)
    result = run_study(study)
    errors = {record.kind: record.error for record in result.stages[1].records}
    assert "exploded" in errors["joint_part"]
    assert "The joint part that it goes on from is not there" in errors["branched_fit"]
    assert study_status(study).complete


def test_it_goes_on_by_another_method_and_for_longer(workshop):
    study = workshop.study(
        comparison=compared(
            {"name": "branched", "label": "full first", "method": {"name": "full"}, "share": 0.25},
            {"name": "branched", "label": "longer", "updates": "joint"},
            {"name": "grouped", "label": "as many updates", "updates": "joint"},
            "joint",
            budgets=[2],
            seeds=1,
        )
    )
    result = run_study(study)
    assert all(record.error is None for record in result.stages[1].records)
    plan = study.compared(study.config.comparison, result.groups.labels, {})
    k = len(result.groups.members)
    assert steps_of(plan, "grouped", 2, 0) == 8
    assert steps_of(plan, "full first", 2, 0) == 8
    assert steps_of(plan, "as many updates", 2, 0) == 8 * k
    assert steps_of(plan, "longer", 2, 0) == 4 + 4 * k
    arms = {arm.title for arm in result.arms}
    assert arms == {"grouped", "full first", "longer", "as many updates", "joint"}


def test_keys_of_parts_move_with_all_that_determines_them(workshop):
    study = workshop.study()
    everyone = tuple(sorted(study.learner.tasks))
    joint = JointPartRun(everyone, 0, 4, 4, "")
    runs = [
        FitRun(("copy",), 0, 2, "test"),
        BranchedRun(("copy",), 0, 2, "test", 2, joint),
        BranchedRun(("copy",), 0, 2, "test", 2, JointPartRun(everyone, 1, 4, 4, "")),
        BranchedRun(("copy",), 0, 2, "test", 2, JointPartRun(everyone, 0, 4, 8, "")),
        joint,
    ]
    assert len({study.key(run) for run in runs}) == len(runs)


@pytest.mark.parametrize(
    ("comparison", "words"),
    [
        (compared(budgets=[1, 4]), "branched parts the budget in two: every budget must be at least 2"),
        (compared({"name": "joint", "share": 0.5}), "share is a key of branched: 'joint' trains no part"),
        (compared({"name": "branched", "share": 1.0}), "share: .*less than 1"),
        (compared({"name": "grouped", "updates": "joint"}), "needs a label beside its name 'grouped'"),
        (compared({"name": "joint", "label": "x", "updates": "joint"}), "updates: joint changes nothing"),
    ],
)
def test_what_cannot_be_branched_is_said(workshop, comparison, words):
    with pytest.raises(InputError, match=words):
        workshop.study(comparison=comparison)


def test_a_learner_without_steps_is_refused(planted, workshop):
    study = planted.study(comparison=compared())
    with pytest.raises(
        InputError, match=r"arms.0: This learner cannot stop in the middle .*take the arm 'branched' away"
    ):
        study.check()
    method = {"name": "promot", "prompt_length": 4, "prompt_steps": 2, "order": "sequence"}
    arm = {"name": "branched", "label": "in turn", "method": method}
    with pytest.raises(InputError, match=r"arms\.0: Tasks in sequence have no part"):
        workshop.study(comparison=compared(arm)).check()


CONVERGED = {
    "budgets": [2, "converged"],
    "converged": {"most": 12, "every": 2, "patience": 2},
    "seeds": 2,
    "arms": ["branched", "joint", {"name": "grouped", "label": "longer", "updates": "joint"}],
}


def test_models_train_until_they_have_converged_at_a_cost_that_is_said(workshop):
    # A rate at which a model gets worse after some steps.
    learner = {**workshop.data["learner"], "training": {**workshop.data["learner"]["training"], "warmup": 0}}
    learner["training"]["learning_rate"] = 0.3
    study = workshop.study(comparison=CONVERGED, learner=learner)
    plan = plan_study(study)
    assert any("with all of their 12 steps a task; they end where" in note for note in plan.notes)
    result = run_study(study)
    records = result.stages[1].records
    assert [record.error for record in records] == [None] * len(records)
    assert plan.stages[1].steps >= sum(len(record.losses) for record in records)
    kinds = {record.kind for record in records}
    assert kinds == {"fit", "converged_fit", "joint_part", "branched_fit"}
    for record in records:
        looks = (record.payload or {}).get("looks")
        assert (looks is not None) == ("patience" in record.identity and bool(record.identity["patience"]))
        if looks:
            steps, losses = zip(*looks["losses"], strict=True)
            assert looks["kept"] == steps[losses.index(min(losses))]
            assert len(record.losses) == steps[-1] <= record.identity["steps"]

    costs = {(cost.arm, cost.budget): cost for cost in result.costs}
    assert costs["branched", 2].steps == costs["joint", 2].steps == costs["grouped", 2].steps == 2 * 4
    assert costs["longer", 2].steps == 2 * 4 * len(result.groups.members)
    assert costs["joint", "converged"].kept_steps < costs["joint", "converged"].steps <= 12 * 4
    with (study.folder / "arms.csv").open(newline="") as stream:
        rows = {(row["arm"], row["steps_per_task"]): row for row in csv.DictReader(stream)}
    for (arm, budget), cost in costs.items():
        assert float(rows[arm, str(budget)]["steps"]) == cost.steps
        assert float(rows[arm, str(budget)]["tokens"]) == pytest.approx(cost.tokens)
        assert float(rows[arm, str(budget)]["cpu_seconds"]) == pytest.approx(cost.cpu_seconds)
    with (study.folder / "results.csv").open(newline="") as stream:
        taken = [row for row in csv.DictReader(stream) if row["steps_per_task"] == "converged"]
    assert taken
    assert all(int(row["kept_step"]) <= int(row["run_steps"]) for row in taken)
    assert json.loads(json.dumps(result.to_dict()))["costs"][0].keys() >= {"steps", "tokens", "cpu_seconds"}
    sentences = "\n".join(result.sentences())
    assert (
        "At 2 steps a task not all arms took the same number of steps: a seed of grouped 8, of" in sentences
    )
    assert "At convergence" in sentences
    page = (study.folder / "report.html").read_text()
    assert "kept at" in page
    assert "convergence" in page
    # The adapters that are kept are the converged ones.
    kept = json.loads((study.folder / "adapters" / "group-0" / "cotune.json").read_text())
    assert kept["run"] in {record.key for record in records if record.kind == "converged_fit"}
    assert run_study(study).stages[1].reused == len(records)


@pytest.mark.parametrize(
    ("comparison", "words"),
    [
        ({"converged": {"most": 8}}, "converged is of the budget of that name; add it to budgets"),
        ({"budgets": ["converged"], "converged": {"most": 4}}, "every must be at most the 4 steps of most"),
        ({"budgets": ["convergent"]}, "budgets.0"),
    ],
)
def test_what_is_no_convergence_is_said(workshop, comparison, words):
    with pytest.raises(InputError, match=words):
        workshop.study(comparison=comparison)


def test_a_learner_without_steps_does_not_converge(planted):
    study = planted.study(comparison={"budgets": ["converged"], "arms": ["joint"]})
    with pytest.raises(InputError, match="This learner cannot stop in the middle of a run; take 'converged'"):
        study.check()


@pytest.mark.parametrize("better", ["joint", "grouped"])
def test_groups_that_lose_by_what_may_be_fewer_updates_are_told_which_arm_tells(workshop, planted, better):
    rng = np.random.default_rng(0)
    records = []
    for arm, seed, task in itertools.product(("grouped", "joint"), range(3), ("copy", "first")):
        values = rng.normal(float(arm == better), 0.01, 8)
        records.append(ArmScore(arm, 2, seed, task, float(values.mean()), True, "f1", tuple(values)))
    comparison = compare(records, ("grouped", "joint"))
    learner = workshop.study().learner
    grouped = TrainedArm("grouped", Variation(), 2, None)
    branched = TrainedArm("branched", Variation(), 2, None, share=0.5)
    hints = about_updates(comparison, [grouped], learner)
    assert [("fewer updates, the arm 'branched' would tell" in hint) for hint in hints] == [True] * (
        better == "joint"
    )
    assert not about_updates(comparison, [grouped, branched], learner)
    assert not about_updates(comparison, [grouped], planted.study().learner)
