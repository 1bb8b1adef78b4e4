"""States of a model's tokens, a row each: in memory, or in a file that is read where they lie."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cotune.exceptions import DamageError

Shape = tuple[int, int]
Rows = NDArray[np.intp]


class States(Protocol):
    """As many rows as tokens are kept."""

    def read(self, rows: Rows) -> torch.Tensor:
        """Return rows in the order asked for."""
        ...

    def write(self, rows: Rows, states: torch.Tensor) -> None:
        """Put states into rows."""
        ...


class StatesInMemory:
    """States of a process alone.

    Parameters
    ----------
    shape : tuple of int
        Tokens, and numbers of a state.
    dtype : dtype
        Their type.
    """

    def __init__(self, shape: Shape, dtype: torch.dtype) -> None:
        with torch.inference_mode(False):
            self._states = torch.empty(shape, dtype=dtype)

    def read(self, rows: Rows) -> torch.Tensor:
        """Return rows in the order asked for."""
        return self._states[torch.from_numpy(rows)]

    def write(self, rows: Rows, states: torch.Tensor) -> None:
        """Put states into rows."""
        self._states[torch.from_numpy(rows)] = states.to(self._states.dtype)


class StatesFile:
    """States that many processes read.

    They are read and not mapped: what a process has read of a mapped file counts as its memory, and that of
    a large file as more than the model, though the system holds it once for all. A disk that is full, or a
    file that is cut, is an error here, and the end of the process there.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        Tokens, and numbers of a state.
    dtype : dtype
        Their type.
    writable : bool
        Whether it is to be filled.
    """

    def __init__(self, path: Path, shape: Shape, dtype: torch.dtype, *, writable: bool = False) -> None:
        self._path, self._shape, self._dtype = path, shape, dtype
        self._row = shape[1] * dtype.itemsize
        self._stream = path.open("r+b" if writable else "rb")

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()

    def read(self, rows: Rows) -> torch.Tensor:
        """Return rows in the order asked for.

        Raises
        ------
        DamageError
            If the file was cut while it was in use.
        """
        states = torch.empty((len(rows), self._shape[1]), dtype=self._dtype)
        into = _bytes(states)
        for first, last in _runs(rows):
            self._stream.seek(int(rows[first]) * self._row)
            found = self._stream.read((last - first) * self._row)
            if len(found) < (last - first) * self._row:
                raise DamageError(f"{self._path} was cut while it was read; the same command makes it anew.")
            into[first * self._row : last * self._row] = np.frombuffer(found, dtype=np.uint8)
        return states

    def write(self, rows: Rows, states: torch.Tensor) -> None:
        """Put states into rows."""
        of = _bytes(states.to(self._dtype).contiguous())
        for first, last in _runs(rows):
            self._stream.seek(int(rows[first]) * self._row)
            self._stream.write(of[first * self._row : last * self._row].tobytes())


def _bytes(states: torch.Tensor) -> NDArray[np.uint8]:
    flat: NDArray[np.uint8] = states.view(torch.uint8).numpy().reshape(-1)
    return flat


def _runs(rows: Rows) -> list[tuple[int, int]]:
    """Return where rows that follow one another begin and end among those asked for."""
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    return list(pairwise(edges))
