"""Transfer: what a model can do after fine-tuning on a few examples of a task it has not seen.

After Mueller, Dredze and Andrews (2024), "Multi-Task Transfer Matters During Instruction-Tuning".
"""

from cotune.evaluation.transfer._checkpoint import checkpoint_as_base
from cotune.evaluation.transfer._config import TransferConfig
from cotune.evaluation.transfer._curves import TransferCurve, area, relative_transfer, transfer_curve
from cotune.evaluation.transfer._evaluate import Measured, Questions, TransferEvaluation, check_transfer
from cotune.evaluation.transfer._fine_tune import FineTuning, fine_tune
from cotune.evaluation.transfer._statistics import (
    Correlation,
    Effect,
    cluster_bootstrap,
    paired_effect,
    pooled_correlation,
    within_correlation,
)
from cotune.evaluation.transfer._trials import MARKINGS, Trial, draw_trials, task_id

__all__ = [
    "MARKINGS",
    "Correlation",
    "Effect",
    "FineTuning",
    "Measured",
    "Questions",
    "TransferConfig",
    "TransferCurve",
    "TransferEvaluation",
    "Trial",
    "area",
    "check_transfer",
    "checkpoint_as_base",
    "cluster_bootstrap",
    "draw_trials",
    "fine_tune",
    "paired_effect",
    "pooled_correlation",
    "relative_transfer",
    "task_id",
    "transfer_curve",
    "within_correlation",
]
