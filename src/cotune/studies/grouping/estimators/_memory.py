from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cotune._files import write_bytes


@dataclass(frozen=True)
class Memory:
    """What an estimator worked out from the runs done so far, to go on from there without doing it again.

    Nothing is lost with it: the same runs lead to the same again.

    Parameters
    ----------
    file : Path
        An archive of arrays.
    writable : bool
        Whether anything is written down.
    """

    file: Path
    writable: bool = True

    def load(self, identity: str) -> dict[str, NDArray[Any]] | None:
        """Return what was saved under the same identity; None if that is nothing, or cannot be read."""
        try:
            with np.load(self.file) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        return arrays if str(arrays.pop("identity", "")) == identity else None

    def save(self, identity: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Replace what was saved."""
        if self.writable:
            content = io.BytesIO()
            np.savez(content, allow_pickle=False, identity=np.array(identity), **arrays)
            write_bytes(self.file, content.getvalue())
