"""Whether runs fit the memory that there is: said in a plan, refused where it cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cotune.exceptions import InputError
from cotune.findings.wording import size
from cotune.models import Encoder
from cotune.models.config import ModelConfig
from cotune.tasks import Task
from cotune.training.config import TrainingConfig
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.memory_plan import Longest, MemoryPlan, plan_memory
from cotune.training.methods import Method
from cotune.training.replay import OtherExamples

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_SMALL = 32
"""Of a checkpoint whose files fill less than this part of a run's memory, nothing needs to be counted."""


@dataclass(frozen=True, slots=True)
class Room:
    """Memory that runs have.

    Parameters
    ----------
    gpu : bool
        Whether it is that of a GPU, or of those that a run has; else the machine's.
    bytes : int
        What there is of it: of a GPU what is free.
    runs : int
        Runs that have it together.
    """

    gpu: bool
    bytes: int
    runs: int

    def is_ample(self, model: ModelConfig, base: Path) -> bool:
        """Whether a model's files are so small that nothing needs to be counted."""
        files = [file for file in model.files_read(base) if file.is_file()]
        held = sum(file.stat().st_size for file in files)
        return bool(files) and held * _SMALL * self.runs < self.bytes


class Trained(NamedTuple):
    """Something that a study trains."""

    method: Method
    training: TrainingConfig
    tasks: Sequence[Task]
    copies: int = 1
    others: Sequence[Task] = ()
    """Tasks whose training examples the method may put beside those of its own."""


def count_memory(
    model: ModelConfig, base: Path, encoder: Encoder, trained: Iterable[Trained], *, passes: bool
) -> MemoryPlan:
    """Count what the largest of some trainings takes; loads no weights.

    Parameters
    ----------
    model : ModelConfig
        The base.
    base : Path
        Folder that a relative model path starts from.
    encoder : Encoder
        Its tokenizer.
    trained : iterable of Trained
        The trainings, at least one.
    passes : bool
        Whether what passes take is counted as well.
    """
    from cotune.models.precision import default_device

    skeleton, precision = model.skeleton(base, encoder), model.resolved_precision(base)
    plans = []
    for method, training, tasks, copies, others in trained:
        names = [task.name for task in tasks]
        data = EncodedTasks(tasks, lambda: encoder, base=base, others=others)
        longest, beside = Longest(1, 1), None
        if passes:
            longest = Longest.of(encoded for name in names for encoded in data.encoded(name, "train"))
            beside = _beside(data, method, training)
        plans.append(
            plan_memory(
                skeleton,
                method,
                training,
                names,
                longest,
                precision=precision,
                device=default_device(),
                copies=copies,
                passes=passes,
                beside=beside,
            )
        )
    return max(plans, key=lambda plan: plan.total)


def _beside(data: EncodedTasks, method: Method, training: TrainingConfig) -> Longest | None:
    """Return the tokens of the longest example of other tasks that comes; of text the recipe tells them."""
    replay = method.beside or training.replay
    source = None if replay is None or replay.tasks is None else data.windows(replay)
    return Longest.one(source.longest) if isinstance(source, OtherExamples) else None


def check_memory(plan: MemoryPlan, room: Room | None) -> None:
    """Refuse runs that no size of a pass makes fit.

    Raises
    ------
    InputError
        If weights, what is trained and the optimiser alone take more than there is.
    """
    if room is None:
        return
    needed = room.runs * plan.fixed if room.gpu else plan.fixed
    if needed <= room.bytes:
        return
    several = f", {size(needed)} for the {room.runs} that share it" if needed > plan.fixed else ""
    has = f"a GPU has {size(room.bytes)} free" if room.gpu else f"this machine has {size(room.bytes)}"
    cures = ["a smaller precision (bf16, nf4)", "a method that trains less (lora)"]
    if room.gpu:
        cures += ["executor.runs_per_gpu: 1"] if several else ["more executor.gpus_per_run"]
    raise InputError(
        f"A run takes {size(plan.fixed)} of memory before its first pass ({_fixed_parts(plan)}){several}, "
        f"and {has}; take {', '.join(cures[:-1])} or {cures[-1]}."
    )


def said_of_memory(plan: MemoryPlan, room: Room | None) -> str:
    """Say what a run takes of a device, and what follows from what that has."""
    parts = _fixed_parts(plan)
    if plan.activations:
        parts += f", at most {size(plan.activations)} of passes of {plan.pass_tokens:,} tokens"
    whose = "memory" if room is not None and not room.gpu else "its device's memory"
    told = f"A run takes of {whose}, as counted from shapes: {parts}; {size(plan.total)} in all."
    if not plan.activations:
        told = f"{told[:-1]}, without what passes take, which this architecture's shapes do not tell."
    return " ".join([told, *shortage(plan, room)])


def shortage(plan: MemoryPlan, room: Room | None) -> list[str]:
    """Say what follows where runs do not fit as they are planned; nothing where they do, or nobody knows."""
    if room is None:
        return []
    if room.gpu:
        if room.runs * plan.total <= room.bytes:
            return []
        together = f", which {room.runs} runs share" if room.runs > 1 else ""
        return [
            f"A GPU has {size(room.bytes)} free{together}: passes will be taken in halves, unless "
            "training.pass_tokens is smaller."
        ]
    once = ", their weights once" if plan.mapped and room.runs > 1 else ""
    workers = f"{room.runs} workers" if room.runs > 1 else "One worker"
    told = (
        f"{workers}{once}: {size(plan.of(room.runs))} beside what libraries take, of {size(room.bytes)} here"
    )
    if plan.of(room.runs) <= room.bytes:
        return [f"{told}."] if plan.activations else []
    fit = max((n for n in range(1, room.runs) if plan.of(n) <= room.bytes), default=0)
    cure = (
        f"executor.workers: {fit} fits" if fit else "lower training.pass_tokens or take a smaller precision"
    )
    return [f"{told}, which is not enough: {cure}."]


def _fixed_parts(plan: MemoryPlan) -> str:
    parts = f"{size(plan.weights)} of weights, {size(plan.trained)} trained with their gradients"
    return f"{parts}, {size(plan.optimiser)} of the optimiser" if plan.optimiser else parts


def machine_bytes() -> int:
    """Return the memory of this machine, or of the container that this process is in."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in map(Path, _CGROUPS):
        try:
            found.append(int(file.read_text()))
        except (OSError, ValueError):  # none, or "max"
            continue
    return min(found)
