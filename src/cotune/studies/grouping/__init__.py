"""The study kind ``grouping``: affinity between tasks, groups, an adapter a group, and what that is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune._lazy import on_first_use

if TYPE_CHECKING:
    from cotune.studies.grouping._describe import describe_groups
    from cotune.studies.grouping._gain import GainGroups, gain_groups
    from cotune.studies.grouping._group import group
    from cotune.studies.grouping._grouping import group_tasks
    from cotune.studies.grouping._groups import Groups
    from cotune.studies.grouping._result import GroupingResult
    from cotune.studies.grouping._study import GroupingStudy
    from cotune.studies.grouping._table_report import groups_csv, write_table_report
    from cotune.studies.grouping.config import ComparisonConfig, GroupingStudyConfig
    from cotune.studies.grouping.grouping_config import GroupingConfig

_HOMES = {
    "ComparisonConfig": "config",
    "GainGroups": "_gain",
    "GroupingConfig": "grouping_config",
    "GroupingResult": "_result",
    "GroupingStudy": "_study",
    "GroupingStudyConfig": "config",
    "Groups": "_groups",
    "describe_groups": "_describe",
    "gain_groups": "_gain",
    "group": "_group",
    "group_tasks": "_grouping",
    "groups_csv": "_table_report",
    "write_table_report": "_table_report",
}

__all__ = [
    "ComparisonConfig",
    "GainGroups",
    "GroupingConfig",
    "GroupingResult",
    "GroupingStudy",
    "GroupingStudyConfig",
    "Groups",
    "describe_groups",
    "gain_groups",
    "group",
    "group_tasks",
    "groups_csv",
    "write_table_report",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
