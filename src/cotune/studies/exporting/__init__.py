"""Making trained models ready to be served: renamed, merged, listed for vLLM, pushed to a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune._lazy import on_first_use

if TYPE_CHECKING:
    from cotune.studies.exporting._export import Exported, ExportedModel, export

_HOMES = {"Exported": "_export", "ExportedModel": "_export", "export": "_export"}

__all__ = ["Exported", "ExportedModel", "export"]

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
