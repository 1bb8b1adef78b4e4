from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotune.findings.retention import RetentionData, RetentionFindings
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
    findings : RetentionFindings or None
        Every measurement and what follows from it, when the pretrained model was measured.
    stages : list of StageUsage
        What was run.
    report : Path or None
        The report.
    """

    study: RetentionStudy
    notes: Mapping[str, tuple[str, ...]]
    findings: RetentionFindings | None = None
    stages: list[StageUsage] = field(default_factory=list)
    report: Path | None = None

    @property
    def data(self) -> RetentionData | None:
        """Every measurement, when the pretrained model was measured."""
        return None if self.findings is None else self.findings.data

    def sentences(self) -> Sequence[str]:
        """Tabulate what the methods keep of in-context learning."""
        return summary_lines(self.findings) if self.findings is not None else ()

    def to_dict(self) -> dict[str, Any]:
        """Return every measurement as plain JSON types."""
        return {"retention": None if self.findings is None else self.findings.to_dict()}
