"""Score tables and affinity matrices, from files and from memory."""

from cotune.affinity.tables._read import read_table
from cotune.affinity.tables._table import Table, table_of

__all__ = ["Table", "read_table", "table_of"]
