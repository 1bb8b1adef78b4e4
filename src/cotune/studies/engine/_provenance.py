"""What every report says of where its numbers come from."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable

from cotune.studies.engine._runner import StageUsage

_LIBRARIES = ("cotune", "torch", "transformers", "peft", "accelerate", "scikit-learn", "numpy")


def machine_rows(stages: Iterable[StageUsage]) -> list[tuple[str, str]]:
    """Return machine, versions and memory: name and value of each."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    rows = [
        ("machine", f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"),
        ("versions", f"Python {platform.python_version()}, {versions}"),
    ]
    peaks = [record.peak_bytes for stage in stages for record in stage.records]
    if peaks:
        rows.append(("largest memory of a worker process", f"{max(peaks) / 2**30:.2f} GiB"))
    return rows
