"""What a study file may say of where its runs happen."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from cotune._registry import Registry
from cotune.exceptions import InputError
from cotune.models.config import ModelConfig
from cotune.studies.engine._company import company
from cotune.studies.engine._deaths import Deaths
from cotune.studies.engine._devices import METAL, Assignment, assign, free_bytes, visible_devices
from cotune.studies.engine._executor import Executor, ExecutorConfig, InlineExecutor, local_workers
from cotune.studies.engine._memory import Room, machine_bytes
from cotune.studies.engine._ray import RayExecutor, Share
from cotune.studies.engine._ray_cluster import connected
from cotune.studies.engine._runs import RunT
from cotune.studies.engine._worker import Worker


class LocalConfig(ExecutorConfig):
    """Processes of this machine."""

    workers: NonNegativeInt | Literal["auto"] = "auto"
    """Processes on this machine, by default one a GPU, or one a core where there is none; 0 runs everything
    in the command's own process."""
    threads: PositiveInt | Literal["auto"] = "auto"
    """Threads of each: by default 1, with GPUs an equal part of the cores."""
    gpus_per_run: PositiveInt = 1
    """GPUs of each; over more than one the model is spread, layer by layer."""
    runs_per_gpu: PositiveInt | Literal["auto"] = 1
    """Processes on a GPU; "auto" begins with one, and takes as many as fit by what the first runs took of its
    memory."""

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if self.gpus_per_run > 1 and self.runs_per_gpu != 1:
            raise ValueError(
                f"runs_per_gpu must be 1 where a run has several GPUs, got {self.runs_per_gpu} with "
                f"gpus_per_run {self.gpus_per_run}."
            )
        return self

    def count(self) -> int:
        """Return the number of processes at first; 0 means the command's own."""
        assignments = self._assignments()
        groups = len({assignment.devices for assignment in assignments})
        return groups if self._grows(assignments) else len(assignments)

    def crowded(self) -> AbstractContextManager[None]:
        """Keep the other cores busy that will have a worker; nothing where those work on GPUs."""
        assignments = self._assignments()
        if not assignments or assignments[0].devices:
            return nullcontext()
        return company(min(len(assignments), available_cores()) - 1, assignments[0].threads)

    def room(self) -> Room | None:
        """Return the memory of the least free GPU, or of the machine, with the runs that have it together.

        Raises
        ------
        InputError
            If there are fewer GPUs than a worker is to have.
        """
        assignments = self._assignments()
        devices = [a.devices for a in assignments] or [visible_devices()[: self.gpus_per_run]]
        if devices[0] in ((), (METAL,)):  # which has no memory of its own
            return Room(False, machine_bytes(), len(devices))
        free = [free_bytes(group) for group in set(devices)]
        if None in free:
            return None
        each = 1 if self._grows(assignments) else max(map(devices.count, devices))
        return Room(True, min(found for found in free if found is not None), each)

    @contextmanager
    def open(self, worker: Worker[RunT], deaths: Deaths | None = None) -> Iterator[Executor[RunT]]:
        """Make the executor.

        Raises
        ------
        InputError
            If there are fewer GPUs than a worker is to have.
        """
        assignments = self._assignments()
        if not assignments:
            threads = 1 if self.threads == "auto" else self.threads
            yield InlineExecutor(worker, threads, spread=self.gpus_per_run > 1)
            return
        groups = len({assignment.devices for assignment in assignments})
        room = groups if self._grows(assignments) else None
        with local_workers(worker, assignments, deaths or Deaths(), room) as executor:
            yield executor

    def _grows(self, assignments: Sequence[Assignment]) -> bool:
        """Whether workers join when it is known what runs take."""
        automatic = self.runs_per_gpu == "auto" and self.workers == "auto"
        return automatic and bool(assignments) and bool(assignments[0].devices)

    def _assignments(self) -> list[Assignment]:
        return assign(
            visible_devices(),
            available_cores(),
            workers=self.workers,
            threads=self.threads,
            gpus_per_run=self.gpus_per_run,
            runs_per_gpu=self.runs_per_gpu,
        )


class RayConfig(ExecutorConfig):
    """Actors on a Ray cluster, whose machines need not share a file system."""

    address: Annotated[str, Field(min_length=1)] = "auto"
    """The cluster: "auto" for the one that this machine belongs to, ray://host:10001, host:6379, or "local"
    for one of this machine alone, which ends with the command."""
    workers: PositiveInt | Literal["auto"] = "auto"
    """Actors, by default as many as the cluster holds, more when nodes join; a number is asked for whether
    it holds them yet or not."""
    cpus_per_run: PositiveFloat = 1
    """Cores of each, and its threads."""
    gpus_per_run: Annotated[float, Field(ge=0)] | None = None
    """GPUs of each: a part of one (0.5), or whole ones; by default one where the cluster has any."""
    max_failures: NonNegativeInt = 2
    """How often a run is done again whose worker or node was lost, before it is recorded as failed."""

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        gpus = self.gpus_per_run
        if gpus is not None and gpus > 1 and gpus % 1:
            raise ValueError(f"gpus_per_run must be at most 1, or a whole number, got {gpus:g}.")
        return self

    def count(self) -> int:
        """Return the number of actors that the cluster holds now."""
        with connected(self.address) as ray:
            share = self._share(ray)
            return self._room(ray, share) if self.workers == "auto" else self.workers

    @contextmanager
    def open(self, worker: Worker[RunT], deaths: Deaths | None = None) -> Iterator[Executor[RunT]]:
        """Make the executor.

        Raises
        ------
        InputError
            If no cluster answers, it has no room for a run, or the precision was measured on another kind of
            device than runs go to.
        """
        with connected(self.address) as ray:
            from cotune.studies.engine._ray_host import home

            share = self._share(ray)
            if self.workers == "auto":
                self._room(ray, share)
            _check_precision(worker, share)
            executor = RayExecutor(
                ray,
                worker,
                share,
                home(max(1, int(self.cpus_per_run)), spread=share.gpus > 1),
                most=None if self.workers == "auto" else self.workers,
                max_failures=self.max_failures,
                deaths=deaths or Deaths(),
            )
            try:
                yield executor
            finally:
                executor.close()

    def _share(self, ray: Any) -> Share:
        gpus = self.gpus_per_run
        if gpus is None:
            gpus = 1.0 if ray.cluster_resources().get("GPU") else 0.0
        return Share(self.cpus_per_run, gpus)

    def _room(self, ray: Any, share: Share) -> int:
        room = share.fit(ray.nodes())
        if not room:
            raise InputError(
                f"executor: no node of the Ray cluster at {self.address!r} has {share} for a run; ask for "
                "less (cpus_per_run, gpus_per_run), or give a number of workers to wait for nodes that join."
            )
        return room


def _check_precision(worker: Worker[Any], share: Share) -> None:
    """Refuse a precision that was measured on a processor for runs that go to accelerators."""
    for options in vars(worker).values():
        measured = options.measured_on if isinstance(options, ModelConfig) else None
        if share.gpus and measured == "cpu":
            raise InputError(
                "precision: 'auto' is measured where the command is, which has no accelerator, and runs go "
                "to GPUs of a Ray cluster; give bf16 or fp32."
            )


EXECUTORS: Registry[ExecutorConfig] = Registry(
    ExecutorConfig,
    key="kind",
    classes={"local": LocalConfig, "ray": RayConfig},
    default="local",
)
"""The names a study file may write under ``executor.kind``."""


def available_cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
