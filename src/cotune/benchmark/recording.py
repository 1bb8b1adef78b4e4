"""From a study to a recorded table: its affinity, the families of its tasks, and where it comes from."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cotune._config import did_you_mean
from cotune._yaml import read_yaml
from cotune.affinity import Affinity, gains
from cotune.benchmark.recorded import RecordedTable, Scenario
from cotune.benchmark.screening import screen
from cotune.exceptions import InputError, RunError
from cotune.grouping import SDPClustering, prepare
from cotune.studies import Events, Study, run_study
from cotune.studies.grouping import GroupingResult, GroupingStudy

_LIBRARIES = ("cotune", "torch", "transformers", "peft", "numpy")


def affinity_only(study: Study[Any, Any]) -> GroupingStudy:
    """Return a grouping study that trains nothing but what its affinity needs.

    Raises
    ------
    InputError
        If the study is of another kind.
    """
    if not isinstance(study, GroupingStudy):
        raise InputError(
            f"{study.path}: recording takes a grouping study, got one of kind {study.config.kind}."
        )
    return replace(study, config=study.config.model_copy(update={"comparison": None}))


def record(
    study: Study[Any, Any],
    events: Events | None = None,
    *,
    name: str | None = None,
    scenario: Scenario | None = None,
    families: Mapping[str, Sequence[str]] | None = None,
    n_groups: int | None = None,
    min_positive: float | None = None,
) -> RecordedTable:
    """Run what a study's affinity still lacks, and make a table of it.

    The runs are those of the study: stored as they end, never done twice.

    Parameters
    ----------
    study : Study
        A grouping study.
    events : Events, optional
        Who is told of progress.
    name : str, optional
        Of the table, the study's unless given.
    scenario : {"multitask", "multi_instruction", "function_classes"}, optional
        What the tasks are; told by the learner unless given.
    families : mapping of str to sequence of str, optional
        Names or patterns of the tasks of every family; those that the tasks' authors named unless given.
    n_groups : int, optional
        Where no family is known (instructions for one data set): the families are the best grouping into so
        many groups, whose proof or gap the table's provenance states.
    min_positive : float, optional
        Share of transfers within a family that must be positive; tasks are dropped until it is reached. All
        are kept unless given.

    Returns
    -------
    RecordedTable

    Raises
    ------
    InputError
        If the study is no grouping study, a task has no family or two, or the estimator trains no task alone
        although ``min_positive`` asks what company is worth.
    RunError
        If the affinity could not be estimated.
    """
    recorded = affinity_only(study)
    tasks = tuple(recorded.learner.tasks)
    of_task = assign(tasks, families) if families else dict(recorded.learner.families)
    lacking = [task for task in tasks if not of_task.get(task)]
    if lacking and n_groups is None:
        raise InputError(f"Task {lacking[0]} has no family; name the families in a file with --families.")
    result = run_study(recorded, events)
    assert isinstance(result, GroupingResult)
    if result.estimate is None:
        raise RunError(f"The affinity of '{recorded.config.name}' could not be estimated.")
    estimate = result.estimate
    single = None
    if set(estimate.single) == set(tasks):
        single = tuple(float(estimate.single[task]) for task in tasks)
    scale = recorded.config.grouping.scale or recorded.config.affinity.scale
    provenance = _provenance(result)
    if lacking and n_groups is not None:
        of_task, provenance["families"] = _best_groups(tasks, estimate.affinity, scale, n_groups)
    table = RecordedTable(
        name=name or recorded.config.name,
        scenario=scenario or ("multitask" if recorded.config.learner.reads_tasks else "function_classes"),
        tasks=tasks,
        families=tuple(of_task[task] for task in tasks),
        affinity=estimate.affinity,
        scale=scale,
        single=single,
        provenance=provenance,
    )
    return table if min_positive is None else screened(table, min_positive)


def screened(table: RecordedTable, min_positive: float) -> RecordedTable:
    """Drop the tasks that :func:`~cotune.benchmark.screening.screen` drops, and say so in the table.

    Raises
    ------
    InputError
        If the table does not know the scores of tasks trained alone.
    """
    if table.single is None:
        raise InputError(
            f"Table {table.name!r} has no scores of tasks trained alone, which positive transfer is measured "
            "from; record it with the estimator higher_order."
        )
    found = screen(
        table.tasks, table.families, gains(table.affinity, table.single).matrix, min_positive=min_positive
    )
    kept = table.restricted(found.kept)
    shares = ", ".join(f"{family} {100 * share:.0f} %" for family, share in found.positive.items())
    note = {"positive transfers within families": shares}
    return replace(kept, dropped={**table.dropped, **found.dropped}, provenance={**kept.provenance, **note})


def assign(tasks: Sequence[str], families: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the family of every task.

    Parameters
    ----------
    tasks : sequence of str
        Names.
    families : mapping of str to sequence of str
        Names or patterns such as "task18*" of every family's tasks.

    Raises
    ------
    InputError
        If a pattern matches no task, or a task is in no family or in two.
    """
    found: dict[str, str] = {}
    for family, patterns in families.items():
        for pattern in patterns:
            matching = [task for task in tasks if fnmatchcase(task, pattern)]
            if not matching:
                near = did_you_mean(pattern, tasks)
                raise InputError(f"No task matches '{pattern}' of family '{family}'{near}.")
            for task in matching:
                if found.setdefault(task, family) != family:
                    raise InputError(f"Task {task} is in two families, '{found[task]}' and '{family}'.")
    lacking = [task for task in tasks if task not in found]
    if lacking:
        raise InputError(f"Task {lacking[0]} is in none of the families {', '.join(families)}.")
    return found


