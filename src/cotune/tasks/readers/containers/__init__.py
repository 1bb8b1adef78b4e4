"""Containers: rows from files, folders and data sets, whatever they are kept in."""

from cotune.tasks.readers.containers._columns import AUTO, parted
from cotune.tasks.readers.containers._datasets import data_set, has_configurations
from cotune.tasks.readers.containers._file import is_table
from cotune.tasks.readers.containers._layout import Loaders, tasks_of
from cotune.tasks.readers.containers._numbers import Row, numbered_rows
from cotune.tasks.readers.containers._table import NoRowsError, Tables, rows_of

__all__ = [
    "AUTO",
    "Loaders",
    "NoRowsError",
    "Row",
    "Tables",
    "data_set",
    "has_configurations",
    "is_table",
    "numbered_rows",
    "parted",
    "rows_of",
    "tasks_of",
]
