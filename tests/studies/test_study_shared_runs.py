"""Runs of the affinity stage that the comparison wants too are trained once."""

from __future__ import annotations

import pytest

from cotune.studies import Study, plan_study, run_study, study_status
from cotune.studies.engine import open_store
from cotune.studies.grouping._report import report_data

AFFINITY = {"estimator": "higher_order", "design": "mixed_sizes", "steps_per_task": 2}


def comparison(**changes):
    return {"budgets": [1, 2], "seeds": 2, "arms": ["grouped", "joint", "single"], **changes}


def scored(study):
    with open_store(study.folder / "runs.sqlite") as store:
        known = store.keys()
        records = [store.get(key) for key in known]
    return {
        (tuple(r.identity["subset"]), r.identity["seed"], r.identity["steps"], r.identity["split"]): r
        for r in records
    }


@pytest.mark.parametrize("side_by_side", [1, 4])
def test_what_is_compared_anyway_is_trained_once_and_scored_on_both_splits(
    workshop, monkeypatch, side_by_side
):
    workshop.data["learner"]["side_by_side"] = side_by_side
    from cotune.training.language_model import LanguageModelLearner

    trained = []
    fit_splits = LanguageModelLearner._fit_splits

    def counted(self, parts, **options):
        trained.extend((part.subset, part.seed, part.steps) for part in parts)
        return fit_splits(self, parts, **options)

    monkeypatch.setattr(LanguageModelLearner, "_fit_splits", counted)
    study = workshop.study(affinity=AFFINITY, comparison=comparison())
    result = run_study(study)
    assert study_status(workshop.study(affinity=AFFINITY, comparison=comparison())).complete
    everyone = tuple(sorted(study.learner.tasks))
    shared = [(everyone, 3, 8), *(((task,), 3, 2) for task in everyone)]
    kept = [tuple(sorted(group)) for group in result.groups.members]  # trained anew to keep the adapter
    assert all(trained.count(run) == 1 for run in shared if run[0] not in kept)
    together = scored(study)
    assert {split for (subset, *_, split) in together if subset == everyone} == {"validation", "test"}

    monkeypatch.setattr(type(study), "also_compared", lambda self, runs: [])
    apart = Study.load(workshop.file("apart", affinity=AFFINITY, comparison=comparison()))
    run_study(apart)
    others = scored(apart)
    assert set(together) == set(others)
    saved = sum(together[subset, seed, steps, "test"].tokens for subset, seed, steps in shared)
    assert sum(kind.tokens for kind in report_data(result).runs) == (
        sum(record.tokens for record in together.values()) - saved
    )
    for key, record in together.items():
        close = 0.0 if side_by_side == 1 else 1e-4  # another company in a pass rounds otherwise
        assert record.tokens == others[key].tokens
        for task, score in record.scores.items():
            expected = others[key].scores[task].per_example
            assert score.per_example == pytest.approx(expected, rel=close, abs=close)


def test_the_estimate_never_sees_a_score_on_test_examples(planted):
    study = planted.study(affinity=AFFINITY, comparison=comparison())
    alone = planted.study("alone", affinity=AFFINITY)
    result, without = run_study(study), run_study(alone)
    assert all(run.split == "validation" for run in result.affinity_records)
    assert result.groups.to_dict() == without.groups.to_dict()
    assert (study.folder / "scores.csv").read_text() == (alone.folder / "scores.csv").read_text()


def test_a_plan_counts_their_training_once(planted):
    study = planted.study(affinity=AFFINITY, comparison=comparison())
    plan = plan_study(study, measure=False)
    other = plan_study(
        planted.study(affinity={**AFFINITY, "steps_per_task": 5}, comparison=comparison()), measure=False
    )
    # All together and each of nine alone, at the first seed, in the budget of two steps a task.
    assert other.stages[1].steps - plan.stages[1].steps == 2 * 9 + 9 * 2
    assert plan.stages[1].runs == other.stages[1].runs
    assert any("10 runs of the comparison are trained with" in note for note in plan.notes)


def test_other_budgets_and_arms_share_nothing(planted):
    for changes in ({"budgets": [3]}, {"arms": ["grouped", "random"]}):
        study = planted.study(affinity=AFFINITY, comparison=comparison(**changes))
        assert not study.also_compared(study.config.estimator.planned(study.learner, 3))
