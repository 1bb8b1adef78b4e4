"""Arms of other groupers and of other methods, at an equal number of trained parameters."""

import csv

import pytest

from cotune.exceptions import InputError
from cotune.studies import plan_study, run_study
from cotune.studies.grouping import ComparisonConfig
from cotune.studies.grouping._comparison import ArmRuns, shared_examples
from cotune.studies.grouping._runs import VariedRun
from cotune.studies.grouping.arms import Variation
from cotune.tasks import Example, Task
from cotune.training.methods import Lora, Prefix

SOFT = [
    {"name": "joint", "label": "joint lora", "match_parameters": True},
    {
        "name": "joint",
        "label": "joint prefix",
        "method": {"name": "prefix"},
        "learning_rate": 0.05,
        "match_parameters": True,
    },
]


def compared(*arms):
    return {"budgets": [1], "seeds": 1, "arms": ["spectral", *arms]}


def test_a_table_of_methods_at_equal_parameters(workshop):
    """One study from file to report: groups, another grouper's, and one adapter by two methods."""
    tasks = {
        **workshop.data["tasks"],
        "include": ["copy", "first"],
        "instructions": ["Do it.", "Go on."],
    }
    study = workshop.study(tasks=tasks, comparison=compared(*SOFT))
    plan = plan_study(study, measure=False)
    result = run_study(study)
    comparison = plan.stages[1]
    assert [stage.records[0].error for stage in result.stages] == [None, None]

    arms = {arm.title: arm for arm in result.arms}
    assert list(arms) == ["grouped", "spectral", "joint lora", "joint prefix"]
    assert [arm.adapters for arm in arms.values()] == [2, 2, 1, 1]
    own = study.learner.trainable_parameters(("copy-001",))
    assert (
        arms["grouped"].parameters == arms["spectral"].parameters == arms["joint lora"].parameters == 2 * own
    )
    # A LoRA of twice the rank, scaled as before; as many virtual tokens as come nearest.
    lora = arms["joint lora"].variation.method
    assert (lora.r, lora.alpha / lora.r) == (2 * study.learner.method.r, 2.0)
    token = study.learner.varied(Prefix(prefix_length=1)).trainable_parameters(())
    assert abs(arms["joint prefix"].parameters - 2 * own) <= token / 2

    runs = [record.identity for record in result.stages[1].records]
    assert sum(run["steps"] for run in runs if "variation" in run) == 2 * 4
    assert comparison.steps >= 3 * 4
    scored = {(s.arm, s.task): s for s in result.scores}
    assert scored["joint lora", "copy-001"].value != scored["joint prefix", "copy-001"].value
    # Two instructions for a data set share its test examples, and only these.
    assert scored["grouped", "copy-001"].examples == scored["grouped", "copy-002"].examples != ""
    assert scored["grouped", "copy-001"].examples != scored["grouped", "first-001"].examples

    with (study.folder / "arms.csv").open(newline="") as stream:
        rows = {row["arm"]: row for row in csv.DictReader(stream)}
    assert [row["trained_parameters"] for row in rows.values()] == [str(a.parameters) for a in arms.values()]
    values = [s.value for s in result.scores if s.arm == "joint prefix"]
    assert float(rows["joint prefix"]["worst"]) == pytest.approx(max(values))
    page = (study.folder / "report.html").read_text()
    assert all(name in page for name in ("joint prefix", f"{2 * own:,}"))


def test_runs_of_another_method_have_another_key(workshop):
    study = workshop.study()
    keys = {
        study.key(VariedRun(("copy",), 0, 1, "test", Variation(**options).text()))
        for options in ({"learning_rate": 0.1}, {"learning_rate": 0.2}, {"method": Lora(r=3)})
    }
    assert len(keys) == 3
    text = Variation(method=Lora(r=3, alpha=6.0), learning_rate=0.5).text()
    assert Variation.read(text).text() == text


def test_arms_of_other_groupers_take_their_groups(planted):
    study = planted.study(comparison={"budgets": [2], "seeds": 1, "arms": ["lloyd", "spectral"]})
    groups = {"lloyd": (0, 1, 2) * 3, "spectral": (0, 0, 0, 1, 1, 1, 2, 2, 2)}
    plan = ArmRuns.plan(study.learner, (0,) * 8 + (1,), study.config.comparison, 0, baselines=groups)
    names = study.learner.tasks
    for name, labels in groups.items():
        expected = [
            tuple(sorted(t for t, label in zip(names, labels, strict=True) if label == k)) for k in range(3)
        ]
        assert [run.subset for run in plan.cells[name, 2, 0]] == expected
    # Nobody asks how many parameters these train.
    assert {arm.parameters for arm in plan.arms} == {None}


def test_tasks_that_share_test_inputs_are_found():
    def task(name, *words):
        examples = tuple(Example(word, ("x",)) for word in words)
        return Task(name, "", {"test": examples})

    found = shared_examples([task("a", "p", "q"), task("b", "p", "q"), task("c", "q", "p"), task("d", "p")])
    assert found.keys() == {"a", "b"}
    assert found["a"] == found["b"]


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        (["nonsense"], "name must be one of: grouped, .*, joint, .*; got 'nonsense'"),
        (["joint", "joint"], "different labels, got 'joint' twice"),
        ([{"name": "joint", "match_parameters": True}], "needs a label beside its name 'joint'"),
        ([{"name": "joint", "label": "grouped"}], "label 'grouped' is the name of another arm"),
        ([{"name": "joint", "label": "single"}], "label 'single' is the name of another arm"),
        ([{"name": "joint", "label": "x", "method": {"name": "lorra"}}], "method.name: must be one of"),
        ([{"name": "joint", "label": "x", "rate": 3}], "rate: unknown key"),
    ],
)
def test_what_is_no_arm_is_said(workshop, arms, words):
    with pytest.raises(InputError, match=words):
        workshop.study(comparison={"arms": arms})


@pytest.mark.parametrize(
    ("learner", "arm", "words"),
    [
        (
            {},
            {"method": {"name": "full"}, "match_parameters": True},
            "arms.1: .* full trains cannot be matched",
        ),
        ({"warm_start": {"steps": 1}}, {"learning_rate": 0.1}, "arms.1: .*leave warm_start out"),
    ],
)
def test_what_cannot_be_trained_is_known_before_anything_is(workshop, learner, arm, words):
    arms = ["joint", {"name": "joint", "label": "other", **arm}]
    study = workshop.study(learner={**workshop.data["learner"], **learner}, comparison={"arms": arms})
    with pytest.raises(InputError, match=words):
        study.check()


def test_a_learner_without_methods_has_no_other(planted):
    study = planted.study(comparison={"arms": [{"name": "joint", "label": "x", "learning_rate": 0.1}]})
    with pytest.raises(InputError, match="Only a language model can be trained by another method"):
        study.check()


def test_the_default_arms_stay():
    assert [arm.title for arm in ComparisonConfig().arms] == ["grouped", "joint", "single", "random"]
