"""Other values of a study's options, one at a time: the settings of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cotune._config import Config, ConfigError, validate
from cotune.exceptions import InputError
from cotune.studies.grouping.config import ArmConfig, GroupingStudyConfig

PARTS = ("affinity", "grouping")
"""The parts of the file whose options can be swept: what is trained stays the same."""


@dataclass(frozen=True)
class Setting:
    """A study's configuration with another value of one option.

    Parameters
    ----------
    option : str
        The keys that lead to it, such as ``"grouping.n_clusters"``.
    value : Any
        Its value, as the file says it.
    config : GroupingStudyConfig
        All of the configuration, that compares the groups alone.
    """

    option: str
    value: Any
    config: GroupingStudyConfig

    @property
    def name(self) -> str:
        """Option and value, as arms and files are called by them."""
        return f"{self.option} = {self.value}"

    @property
    def measures_otherwise(self) -> bool:
        """Whether affinity is estimated from other runs, or otherwise from them."""
        return self.option.split(".")[0] == "affinity"


def settings_of(config: GroupingStudyConfig, where: str) -> tuple[Setting, ...]:
    """Return the settings of a sweep.

    Raises
    ------
    InputError
        If an option is none that can be swept, or does not take a value; names both.
    """
    for option, values in config.sweep.items():
        twice = [value for at, value in enumerate(values) if value in values[:at]]
        if twice:
            raise InputError(f"{where}: sweep.{option}: {twice[0]!r} stands twice.")
    return tuple(
        _setting(config, option, value, f"{where}: sweep.{option}")
        for option, values in config.sweep.items()
        for value in values
    )


def _setting(config: GroupingStudyConfig, option: str, value: Any, where: str) -> Setting:
    part, *path = option.split(".")
    if part not in PARTS or not path:
        raise InputError(
            f"{where}: must be an option of affinity or of grouping, such as grouping.n_clusters or "
            "affinity.subset_size."
        )
    try:
        changed = _replaced(getattr(config, part), path, value)
    except ConfigError as error:
        raise InputError(f"{where}: {'.'.join([part, *map(str, error.path)])}: {error.message}") from None
    comparison = config.comparison
    if comparison is not None:
        comparison = comparison.model_copy(update={"arms": (ArmConfig(name="grouped"),)})
    setting = Setting(
        option, value, config.model_copy(update={part: changed, "comparison": comparison, "sweep": {}})
    )
    setting.config.check(where)
    return setting


def _replaced(config: Config, path: Sequence[str], value: Any) -> Config:
    """Return a configuration with another value at the end of a path; what was not given stays so."""
    key, *rest = path
    given: Mapping[str, Any] = {name: getattr(config, name) for name in config.model_fields_set}
    if rest:
        inner = getattr(config, key, None)
        if not isinstance(inner, Config):
            raise ConfigError((key,), f"has no option '{rest[0]}'.")
        try:
            value = _replaced(inner, rest, value)
        except ConfigError as error:
            raise ConfigError((key, *error.path), error.message) from None
    return validate(type(config), {**given, key: value})
