"""In which order the tasks came into a study: what was found without the later ones is built upon."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from cotune._files import write_text

_FILE = "arrivals.json"


def arrivals(folder: Path, tasks: Sequence[str]) -> list[list[str]]:
    """Return the tasks in the order of their arrival, those that came at one time together.

    Parameters
    ----------
    folder : Path
        What the study's runs share.
    tasks : sequence of str
        All tasks of the study now. Those that no earlier run of the study knew are the last to arrive; where
        a task was taken out of the study, all arrive together, as for a new one.
    """
    earlier = _read(folder / _FILE)
    known = {task for batch in earlier for task in batch}
    if not known <= set(tasks):
        return [list(tasks)]
    new = [task for task in tasks if task not in known]
    return [*earlier, new] if new else earlier


def note_arrivals(folder: Path, batches: Sequence[Sequence[str]]) -> None:
    """Write down the order of arrival, for later runs of the study."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _FILE, json.dumps(batches, ensure_ascii=False) + "\n")


def _read(file: Path) -> list[list[str]]:
    try:
        batches: list[list[str]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return batches