def read_families(path: Path) -> dict[str, list[str]]:
    """Read a YAML file that lists the tasks of every family: ``{family: [name or pattern, ...]}``.

    Raises
    ------
    InputError
        If the file cannot be read or says something else.
    """
    data = read_yaml(path)
    entries = data.items() if isinstance(data, dict) else ()
    lists = {str(family): members for family, members in entries if isinstance(members, list) and members}
    if not lists or len(lists) < len(data):
        raise InputError(f"{path} must map the name of every family to a list of its tasks.")
    return {family: [str(member) for member in members] for family, members in lists.items()}


def _best_groups(
    tasks: Sequence[str], affinity: Affinity, scale: str, n_groups: int
) -> tuple[dict[str, str], str]:
    """Return the group of every task in the best grouping, and how good it is known to be."""
    fitted = SDPClustering(n_clusters=n_groups).fit(prepare(affinity.matrix, scale=scale).matrix)
    groups = {task: f"group {label + 1}" for task, label in zip(tasks, fitted.labels_, strict=True)}
    proof = "certified optimal" if fitted.certified_ else f"gap {fitted.gap_:.2g}"
    return groups, f"the best grouping into {n_groups} groups that is known, {proof}"


def _provenance(result: GroupingResult) -> dict[str, str]:
    study, estimate = result.study, result.estimate
    assert estimate is not None
    records = [record for stage in result.stages for record in stage.records]
    tokens = sum(record.tokens or 0 for record in records)
    learner = study.config.learner
    return {
        "date": date.today().isoformat(),
        "study": study.config.name,
        "learner": type(study.learner).__name__,
        **({"model": _model(str(learner.model))} if hasattr(learner, "model") else {}),
        "fingerprint of model and recipe": study.learner.fingerprint[:16],
        "seed": str(study.config.seed),
        "estimator": estimate.estimator,
        "entry": estimate.unit,
        "runs": str(len(records)),
        "CPU seconds": f"{sum(record.cpu_seconds for record in records):.0f}",
        **({"training tokens": str(tokens)} if tokens else {}),
        "versions": ", ".join(f"{library} {version(library)}" for library in _LIBRARIES),
        "machine": f"{platform.machine()}, {platform.system()}",
    }


def _model(name: str) -> str:
    """Leave out where on this machine a checkpoint lies."""
    return Path(name).name if Path(name).is_absolute() else name
