"""What public objects show of themselves fits on a screen, however much they hold."""

import dataclasses
import importlib
import inspect

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from samples import grouping as grouping_samples
from samples.retention import retention_report
from samples.transfer import transfer_report
from sklearn.base import BaseEstimator

import cotune
from cotune._config import BriefModel
from cotune._repr import LINES, WIDTH, Brief, brief_repr
from cotune.affinity import table_of
from cotune.answering import InContextScore
from cotune.findings.retention import retention_findings
from cotune.findings.transfer import transfer_findings
from cotune.grouping import SDPClustering, prepare
from cotune.lab.planted import PlantedConfig
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.tasks.readers import JsonLinesReader
from cotune.training.learner import Score

ROOMS = [
    "affinity",
    "answering",
    "evaluation.format_specialisation",
    "evaluation.transfer",
    "findings.comparison",
    "findings.grouping",
    "findings.retention",
    "findings.transfer",
    "grouping",
    "instructions",
    "models",
    "studies",
    "studies.engine",
    "studies.grouping",
    "studies.grouping.estimators",
    "studies.retention",
    "studies.transfer",
    "studies.tuning",
    "tasks",
    "tasks.readers",
    "training",
    "training.methods",
    "training.tuning",
]
LONG = "a sentence that goes on and on, " * 400


def fits(thing):
    """Check what an object shows, and return it."""
    text = repr(thing)
    lines = text.split("\n")
    assert len(lines) <= 10, text
    assert max(map(len, lines)) <= 110, text
    return text


def test_the_limits_are_these():
    assert (LINES, WIDTH) == (10, 110)


@pytest.mark.parametrize("room", ROOMS)
def test_public_classes_of_other_kinds_do_too(room):
    """Whatever else shows itself is a configuration, a named tuple of numbers, or scikit-learn's."""
    module = importlib.import_module(f"cotune.{room}")
    for one in filter(inspect.isclass, (getattr(module, name) for name in module.__all__)):
        if one.__repr__ is object.__repr__ or issubclass(one, (Brief, BriefModel, BaseEstimator)):
            continue
        assert hasattr(one, "_fields"), one


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_public_dataclasses_show_little(room):
    module = importlib.import_module(f"cotune.{room}".rstrip("."))
    found = [getattr(module, name) for name in module.__all__ if name != "__version__"]
    classes = [one for one in found if inspect.isclass(one) and dataclasses.is_dataclass(one)]
    own = [one.__name__ for one in classes if not issubclass(one, Brief)]
    assert not own


@dataclasses.dataclass(frozen=True, slots=True)
class Held(Brief):
    a: object
    b: object = 1


@dataclasses.dataclass(frozen=True)
class HeldMore(Held):
    c: object = None
    hidden: str = dataclasses.field(default=LONG, repr=False)


class Rude:
    def __repr__(self):
        raise RuntimeError


def test_what_is_shown():
    assert repr(Held(1, "two")) == "Held(a=1, b='two')"
    assert repr(Held((1,), [])) == "Held(a=(1,), b=[])"
    assert repr(Held([*range(9)], {"x": 1})) == "Held(a=[9 in all: 0, 1, 2, ...], b={'x': 1})"
    assert repr(Held(np.zeros((3, 4)), torch.zeros(2))) == "Held(a=<array of 3 x 4>, b=<array of 2>)"
    assert repr(HeldMore(Held(1, 2))) == "HeldMore(a=Held(a=1, b=2), b=1, c=None)"
    assert "Rude" in fits(Held(Rude()))
    assert fits(Held(LONG)).startswith("Held(a='a sentence")


VALUES = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=200) | st.binary(max_size=200),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=6).map(tuple)
        | st.dictionaries(st.text(max_size=90), inner, max_size=6)
        | st.builds(Held, inner, inner)
    ),
    max_leaves=12,
)
ARGUMENTS = st.lists(st.tuples(st.just("key"), VALUES), max_size=6).map(lambda few: few * 3)


@given(st.sampled_from(["Name", "LongName" * 5]), ARGUMENTS)
def test_whatever_is_held_fits(name, arguments):
    lines = brief_repr(type(name, (), {})(), arguments).split("\n")
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= WIDTH


def many(n, text=LONG):
    return tuple(text + str(i) for i in range(n))


