from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol


class StudyResult(Protocol):
    """What a study of any kind found so far."""

    @property
    def report(self) -> Path | None:
        """The report, when it was written."""
        ...

    def sentences(self) -> Sequence[str]:
        """Say what was found, a line each."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return what was found as plain JSON types."""
        ...
