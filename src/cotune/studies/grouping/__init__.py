"""The study kind ``grouping``: affinity between tasks, groups, an adapter a group, and what that is worth."""

from cotune.studies.grouping._describe import describe_groups
from cotune.studies.grouping._gain import GainGroups, gain_groups
from cotune.studies.grouping._group import group
from cotune.studies.grouping._grouping import group_tasks
from cotune.studies.grouping._groups import Groups
from cotune.studies.grouping._result import GroupingResult
from cotune.studies.grouping._study import GroupingStudy
from cotune.studies.grouping._table_report import groups_csv, write_table_report
from cotune.studies.grouping.config import ComparisonConfig, GroupingConfig, GroupingStudyConfig

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
