"""The study file: strict YAML, every key checked, every mistake told in one sentence."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt

from cotune._config import Config, from_table, parse
from cotune.exceptions import InputError
from cotune.studies.arms import ARMS
from cotune.studies.estimators import ESTIMATORS, Estimator, GradientCosine
from cotune.studies.learners import LEARNERS
from cotune.tasks.readers import READERS, ReaderConfig
from cotune.training.learner_config import LearnerConfig


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) or value is None else [value]


class GroupingConfig(Config):
    """How the tasks are grouped."""

    n_clusters: PositiveInt | Literal["auto"] = "auto"
    """Number of groups k."""
    k_max: PositiveInt | None = None
    """Largest k tried when it is chosen automatically."""
    k_rule: Literal["entry_cv", "bic", "average_density", "summed_density"] | None = None
    """How k is chosen automatically; by default entry_cv up to 100 tasks and the cheaper bic beyond."""
    scale: Literal["row_zscore", "two_way", "none"] | None = None
    """How rows of the affinity matrix are put on one scale; by default what suits the estimator."""
    missing: Literal["refuse", "complete"] = "refuse"
    """What happens to pairs of tasks that never met in a run."""


class ComparisonConfig(Config):
    """What the groups are compared with, all with the same total number of training steps."""

    budgets: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (16, 64)
    """Training steps a task; every arm is trained at each. Whether grouping pays depends on it."""
    seeds: PositiveInt = 3
    """How many times everything is trained, each time with another seed; with one nothing can be decided."""
    arms: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(ARMS)
    """Which ways of training to compare; "grouped" is always among them."""


class ExecutorConfig(Config):
    """Where the runs happen; has no influence on results."""

    workers: NonNegativeInt | Literal["auto"] = "auto"
    """Processes on this machine, by default one a core; 0 runs everything in the command's own process."""
    threads: PositiveInt = 1
    """Threads of each."""


class StudyConfig(Config):
    """A study: tasks, a learner, how to measure affinity, how to group, what to compare with."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the study, the title of its report."""
    seed: NonNegativeInt = 0
    """Decides splits, subsets and all training seeds."""
    tasks: Annotated[
        tuple[Annotated[ReaderConfig, from_table(READERS, "reader")], ...], BeforeValidator(_as_list)
    ] = ()
    """One reader or a list of them."""
    learner: Annotated[LearnerConfig, from_table(LEARNERS, "kind")]
    """What is trained."""
    affinity: Annotated[Estimator, from_table(ESTIMATORS, "estimator")] = GradientCosine()
    """How affinity is estimated."""
    grouping: GroupingConfig = GroupingConfig()
    """How the tasks are grouped."""
    comparison: ComparisonConfig | None = ComparisonConfig()
    """What the groups are compared with; null only groups."""
    executor: ExecutorConfig = ExecutorConfig()
    """Where the runs happen."""


class _Loader(yaml.SafeLoader):
    """YAML in which a key written twice is an error, not a silent replacement."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_config(path: Path) -> StudyConfig:
    """Read a study file.

    Parameters
    ----------
    path : Path
        The YAML file.

    Raises
    ------
    InputError
        If the file is missing, is not YAML, or a key or value is not valid; names file and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The study file {path} cannot be read ({_reason(error)}).") from error
    try:
        data = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "not YAML"
        raise InputError(f"{where}: {problem}.") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: a study file is a mapping of keys such as name, tasks and learner.")
    return check_config(parse(StudyConfig, data, str(path)), str(path))


def check_config(config: StudyConfig, where: str) -> StudyConfig:
    """Check what no single key can tell."""
    if config.learner.reads_tasks and not config.tasks:
        raise InputError(f"{where}: tasks: the learner needs tasks; name a reader and a path.")
    if not config.learner.reads_tasks and config.tasks:
        raise InputError(f"{where}: tasks: this learner brings its own tasks; leave the key out.")
    if config.comparison:
        for arm in config.comparison.arms:
            if arm not in ARMS:
                raise InputError(f"{where}: comparison.arms: unknown arm '{arm}', valid: {', '.join(ARMS)}.")
    return config


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not UTF-8 text"
