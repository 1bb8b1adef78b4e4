from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotune.findings.transfer import TransferData, TransferFindings
from cotune.studies.engine._runner import StageUsage

if TYPE_CHECKING:
    from cotune.studies.transfer._study import TransferStudy

_COLUMNS = ("arm", "seen train", "seen test", "unseen in context", "unseen fine-tuned", "transfer kept")


@dataclass
class TransferResult:
    """What a transfer study found so far.

    Parameters
    ----------
    study : TransferStudy
        The study.
    notes : mapping of str to tuple of str
        By task, what was cut or dropped.
    findings : TransferFindings or None
        Every measurement and what follows from it, when the pretrained model was measured.
    stages : list of StageUsage
        What was run.
    report : Path or None
        The report.
    """

    study: TransferStudy
    notes: Mapping[str, tuple[str, ...]]
    findings: TransferFindings | None = None
    stages: list[StageUsage] = field(default_factory=list)
    report: Path | None = None

    @property
    def data(self) -> TransferData | None:
        """Every measurement, when the pretrained model was measured."""
        return None if self.findings is None else self.findings.data

    def sentences(self) -> Sequence[str]:
        """Tabulate the arms' losses, and put the paper's claims beside what was measured."""
        findings = self.findings
        if findings is None:
            return ()
        rows = [
            _COLUMNS,
            *(
                (
                    row.arm,
                    *(
                        "-" if math.isnan(value) else f"{value:.3f}"
                        for value in (
                            *(row.seen_train, row.seen_test),
                            *(row.in_context_loss, row.transfer_loss),
                        )
                    ),
                    "-" if math.isnan(row.relative) else f"{row.relative:.0%}",
                )
                for row in (findings.pretrained, *findings.arms)
            ),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        claims = [
            line
            for claim in findings.claims
            for line in (f"The paper: {claim.claim}", f"  here: {claim.measured} -> {claim.agreement}")
        ]
        return ["Losses in nats a token at the end of training:", *table, *claims]

    def to_dict(self) -> dict[str, Any]:
        """Return every measurement and finding as plain JSON types."""
        return {"transfer": None if self.findings is None else self.findings.to_dict()}
