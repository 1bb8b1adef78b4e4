"""What a plan counts beside the runs themselves."""

import subprocess
import sys

import psutil
import pytest

from cotune.exceptions import InputError
from cotune.studies import plan_study, run_study
from cotune.studies.engine import open_store
from cotune.training.language_model import LanguageModelLearner


def learner_with(workshop, **options):
    return {**workshop.data["learner"], **options}


def test_a_warm_start_is_counted_and_not_trained_to_plan(workshop):
    warm = workshop.study(learner=learner_with(workshop, warm_start={"steps": 10_000_000}))
    cold = workshop.study(learner=learner_with(workshop))
    plan, without = plan_study(warm), plan_study(cold, measure=False)
    assert [stage.title for stage in plan.stages] == [
        "warm start",
        *(stage.title for stage in without.stages),
    ]
    start = plan.stages[0]
    assert (start.runs, start.steps) == (1, 10_000_000)
    assert start.tokens == warm.learner.expected_tokens(tuple(warm.learner.tasks), 10_000_000)
    # One process trains it, whatever the number of workers.
    assert plan.wall_seconds > 0.99 * start.cpu_seconds > 0
    assert [stage.tokens for stage in plan.stages[1:]] == [stage.tokens for stage in without.stages]


def test_a_warm_start_that_is_a_share_is_as_long_as_the_runs_make_it(workshop):
    trained = {"estimator": "higher_order", "subset_size": 2, "steps_per_task": 6}
    learner = learner_with(workshop, warm_start={"share": 0.25})
    study = workshop.study(learner=learner, affinity=trained, comparison=None)
    start, runs = plan_study(study, measure=False).stages
    assert (start.title, start.steps) == ("warm start", 2 * len(study.learner.tasks))
    # A quarter of the eight steps that a task has had when a run ends.
    assert runs.steps == 6 * 2 * 6 + 4 * 6  # pairs and tasks alone
    untrained = workshop.study(learner=learner)
    with pytest.raises(InputError, match=r"warm_start\.share: needs an estimator that trains subsets"):
        plan_study(untrained, measure=False)


def test_adapters_trained_many_at_a_time_take_disk_too(workshop):
    lora = learner_with(workshop, method={"name": "lora", "r": 64})
    grouping = {"n_clusters": 2}
    one = plan_study(workshop.study(learner={**lora, "side_by_side": 1}, grouping=grouping))
    many = plan_study(workshop.study(learner={**lora, "side_by_side": 4}, grouping=grouping))
    assert many.disk_bytes == one.disk_bytes


class Planted:
    """A timing that is known: a second a step and task, ten a score, and what a forward pass takes."""

    kept_bytes = 1000

    def training(self, subset, steps, *, earlier=True):
        return float(steps * len(subset))

    def scoring(self, task, split):
        return 10.0

    def sampling(self, task):
        return 0.25

    def looking(self, task):
        return 3.0

    def reading(self, task):
        return 0.5


@pytest.fixture
def timed(monkeypatch):
    """Give learners the planted timing; returns how often they were asked for it."""
    asked = []
    monkeypatch.setattr(LanguageModelLearner, "timing", lambda self: asked.append(self) or Planted())
    return asked


def seconds(study):
    return {stage.title: stage.cpu_seconds for stage in plan_study(study).stages}


def test_a_plan_adds_up_what_its_runs_take(workshop, timed):
    trained = {"estimator": "higher_order", "subset_size": 2, "steps_per_task": 6}
    comparison = {"budgets": [2], "seeds": 2, "arms": ["joint", "single"]}
    study = workshop.study(affinity=trained, comparison=comparison, grouping={"n_clusters": 2})
    # Four alone and six pairs; of two seeds, twice a joint model and four alone beside two groups of two.
    assert seconds(study) == {
        "affinity": 4 * (6 + 10) + 6 * (2 * 12 + 2 * 10),
        # With the models of the groups the answers to a few examples of four tasks are kept.
        "comparison": 2 * (4 * 8 + 40 + 4 * (2 + 10) + 2 * (2 * 4 + 20)) + 4 * 0.25,
    }
    assert len(timed) == 1, "one probe tells of all runs of a method"


