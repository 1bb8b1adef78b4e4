"""The folder of a tuned model: not there, or whole; what a killed run goes on from stands beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cotune._files import leftovers, sweep
from cotune._seals import SUMS, damage, is_sealed, seal, sealed_file, sealed_folder
from cotune._storage import writing
from cotune.exceptions import DamageError, InputError
from cotune.studies.engine import RUN_KEY, damaged, locked
from cotune.studies.tuning._result import TuneResult

_LOCK = ".lock"


class TuneFolder:
    """Where a run's result goes, and where it keeps what it has done so far.

    Parameters
    ----------
    path : Path
        The folder of the result; what is not finished is kept beside it in ``<name>.unfinished``.
    key : str
        Hash of all that determines the run.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self._key = path.resolve(), key
        self._unfinished = self.path.with_name(f"{self.path.name}.unfinished")
        self.damage = ""

    @property
    def state(self) -> Path:
        """Folder of the state of the training."""
        return self._unfinished / "state"

    @property
    def before(self) -> Path:
        """File of what the pretrained model can do."""
        return self._unfinished / "before.json"

    @property
    def precision(self) -> Path:
        """File of what the precision ``auto`` means to the run."""
        return self._unfinished / "precision.json"

    def finished(self) -> TuneResult | None:
        """Return the result if the run has been done; writes nothing.

        Raises
        ------
        InputError
            If the folder holds something else, or the state of another run stands beside it.
        DamageError
            If it does not say any more what it holds.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; name a folder with --out.")
        result = self._found()
        if result is not None and result.key == self._key:
            if not self.damage:
                shutil.rmtree(self._unfinished, ignore_errors=True)
                return result
        elif self.path.is_dir() and any(self.path.iterdir()):
            what = "a model of another run" if result is not None else "files of something else"
            raise InputError(f"The folder {self.path} holds {what}; name another with --out.")
        if self._unfinished.exists() and not self._is_ours():
            raise InputError(
                f"{self._unfinished} is what an interrupted run of other tasks, another model, method, "
                "recipe or seed goes on from; remove it or name another folder with --out."
            )
        return None

    def seal(self, note: Callable[[str], None]) -> None:
        """Give what is finished its checksums, where it has none: those of what is there now."""
        if not is_sealed(self.path):
            seal(self.path)
            note(f"{self.path} had no {SUMS}; it has now, of what is there.")

    def _found(self) -> TuneResult | None:
        """Return what the folder says of itself, and see whether it is what was written."""
        if not self.path.is_dir():
            return None
        # Folders of older versions have no checksums.
        self.damage = damage(self.path) if is_sealed(self.path) else ""
        try:
            return TuneResult.find(self.path)
        except InputError as error:
            if not self.damage:
                raise
            raise DamageError(
                f"{self.path} is damaged: {self.damage}, and whose result it was is not known; take it away "
                "to have the model tuned again, or name another folder with --out."
            ) from error

    def _is_ours(self) -> bool:
        """Whether the folder beside the result is this run's, or nothing was written there yet."""
        if not self._unfinished.is_dir():
            return False
        file = self._unfinished / RUN_KEY
        if file.is_file():
            return file.read_bytes().strip() == self._key.encode()
        # Killed before it wrote its key it left a lock, and perhaps half a key.
        names = {path.name for path in self._unfinished.iterdir()}
        return names - {path.name for path in leftovers(self._unfinished)} <= {_LOCK, f"{RUN_KEY}.sha256"}

    @contextmanager
    def open(self, note: Callable[[str], None]) -> Iterator[None]:
        """Hold the folder while the run is under way.

        Parameters
        ----------
        note : callable
            Is told what of an interrupted run is damaged, and begins again.

        Raises
        ------
        InputError
            If another process is at work in it.
        """
        with locked(self._unfinished / _LOCK, f"Another process is tuning a model for {self.path}."):
            with sealed_file(self._unfinished / RUN_KEY) as fresh:
                fresh.write_text(self._key + "\n")
            sweep(self._unfinished)
            for fault in damaged(self._unfinished):
                note(f"{fault.path} is damaged: {fault.why}; it is taken away and done again.")
                fault.take_away(self._unfinished)
            if self.damage:
                note(f"{self.path} is damaged: {self.damage}; the model is tuned again, and takes its place.")
            try:
                yield
            finally:
                sweep(self._unfinished)

    @contextmanager
    def result(self) -> Iterator[Path]:
        """Fill the folder of the result; it appears at once, when the block ends well."""
        complete = self._unfinished / "result"
        with sealed_folder(complete) as fresh:
            yield fresh
        with writing(self.path):
            if self.damage:
                with writing(self.path):
                    shutil.rmtree(self.path)
            os.replace(complete, self.path)
        shutil.rmtree(self._unfinished, ignore_errors=True)
