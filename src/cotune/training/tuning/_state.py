"""What a killed run goes on from, and what runs share: written whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cotune._seals import damage, sealed_folder
from cotune._storage import writing
from cotune.exceptions import InputError

_FILE = "tuning.pt"


class StateFolder:
    """Keeps the last of a run's states.

    Parameters
    ----------
    path : Path
        The folder; made when the first state is written.
    key : str
        Hash of all that determines the run.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key

    def load(self) -> dict[str, Any] | None:
        """Return the last state that is what was written, None where there is none.

        Raises
        ------
        InputError
            If the folder holds the state of another run.
        """
        last = max((n for n in self._generations() if not damage(self._of(n))), default=None)
        if last is None:
            return None
        state = load_tensors(self._of(last))
        if state["key"] != self._key:
            raise InputError(
                f"The folder {self._path} holds the state of a run of other tasks, another method, recipe or "
                "seed; remove it or name another."
            )
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a state, then forget those before it: killed in between, both are there."""
        generations = self._generations()
        fresh = max(generations, default=-1) + 1
        save_tensors(self._of(fresh), {**state, "key": self._key})
        with writing(self._path):
            for generation in generations:
                shutil.rmtree(self._of(generation))

    def _of(self, generation: int) -> Path:
        return self._path / f"{generation:06d}"

    def _generations(self) -> list[int]:
        if not self._path.is_dir():
            return []
        return [int(folder.name) for folder in self._path.iterdir() if folder.name.isdigit()]


def save_tensors(folder: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain types into a new folder, with checksums."""
    with sealed_folder(folder) as fresh:
        torch.save(dict(content), fresh / _FILE)


def load_tensors(folder: Path) -> dict[str, Any]:
    """Read what :func:`save_tensors` wrote, onto the CPU."""
    content: dict[str, Any] = torch.load(folder / _FILE, map_location="cpu", weights_only=True)
    return content


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Return the state of torch's generators that training draws from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Bring torch's generators to a state from :func:`random_state`."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
