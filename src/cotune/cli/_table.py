"""Tables: drawn on a terminal, aligned columns elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cotune._neutral import visible


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its first column to the left and the others to the right."""
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD)
        for at, title in enumerate(header):
            table.add_column(visible(title, one_line=True), justify="left" if at == 0 else "right")
        for row in rows:
            table.add_row(*(escape(visible(cell, one_line=True)) for cell in row))
        Console().print(table, highlight=False)
        return
    header, *rows = [[visible(cell, one_line=True) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for first, *others in (header, *rows):
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]
        print("  ".join(cells).rstrip())