def test_tasks():
    examples = tuple(cotune.Example(LONG + str(i), many(40)) for i in range(500))
    splits = {"train": examples, "validation": examples, "test": examples[:7]}
    task = cotune.Task("a name " * 40, LONG, splits, notes=many(90), stops=many(9))
    assert "train=500" in fits(task)
    fits(examples[0])
    short = cotune.Task("copy", "Copy it.", {"train": examples, "validation": (), "test": ()})
    assert fits(short).startswith("Task('copy', 'Copy it.', metric='rouge_l'")


def test_groups():
    rng = np.random.default_rng(0)
    tasks = [f"a task with a long name, number {i}" for i in range(60)]
    table = table_of(rng.normal(size=(300, 60)), tasks=tasks)
    fits(table)
    fits(table.affinity)
    fits(prepare(table.affinity.matrix))
    groups = cotune.group(table, n_clusters=5, resamples=3)
    assert fits(groups).startswith("Groups(\n    members=[5 in all: (")
    fits(groups.stability)
    fits(groups.clustering)
    warm = SDPClustering(5, warm_start=np.eye(60), callback=print, k_callback=print, tol=1e-4, max_iter=3)
    fits(warm.fit(prepare(table.affinity.matrix).matrix))


def test_models(toy_model):
    fits(toy_model)
    fits(toy_model.encoder)
    assert "SmolLM" in fits(named(toy_model, "HuggingFaceTB/SmolLM2-135M-Instruct"))


def named(model, name):
    model.base.config._name_or_path = name
    return model


@pytest.fixture
def toy_model():
    from cotune.models import LanguageModel

    return LanguageModel.load(TOY_CHECKPOINT)


def test_configurations_show_what_is_not_by_default():
    from cotune.training.config import TrainingConfig

    assert fits(PlantedConfig(tasks=40)) == "PlantedConfig(tasks=40)"
    fits(TrainingConfig(batch_size=4, task_weights=dict.fromkeys(many(30), 2.0)))

    reader = JsonLinesReader(path=LONG, include=[*many(50)])
    assert fits(reader) == str(reader)


def test_results_of_tuning_and_evaluating(tmp_path):
    tasks = toy_tasks(["copy", "max", "min"], train=24, validation=4, test=6)
    named = [
        dataclasses.replace(task, name=f"{task.name} {'of a long name ' * 9}", notes=many(20))
        for task in tasks
    ]
    shots = {"shots": [0, 1, 2, 3], "draws": 1}
    result = cotune.tune(
        named[0], TOY_CHECKPOINT, tmp_path / "out", "lora", evaluation=named[1:], steps=2, in_context=shots
    )
    fits(result)
    fits(result.after)
    fits(result.after.in_context[0])
    found = cotune.evaluate(tmp_path / "out", named, shots=(0, 1, 2), draws=1)
    fits(found)
    fits(found.averages[0])


def test_scores_with_their_examples():
    score = InContextScore("a task", 4, 0, "rouge_l", 0.5, True, (0.25,) * 9000, many(9000, "word "), 3)
    assert "9000" not in fits(score)
    fits(Score(0.1, "nll", False, (0.5,) * 9000))


def parts(thing):
    """Yield a dataclass, and all dataclasses within it, the first of each collection."""
    if dataclasses.is_dataclass(thing):
        yield thing
        for field in dataclasses.fields(thing):
            yield from parts(getattr(thing, field.name))
    elif isinstance(thing, (tuple, list)) and thing:
        yield from parts(thing[0])


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda: grouping_samples.many_tasks_report(), id="grouping"),
        pytest.param(lambda: retention_findings(retention_report()), id="retention"),
        pytest.param(lambda: transfer_findings(transfer_report()), id="transfer"),
    ],
)
def test_findings_and_all_within_them(made):
    found = list(parts(made()))
    assert len({type(part) for part in found}) > 5
    for part in found:
        fits(part)


@pytest.fixture
def study(tmp_path):
    content = {
        "name": "many planted tasks",
        "learner": {"kind": "planted", "tasks": 30, "groups": 3},
        "affinity": {"estimator": "higher_order", "subset_size": 5, "subsets": 200},
        "comparison": {"budgets": [8], "seeds": 2},
        "executor": {"workers": 0},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    return cotune.Study.load(str(tmp_path / "study.yaml"))


def test_a_study_its_plan_its_result_its_status_and_its_records(study):
    fits(study)
    fits(study.config)
    fits(study.plan(measure=False))
    result = study.run()
    fits(result)
    fits(result.groups)
    fits(result.estimate)
    fits(result.comparison)
    for stage in result.stages:
        fits(stage)
        for record in stage.records[:3]:
            fits(record)
    fits(study.status())
    fits(study.collect())
