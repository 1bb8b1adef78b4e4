"""What a study of what instruction tuning does to transfer found."""

from cotune.findings.transfer._claims import Claim, transfer_claims
from cotune.findings.transfer._findings import (
    ScatterPoint,
    TransferArmRow,
    TransferFindings,
    transfer_findings,
)
from cotune.findings.transfer._records import (
    HeldOutResult,
    SeenLoss,
    TransferArm,
    TransferCheckpoint,
    TransferData,
    TransferPoint,
    TransferRun,
    TransferTask,
    mean,
)
from cotune.findings.transfer._statistics import (
    Correlation,
    Effect,
    cluster_bootstrap,
    paired_effect,
    pooled_correlation,
    within_correlation,
)

__all__ = [
    "Claim",
    "Correlation",
    "Effect",
    "HeldOutResult",
    "ScatterPoint",
    "SeenLoss",
    "TransferArm",
    "TransferArmRow",
    "TransferCheckpoint",
    "TransferData",
    "TransferFindings",
    "TransferPoint",
    "TransferRun",
    "TransferTask",
    "cluster_bootstrap",
    "mean",
    "paired_effect",
    "pooled_correlation",
    "transfer_claims",
    "transfer_findings",
    "within_correlation",
]
