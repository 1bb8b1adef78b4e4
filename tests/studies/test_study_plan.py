"""What a plan counts beside the runs themselves."""

import pytest

import cotune.studies.grouping._plan as grouping_plan
from cotune.exceptions import InputError
from cotune.studies import plan_study


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


def test_a_busy_machine_does_not_make_a_plan_of_no_seconds(workshop, monkeypatch):
    # Three steps that seem to take as long as one, as they may where others use the processor.
    monkeypatch.setattr(grouping_plan, "_timed", lambda learner, run, steps: (0.5, 10))
    plan = plan_study(workshop.study(learner=learner_with(workshop, warm_start={"steps": 1000})))
    assert all(stage.cpu_seconds > 0 for stage in plan.stages)
