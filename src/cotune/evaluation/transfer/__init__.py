"""Transfer: what a model can do after fine-tuning on a few examples of a task it has not seen.

After Mueller, Dredze and Andrews (2024), "Multi-Task Transfer Matters During Instruction-Tuning". The names
are loaded on first use: who only wants areas under curves does not pay for training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune._lazy import on_first_use

if TYPE_CHECKING:
    from cotune.evaluation.transfer._checkpoint import checkpoint_as_base
    from cotune.evaluation.transfer._config import TransferConfig
    from cotune.evaluation.transfer._curves import TransferCurve, area, relative_transfer, transfer_curve
    from cotune.evaluation.transfer._evaluate import Measured, Questions, TransferEvaluation, check_transfer
    from cotune.evaluation.transfer._fine_tune import MOST_TOGETHER, FineTuning, fine_tune
    from cotune.evaluation.transfer._trials import MARKINGS, Trial, draw_trials, task_id

_HOMES = {
    "MARKINGS": "_trials",
    "MOST_TOGETHER": "_fine_tune",
    "FineTuning": "_fine_tune",
    "Measured": "_evaluate",
    "Questions": "_evaluate",
    "TransferConfig": "_config",
    "TransferCurve": "_curves",
    "TransferEvaluation": "_evaluate",
    "Trial": "_trials",
    "area": "_curves",
    "check_transfer": "_evaluate",
    "checkpoint_as_base": "_checkpoint",
    "draw_trials": "_trials",
    "fine_tune": "_fine_tune",
    "relative_transfer": "_curves",
    "task_id": "_trials",
    "transfer_curve": "_curves",
}

__all__ = [
    "MARKINGS",
    "MOST_TOGETHER",
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
    "draw_trials",
    "fine_tune",
    "relative_transfer",
    "task_id",
    "transfer_curve",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
