"""What a reader of tables may be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cotune.affinity.tables._numbers import Decimal

Kind = Literal["affinity matrix", "score table"]
KINDS: tuple[Kind, ...] = ("affinity matrix", "score table")


@dataclass(frozen=True)
class Settings:
    """What settles how a table is read; see :func:`cotune.affinity.read_table`."""

    lower_is_better: bool = False
    kind: Kind | None = None
    tasks: Sequence[str] = ()
    leave_out: Sequence[str] = ()
    subset_column: str | None = None
    metric: str | None = None
    decimal: Decimal | None = None
