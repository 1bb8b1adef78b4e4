"""What studies have in common that tune one model in several ways and measure what becomes of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from cotune._config import did_you_mean
from cotune._files import remove_folder
from cotune.exceptions import InputError
from cotune.models import Encoder
from cotune.studies.engine._config import ModelStudyConfig
from cotune.studies.engine._deaths import Deaths
from cotune.studies.engine._events import Events
from cotune.studies.engine._memory import Trained, count_memory
from cotune.studies.engine._runner import ExecutingRunner
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._store import RunStore
from cotune.studies.engine._study import Study
from cotune.training.memory_plan import MemoryPlan

ModelConfigT = TypeVar("ModelConfigT", bound=ModelStudyConfig)


@dataclass(frozen=True)
class ModelStudy(Study[ModelConfigT, RunT], Generic[ModelConfigT, RunT]):
    """A study whose file names the model, and whose tunings go on from states of their own."""

    @property
    def model(self) -> ModelConfigT:
        """The part of the configuration that names the model."""
        return self.config

    @cached_property
    def encoder(self) -> Encoder:
        """The model's tokenizer with the study's limits; needs no weights."""
        return self.config.encoder(self.base)

    @abstractmethod
    def trained(self) -> Iterable[Trained]:
        """Return what the study trains, each kind of training once."""

    def memory(self, *, passes: bool = True) -> MemoryPlan | None:
        """Count what a run of the largest training takes of its device."""
        return count_memory(self.config, self.base, self.encoder, self.trained(), passes=passes)

    @cached_property
    def model_fingerprint(self) -> dict[str, Any]:
        """All of the model that results depend on."""
        return self.config.fingerprint(self.base)

    def stored(self, record: RunRecord) -> None:
        """Take away the state that a tuning would have gone on from."""
        remove_folder(self.states / record.key, self.folder, ignore_errors=True)

    def builds_upon(self, place: Path) -> Sequence[Path]:
        """Return the states of tunings in flight: they take what is shared, or measured, for granted."""
        return (self.states,) if place.is_relative_to(self.shared) else ()

    def tidy(self, store: RunStore) -> None:
        """Take away the states of tunings that were stored, and killed before they could do it."""
        if self.states.is_dir():
            for key in store.keys() & {path.name for path in self.states.iterdir()}:
                remove_folder(self.states / key, self.folder, ignore_errors=True)

    @contextmanager
    def _doing(
        self, events: Events, deaths: Deaths, *, retry_failed: bool
    ) -> Iterator[ExecutingRunner[RunT]]:
        with super()._doing(events, deaths, retry_failed=retry_failed) as runner:
            yield runner
        # No worker is left that could put another state there.
        with suppress(OSError):
            self.states.rmdir()

    @property
    def states(self) -> Path:
        """Folder of the states of tunings in flight, by key."""
        return self.shared / "states"


def choose(patterns: Sequence[str], names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the names that fit one of several patterns, in their own order.

    Raises
    ------
    InputError
        If a pattern fits none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = did_you_mean(pattern, names)
            raise InputError(f"{where}: no task read is named '{pattern}'{near}.")
    return tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
