"""What a study should have and has not, and what it has and needs no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cotune.exceptions import CotuneError
from cotune.studies.engine._model_study import ModelStudy
from cotune.studies.engine._runner import StoredRunner
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._store import RunStore
from cotune.studies.engine._study import Study


class _Looking(StoredRunner[RunT]):
    """Gives what the store has, and sees which folders should hold what runs trained, and are not there."""

    lacks: list[Path]

    def get(
        self,
        title: str,
        runs: Sequence[RunT],
        save: Mapping[RunT, Path] | None = None,
        *,
        leave: Mapping[RunT, Path] | None = None,
        note: str = "",
    ) -> dict[RunT, RunRecord]:
        found = super().get(title, runs, save, leave=leave, note=note)
        good = [run for run, record in found.items() if record.error is None]
        self.lacks += [save[run] for run in good if save and run in save and not save[run].exists()]
        return found


def lacking(study: Study[Any, Any], store: RunStore) -> list[Path]:
    """Return the folders of models that a study should keep and has not, as far as that is known."""
    runner: _Looking[Any] = _Looking(study, store)
    runner.lacks = []
    try:
        study.standing(runner)
    except CotuneError:
        return []
    return list(dict.fromkeys(runner.lacks))


def surplus_states(study: Study[Any, Any], store: RunStore) -> list[Path]:
    """Return the states of runs that are stored: nothing goes on from them any more."""
    if not isinstance(study, ModelStudy) or not study.states.is_dir():
        return []
    return [path for path in sorted(study.states.iterdir()) if path.name in store.keys()]  # noqa: SIM118
