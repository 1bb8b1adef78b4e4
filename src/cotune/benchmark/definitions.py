"""The evaluation set as the paper defines it: 63 cases, and the studies that record their tables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from cotune.benchmark.datasets import FAMILIES
from cotune.benchmark.instructions import INSTRUCTED
from cotune.benchmark.recorded import Scenario
from cotune.lab.function_classes import FUNCTION_CLASSES, LAW_SETS

PAPER_MODEL = "google-t5/t5-base"
"""The model the paper recorded its tables with."""

INSTRUCTION_GROUPS = 10
"""Groups of a multi-instruction case (Table 1)."""

_PAPER_RECIPE = {"learning_rate": 5e-5, "batch_size": 16}
"""Appendix B.1: AdamW at a constant rate."""


@dataclass(frozen=True)
class CaseDefinition:
    """One of the 63 cases.

    Parameters
    ----------
    name : str
        Unique: the families, the data set, or "function classes".
    scenario : {"multitask", "multi_instruction", "function_classes"}
        What the tasks are.
    tasks : tuple of str
        Their names.
    families : tuple of str
        The family of each; empty where none is known before recording.
    n_groups : int
        Groups to find.
    recording : str
        The recording that holds the case's table, a key of :func:`recordings`.
    """

    name: str
    scenario: Scenario
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    n_groups: int
    recording: str


def evaluation_set() -> tuple[CaseDefinition, ...]:
    """Return the 63 cases of Table 1: 57 multitask, 5 multi-instruction, 1 of function classes."""
    cases = []
    for size in range(2, len(FAMILIES) + 1):
        for chosen in combinations(FAMILIES, size):
            members = [(dataset.name, family) for family in chosen for dataset in FAMILIES[family]]
            tasks, families = zip(*members, strict=True)
            cases.append(CaseDefinition(" + ".join(chosen), "multitask", tasks, families, size, "multitask"))
    for name, dataset in INSTRUCTED.items():
        tasks = tuple(entry["name"] for entry in dataset.entries)
        cases.append(CaseDefinition(name, "multi_instruction", tasks, (), INSTRUCTION_GROUPS, name))
    classes = LAW_SETS["scales"]
    types = tuple(FUNCTION_CLASSES[name].family for name in classes)
    cases.append(
        CaseDefinition("function classes", "function_classes", classes, types, 3, "function_classes")
    )
    return tuple(cases)


def recordings() -> tuple[str, ...]:
    """Return the names of the studies that record the tables of all cases."""
    return ("multitask", *INSTRUCTED, "function_classes")


def families_of(recording: str) -> dict[str, list[str]] | None:
    """Return the tasks of every family of a recording, None where its learner or its groups tell them."""
    if recording != "multitask":
        return None
    return {family: [dataset.name for dataset in members] for family, members in FAMILIES.items()}


def study_of(recording: str, model: str = PAPER_MODEL) -> dict[str, Any]:
    """Return the study file that records the table of some cases, as plain data.

    Parameters
    ----------
    recording : str
        A name of :func:`recordings`.
    model : str
        A checkpoint; ignored by "function_classes".

    Notes
    -----
    The estimator is the paper's: higher-order affinity on random subsets of three tasks (Section 5.2), or of
    ten instructions, five subsets a task. Splits are cut to 256, 32 and 64 examples, and all weights are
    tuned as in Appendix B.1. How long the paper trained is not known; 100 steps a task are our choice.
    """
    study: dict[str, Any] = {"name": f"evaluation set, {recording.replace('_', ' ')}"}
    affinity = {"estimator": "higher_order", "subset_size": 3}
    if recording == "function_classes":
        learner: dict[str, Any] = {"kind": "function_classes"}
        affinity |= {"subsets": 84, "steps_per_task": 33}
    else:
        recipe = {"method": {"name": "full"}, "training": dict(_PAPER_RECIPE)}
        learner = {"kind": "language_model", "model": model, **recipe}
        affinity |= {"steps_per_task": 100}
        if recording == "multitask":
            study["tasks"] = [dataset.entry for members in FAMILIES.values() for dataset in members]
        else:
            study["tasks"] = INSTRUCTED[recording].entries
            affinity |= {"subset_size": 10}
    return {**study, "learner": learner, "affinity": affinity, "comparison": None}
