"""What a study of what instruction tuning does to transfer found."""

from cotune.findings.transfer._arms import Forgetting, TransferArmRow
from cotune.findings.transfer._claims import Claim
from cotune.findings.transfer._curves import (
    ArmCurve,
    Pick,
    Quantity,
    along_training,
    by_examples,
    losses_by_step,
    steps_measured,
)
from cotune.findings.transfer._findings import TransferFindings, transfer_findings
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
from cotune.findings.transfer._relation import Relation, ScatterPoint
from cotune.findings.transfer._replay import ReplayEffect
from cotune.findings.transfer._statistics import (
    Correlation,
    Effect,
    cluster_bootstrap,
    paired_effect,
    pooled_correlation,
    within_correlation,
)

__all__ = [
    "ArmCurve",
    "Claim",
    "Correlation",
    "Effect",
    "Forgetting",
    "HeldOutResult",
    "Pick",
    "Quantity",
    "Relation",
    "ReplayEffect",
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
    "along_training",
    "by_examples",
    "cluster_bootstrap",
    "losses_by_step",
    "mean",
    "paired_effect",
    "pooled_correlation",
    "steps_measured",
    "transfer_findings",
    "within_correlation",
]
