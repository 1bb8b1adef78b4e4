"""Tables as CSV, the same bytes for the same values."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence


def cell(value: float | None) -> str:
    """Return a number with all its digits; a blank for one that is not known."""
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else repr(value)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()
