"""What a study of what instruction tuning does to transfer found."""

from cotune.findings.transfer._arms import Forgetting, TransferArmRow
from cotune.findings.transfer._best import MEASURES, Lead, lead
from cotune.findings.transfer._claims import Claim
from cotune.findings.transfer._conflict import Conflict, ConflictChange
from cotune.findings.transfer._curves import (
    ArmCurve,
    Pick,
    Quantity,
    along_training,
    by_examples,
    losses_by_step,
    steps_measured,
)
from cotune.findings.transfer._early import (
    EarlyPrediction,
    dealt_anew,
    early_predictions,
    resampled_interval,
)
from cotune.findings.transfer._effects import Effect, paired_effect, pairs_effect
from cotune.findings.transfer._findings import TransferFindings, transfer_findings
from cotune.findings.transfer._markings import MarkingDifference, MarkingRow
from cotune.findings.transfer._records import (
    HeldOutResult,
    MarkedModel,
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
    cluster_bootstrap,
    pooled_correlation,
    within_correlation,
)

__all__ = [
    "MEASURES",
    "ArmCurve",
    "Claim",
    "Conflict",
    "ConflictChange",
    "Correlation",
    "EarlyPrediction",
    "Effect",
    "Forgetting",
    "HeldOutResult",
    "Lead",
    "MarkedModel",
    "MarkingDifference",
    "MarkingRow",
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
    "dealt_anew",
    "early_predictions",
    "lead",
    "losses_by_step",
    "mean",
    "paired_effect",
    "pairs_effect",
    "pooled_correlation",
    "resampled_interval",
    "steps_measured",
    "transfer_findings",
    "within_correlation",
]
