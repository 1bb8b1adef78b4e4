"""The study kind ``transfer``: what instruction tuning does to learning new tasks."""

from cotune.studies.transfer._result import TransferResult
from cotune.studies.transfer._study import TransferStudy
from cotune.studies.transfer.config import Arm, FurtherArm, TransferStudyConfig

__all__ = ["Arm", "FurtherArm", "TransferResult", "TransferStudy", "TransferStudyConfig"]
