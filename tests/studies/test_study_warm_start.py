"""What a study says of the order of subsets from a warm start."""

import re

import numpy as np
import pytest

from cotune.affinity import Affinity
from cotune.studies import run_study
from cotune.studies.engine import RunRecord
from cotune.studies.grouping._runs import FitRun
from cotune.studies.grouping._warm import judge_start
from cotune.studies.grouping.estimators import Estimate
from cotune.training.learner import Score


def test_a_study_says_what_a_warm_start_left_of_the_order_of_subsets(workshop):
    trained = {"estimator": "higher_order", "subset_size": 2, "steps_per_task": 1}
    learner = {**workshop.data["learner"], "warm_start": {"share": 0.5}}
    options = {"comparison": None, "grouping": {"n_clusters": 2}}
    study = workshop.study(learner=learner, affinity={**trained, "seeds": 2}, **options)
    result = run_study(study)
    assert study.learner.start[1] == len(study.learner.tasks)
    assert sum("rom the warm start" in note for note in result.estimate.notes) == 1
    cold = run_study(workshop.study(stem="cold", affinity=trained, **options))
    assert not any("warm" in note for note in cold.estimate.notes)


@pytest.mark.parametrize(
    ("signal", "seeds", "said"),
    [
        (0.0, 2, "the order of subsets is noise"),
        (1.0, 2, r"From the warm start, runs of one subset agree on \d+%"),
        (1.0, 1, "cannot be told: .* set affinity.seeds to 2"),
    ],
)
def test_noise_is_told_from_order_by_the_runs(workshop, signal, seeds, said):
    learner = workshop.study(learner={**workshop.data["learner"], "warm_start": {"steps": 1}}).learner
    rng = np.random.default_rng(0)
    names, records = learner.tasks, {}
    for a in range(len(names)):
        for b in range(a):
            subset = tuple(sorted((names[a], names[b])))
            levels = rng.normal(size=2)
            for seed in range(seeds):
                values = signal * levels + 0.3 * rng.normal(size=2)
                scores = {task: Score(value, "nll", True) for task, value in zip(subset, values, strict=True)}
                run = FitRun(subset, seed, 1, "validation")
                records[run] = RunRecord.of("", run, scores=scores)
    n = len(names)
    estimate = Estimate(Affinity(np.zeros((n, n)), np.ones((n, n), int), np.zeros((n, n))), "e", "u")
    (note,) = judge_start(learner, estimate, records).notes
    assert re.search(said, note)
