"""The study kind ``retention``: what tuning on a target leaves of in-context learning, method by method."""

from cotune.studies.retention._result import RetentionResult
from cotune.studies.retention._study import RetentionStudy
from cotune.studies.retention.config import MethodArm, RetentionConfig

__all__ = ["MethodArm", "RetentionConfig", "RetentionResult", "RetentionStudy"]
