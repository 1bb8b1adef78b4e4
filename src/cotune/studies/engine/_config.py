"""The study file: strict YAML, every key checked, every mistake told in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, NonNegativeInt

from cotune._config import Config
from cotune._yaml import read_yaml
from cotune.exceptions import InputError
from cotune.models.config import ModelConfig
from cotune.studies.engine._executor import ExecutorConfig
from cotune.studies.engine._executors import EXECUTORS, LocalConfig
from cotune.studies.readers import READERS
from cotune.tasks.readers import ReaderConfig


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) or value is None else [value]


AnyReader = Annotated[ReaderConfig, READERS]


class StudyConfig(Config):
    """What the files of all kinds of studies say."""

    kind: str
    """What is studied; a key of KINDS."""
    name: Annotated[str, Field(min_length=1)]
    """Name of the study, the title of its report."""
    seed: NonNegativeInt = 0
    """Decides splits, subsets and all training seeds."""
    tasks: Annotated[
        tuple[AnyReader, ...],
        BeforeValidator(_as_list, json_schema_input_type=AnyReader | tuple[AnyReader, ...]),
    ] = ()
    """One reader or a list of them."""
    executor: Annotated[ExecutorConfig, EXECUTORS] = LocalConfig()
    """Where the runs happen."""

    def check(self, where: str) -> None:
        """Check what no single key can tell.

        Parameters
        ----------
        where : str
            What the configuration is, to open the error message with (a file name).

        Raises
        ------
        InputError
            If keys contradict one another.
        """


class ModelStudyConfig(StudyConfig, ModelConfig):
    """What the files of studies say that tune one model."""


def read_study_file(path: Path) -> dict[str, Any]:
    """Read the mapping a study file holds.

    Raises
    ------
    InputError
        If the file is missing, is not YAML, or is no mapping; names file and line.
    """
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: a study file is a mapping of keys such as name, kind and tasks.")
    return data
