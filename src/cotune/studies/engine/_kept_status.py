"""The status of a study with many runs, kept in its folder until a run, the file or anything else is another.

It is looked up under the hash of all that decides it, the checksums of all rows among that. They were checked
for it, so that a damaged one is told as ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cotune import __version__
from cotune._files import write_text
from cotune._seals import json_text, read_json
from cotune.exceptions import DamageError, StorageError
from cotune.studies.engine._rows import StoredRows, hash_rows
from cotune.studies.engine._status import StageStatus, Status

MANY = 500
"""Runs from which on what follows from them is kept; from fewer it is worked out in a moment."""
_FORMAT = 1
_FILE = "status.json"


class KeptStatus:
    """The status of a study as it was told last.

    Parameters
    ----------
    shared : Path
        What the study's runs share.
    stored : mapping of str to StoredRow
        The rows of the runs that are done.
    decided_by : mapping of str to Any
        What else decides it, as plain JSON types.
    """

    def __init__(self, shared: Path, stored: StoredRows, decided_by: Mapping[str, Any]) -> None:
        self._file, self._stored = shared / _FILE, stored
        self._beside = [path for path in sorted(shared.glob("*.json")) if path.name != _FILE]
        self._decided_by = dict(decided_by)
        self._identity = ""

    def read(self) -> Status | None:
        """Return it; None if it is of anything else, or damaged."""
        self._identity = self._now()
        try:
            known = read_json(self._file)
            if known["identity"] != self._identity:
                return None
            told = known["status"]
            stages = tuple(StageStatus(**stage) for stage in told.pop("stages"))
            return Status(**{**told, "stages": stages, "errors": tuple(told["errors"])})
        except (OSError, DamageError, KeyError, TypeError):
            return None

    def keep(self, status: Status) -> None:
        """Keep it for the next one who asks, where the folder can be written."""
        content = {"identity": self._identity, "status": asdict(status)}
        with suppress(StorageError):
            write_text(self._file, json_text(content))

    def _now(self) -> str:
        told = [_FORMAT, __version__, self._decided_by, *(_content(path) for path in self._beside)]
        digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
        digest.update(hash_rows(sorted(self._stored.items())))
        return digest.hexdigest()


def _content(path: Path) -> tuple[str, str]:
    try:
        return path.name, path.read_bytes().hex()
    except OSError:
        return path.name, "cannot be read"