def test_looks_ahead_and_at_the_validation_loss_are_counted(workshop, timed):
    ahead = workshop.study(affinity={"estimator": "lookahead", "steps": 10, "every": 4}, comparison=None)
    # Three times a step on each of four tasks, and all of their losses before and after each.
    assert seconds(ahead) == {"affinity": 4 * 10 + 3 * (4 * 1 + 5 * 4 * 0.5)}
    converged = {"most": 6, "every": 2, "patience": 1}
    comparison = {"budgets": ["converged"], "seeds": 1, "arms": ["joint"], "converged": converged}
    study = workshop.study(comparison=comparison, grouping={"n_clusters": 1})
    # Before the first step and every two a task: four looks at four tasks, for the one model of all.
    assert seconds(study)["comparison"] == 4 * 24 + 40 + 4 * 4 * 3 + 4 * 0.25


def test_another_learning_rate_takes_no_probe_and_another_method_one(workshop, timed):
    arms = [
        {"name": "joint", "label": "hot", "learning_rate": 0.01},
        {"name": "joint", "label": "all of it", "method": {"name": "full"}},
    ]
    plan_study(workshop.study(comparison={"budgets": [2], "seeds": 1, "arms": arms}))
    assert len(timed) == 2


def test_what_is_stored_costs_nothing(workshop, timed):
    grouping = {"n_clusters": 2}
    study = workshop.study(grouping=grouping)
    whole = plan_study(study)
    run_study(study)
    timed.clear()
    with open_store(study.home.store) as store:
        gone = [record.key for record in store if record.kind == "fit"][:1]
    done = plan_study(study)
    assert [(s.stored, s.steps, s.cpu_seconds) for s in done.stages] == [
        (s.runs, 0, 0.0) for s in done.stages
    ]
    assert (timed, done.wall_seconds) == ([], None), "and nothing is measured"
    with open_store(study.home.store) as store:
        store.forget(gone)
    left = plan_study(study)
    assert sum(stage.runs - stage.stored for stage in left.stages) == 1
    assert 0 < left.wall_seconds < whole.wall_seconds
    assert len(timed) == 1


def test_the_groups_that_were_found_are_planned_with(planted):
    study = planted.study(comparison={"budgets": [3], "seeds": 1, "arms": ["joint"]})
    before = plan_study(study, measure=False)
    assert any("number is known after grouping" in note for note in before.notes)
    groups = run_study(planted.study(comparison=None)).groups
    after = plan_study(study, measure=False)
    assert not any("number is known after grouping" in note for note in after.notes)
    assert after.stages[1].runs == len(groups.members) + 1
    assert after.stages[0].stored == after.stages[0].runs


def test_others_are_busy_while_a_plan_is_measured_and_gone_after(planted, monkeypatch):
    seen = []

    def costs(self, *, measure):
        children = psutil.Process().children()
        seen.append([child for child in children if "getppid" in " ".join(child.cmdline())])
        return count_costs(self, measure=measure)

    study = planted.study(executor={"workers": 3})
    count_costs = type(study).costs
    monkeypatch.setattr(type(study), "costs", costs)
    monkeypatch.setattr("cotune.studies.engine._executors.available_cores", lambda: 2)
    plan_study(study)
    plan_study(study, measure=False)
    assert [len(found) for found in seen] == [1, 0], "one for each other core, while something is timed"
    assert not seen[0][0].is_running()
    plan_study(planted.study(executor={"workers": 0}))
    assert seen[2] == []


def test_company_ends_with_a_command_that_is_killed():
    code = (
        "import time, psutil\n"
        "from cotune.studies.engine._company import company\n"
        "with company(1):\n"
        "    print(psutil.Process().children()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(killed.stdout.readline()))
    killed.kill()
    killed.communicate()
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running()
