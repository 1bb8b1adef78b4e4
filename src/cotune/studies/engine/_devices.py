"""Which worker has which devices and how many cores: found without loading torch, told by the environment."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from cotune.exceptions import InputError

VISIBLE = "CUDA_VISIBLE_DEVICES"
METAL = "mps"
"""The name that Apple's GPU goes by."""
_MOST_ON_A_GPU = 8
"""More runs than these side by side on one GPU wait for one another's kernels."""
_SPARE = 0.9
"""Part of a GPU's memory that is filled by plan; the rest is for what fragments and differs between runs."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker has for itself.

    Parameters
    ----------
    devices : tuple of str
        As ``CUDA_VISIBLE_DEVICES`` names them: places, UUIDs, or MIG instances; empty for the processor.
    threads : int
        Of numerical libraries.
    """

    devices: tuple[str, ...]
    threads: int

    @property
    def environment(self) -> dict[str, str]:
        """What has to be set before the worker loads anything; nothing where there is no GPU to choose."""
        if not self.devices or self.devices == (METAL,):
            return {}
        return {VISIBLE: ",".join(self.devices)}


def visible_devices(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the names of the GPUs that this process may use, as workers have to be told them.

    What ``CUDA_VISIBLE_DEVICES`` says is taken as it is; without it, the driver's tool is asked, for UUIDs:
    its order of places is not that of CUDA.
    """
    if VISIBLE in environ:
        return _listed(environ[VISIBLE])
    if _torch_is_for_processors():
        return ()
    if platform.system() == "Darwin":
        return (METAL,) if platform.machine() == "arm64" else ()
    if shutil.which("nvidia-smi"):
        return parse_listing(_ask("nvidia-smi", "-L"))
    if os.path.exists("/dev/kfd"):  # AMD's, whose places torch alone counts
        import torch

        return tuple(map(str, range(torch.cuda.device_count())))
    return ()


def _listed(value: str) -> tuple[str, ...]:
    """Read the variable as CUDA does: what is no device hides all that follows."""
    found: list[str] = []
    for name in (part.strip() for part in value.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", name) or name in found:
            break
        found.append(name)
    return tuple(found)


def parse_listing(text: str) -> tuple[str, ...]:
    """Return the devices that ``nvidia-smi -L`` lists; of a GPU that is split, its instances."""
    found: list[str] = []
    whole: str | None = None
    for line in text.splitlines():
        uuid = re.search(r"UUID: ((?:GPU|MIG)-[\w/-]+)", line)
        if uuid is None:
            continue
        if uuid[1].startswith("GPU-"):
            whole = uuid[1]
            found.append(whole)
            continue
        if whole in found:
            found.remove(whole)
        found.append(uuid[1])
    return tuple(found)


def assign(
    devices: Sequence[str],
    cores: int,
    *,
    workers: int | Literal["auto"],
    threads: int | Literal["auto"],
    gpus_per_run: int = 1,
    runs_per_gpu: int | Literal["auto"] = 1,
) -> list[Assignment]:
    """Share devices and cores out among workers.

    Parameters
    ----------
    devices : sequence of str
        From :func:`visible_devices`.
    cores : int
        How many there are.
    workers : int or "auto"
        Without GPUs one a core; with, as many as the GPUs hold, of which a number takes the first, spread.
    threads : int or "auto"
        Of each: with GPUs an equal part of the cores, else 1.
    gpus_per_run : int
        GPUs of a worker.
    runs_per_gpu : int or "auto"
        Workers on a GPU; ``"auto"`` assigns all that there may be, see :func:`fitting`.

    Raises
    ------
    InputError
        If there are fewer GPUs than a worker is to have.
    """
    if not devices:
        if gpus_per_run > 1:
            raise InputError(
                f"executor.gpus_per_run: {gpus_per_run} GPUs are asked for, and none is visible."
            )
        n = cores if workers == "auto" else workers
        return [Assignment((), 1 if threads == "auto" else threads)] * n
    groups = [
        tuple(devices[at : at + gpus_per_run])
        for at in range(0, len(devices) - gpus_per_run + 1, gpus_per_run)
    ]
    if not groups:
        raise InputError(
            f"executor.gpus_per_run: {gpus_per_run} GPUs were asked for, and {len(devices)} visible: "
            f"{', '.join(devices)}."
        )
    on_each = min(_MOST_ON_A_GPU, max(cores // len(groups), 1)) if runs_per_gpu == "auto" else runs_per_gpu
    n = len(groups) * on_each if workers == "auto" else workers
    each = max(1, cores // max(n, 1)) if threads == "auto" else threads
    return [Assignment(groups[at % len(groups)], each) for at in range(n)]


def fitting(peak: int, total: int) -> int:
    """Return how many runs fit side by side on a GPU of so many bytes, one of which took ``peak`` at most."""
    if peak <= 0 or total <= 0:
        return 1
    return max(1, min(_MOST_ON_A_GPU, int(_SPARE * total / peak)))


def free_bytes(devices: Sequence[str]) -> int | None:
    """Return the memory that is free on some GPUs together; None where the driver does not say it of each.

    Parameters
    ----------
    devices : sequence of str
        From :func:`visible_devices`.
    """
    if not devices or not shutil.which("nvidia-smi"):
        return None
    known = parse_memory(
        _ask("nvidia-smi", "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits")
    )
    found = [known.get(device) for device in devices]
    # Instances of a GPU that is split stand in no line of their own.
    return None if None in found else sum(each for each in found if each is not None)


def parse_memory(text: str) -> dict[str, int]:
    """Return the free bytes of GPUs by place and by UUID, from lines of place, UUID and mebibytes."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 3 and parts[2].isdigit():
            found |= dict.fromkeys(parts[:2], int(parts[2]) << 20)
    return found


def _torch_is_for_processors() -> bool:
    """Whether torch, as it is installed, cannot use a GPU that is there."""
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return True


def _ask(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
