from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotune.findings.retention import RetentionData
from cotune.studies.engine._runner import StageUsage
from cotune.studies.retention._summary import summary_lines

if TYPE_CHECKING:
    from cotune.studies.retention._study import RetentionStudy


@dataclass
class RetentionResult:
    """What a retention study found so far.

    Parameters
    ----------
    study : RetentionStudy
        The study.
    notes : mapping of str to tuple of str
        By task, what was cut or dropped.
    data : RetentionData or None
        Every measurement, when the pretrained model was measured.
    stages : list of StageUsage
        What was run.
    report : Path or None
        The report.
    """

    study: RetentionStudy
    notes: Mapping[str, tuple[str, ...]]
    data: RetentionData | None = None
    stages: list[StageUsage] = field(default_factory=list)
    report: Path | None = None

    def sentences(self) -> Sequence[str]:
        """Tabulate what the methods keep of in-context learning."""
        return summary_lines(self.data) if self.data is not None else ()

    def to_dict(self) -> dict[str, Any]:
        """Return every measurement as plain JSON types."""
        return {"retention": None if self.data is None else asdict(self.data)}
