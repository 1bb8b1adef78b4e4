"""From what was measured to plain JSON types and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cotune.evaluation.format_specialisation import ModuleAlignment
from cotune.findings.retention import InContextValue, RetentionCheckpoint, TargetScore


def checkpoint_to_dict(checkpoint: RetentionCheckpoint) -> dict[str, Any]:
    """Return a checkpoint as plain JSON types."""
    return asdict(checkpoint)


def checkpoint_from_dict(data: Mapping[str, Any]) -> RetentionCheckpoint:
    """Read what :func:`checkpoint_to_dict` wrote."""
    return RetentionCheckpoint(
        stage=data["stage"],
        step=data["step"],
        targets=tuple(TargetScore(**score) for score in data["targets"]),
        in_context=tuple(
            InContextValue(**{**value, "draws": tuple(value["draws"])}) for value in data["in_context"]
        ),
        alignment=tuple(ModuleAlignment(**alignment) for alignment in data["alignment"]),
    )
