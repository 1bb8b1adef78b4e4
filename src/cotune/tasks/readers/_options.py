"""The base of what readers may be told."""

from __future__ import annotations

from pydantic import ConfigDict

from cotune._config import BriefModel


class Options(BriefModel):
    """Base of the readers' options: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
