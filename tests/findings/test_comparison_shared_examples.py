"""Margins over tasks that are scored on the same test examples, such as instructions of one data set."""

import dataclasses
import math

import numpy as np
import pytest
from test_comparison import contrast, simulate

from cotune.exceptions import InputError
from cotune.findings.comparison import ArmScore, compare


def shared(records, name="one set"):
    return [dataclasses.replace(record, examples=name) for record in records]


def test_tasks_that_share_test_examples_are_averaged_example_by_example_first():
    records = shared(simulate({"grouped": 0.1, "joint": 0.0}, tasks=5))
    average = contrast(compare(records, ("grouped", "joint")), "joint", 100).gain
    values = {(r.arm, r.seed, r.task): np.array(r.per_example) for r in records}
    per_example = np.mean(
        [values["grouped", s, f"t{t}"] - values["joint", s, f"t{t}"] for s in range(3) for t in range(5)],
        axis=0,
    )
    assert average.mean == pytest.approx(per_example.mean())
    assert average.se_examples == pytest.approx(per_example.std(ddof=1) / math.sqrt(40))
    assert average.examples == 40


def test_sets_of_shared_examples_are_independent_and_weigh_by_their_tasks():
    records = simulate({"grouped": 0.1, "joint": 0.0}, tasks=5)
    mixed = [r if r.task == "t4" else dataclasses.replace(r, examples="set") for r in records]
    average = contrast(compare(mixed, ("grouped", "joint")), "joint", 100).gain
    together = [r for r in mixed if r.task != "t4"]
    alone = [r for r in mixed if r.task == "t4"]
    parts = [contrast(compare(part, ("grouped", "joint")), "joint", 100).gain for part in (together, alone)]
    expected = math.hypot(0.8 * parts[0].se_examples, 0.2 * parts[1].se_examples)
    assert average.se_examples == pytest.approx(expected)
    assert average.examples == 80


@pytest.mark.parametrize("declared", [True, False])
def test_only_declared_sharing_gives_margins_that_cover_the_truth(declared):
    """Ten instructions for one data set: what an example gains, it gains under most of them."""
    covered, repeats = 0, 200
    for repeat in range(repeats):
        rng = np.random.default_rng([7, repeat])
        gain = rng.normal(0.1, 0.3, 30)
        records = []
        for seed in range(3):
            for task in range(10):
                for arm, shift in (("grouped", gain), ("joint", 0.0)):
                    values = 0.5 + shift + rng.normal(0, 0.02) + rng.normal(0, 0.1, 30)
                    records.append(
                        ArmScore(arm, 1, seed, f"t{task}", float(values.mean()), True, "f1", tuple(values))
                    )
        result = compare(shared(records) if declared else records, ("grouped", "joint"))
        average = contrast(result, "joint", 1).gain
        covered += abs(average.mean - 0.1) <= average.margin
    assert (covered / repeats >= 0.9) == declared


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"examples": "other"}, "has the set of test examples"),
        ({"task": "t9", "per_example": (1.0, 0.0), "value": 0.5}, "which shares them, has 40"),
    ],
)
def test_contradictions_about_shared_examples_are_refused(change, words):
    records = shared(simulate({"grouped": 0.1, "joint": 0.0}, tasks=2))
    odd = dataclasses.replace(records[0], seed=9, **change)
    with pytest.raises(InputError, match=words):
        compare([*records, odd], ("grouped", "joint"))
