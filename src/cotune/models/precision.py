"""Where a model computes, and in which type of numbers: what is faster there, by trying.

What a processor claims says little: bf16 instructions without matrix tiles are slower than float32 on some
(84 against 151 GFLOP/s), twice as fast on others, and emulated ones five times slower.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cotune._json import parse_json

if TYPE_CHECKING:
    import torch

Precision: TypeAlias = Literal["auto", "fp32", "bf16", "int8", "nf4"]
Number: TypeAlias = Literal["fp32", "bf16", "int8", "nf4"]

_MARGIN = 1.05
"""bf16 has to be so many times as fast: where it gains nothing it costs digits."""

_TOKENS, _WIDEST = 128, (768, 2048)
"""A pass that fills the caches as a longer and wider one does, in milliseconds."""


@dataclass(frozen=True, slots=True)
class ChosenPrecision:
    """A type of numbers, and why.

    Parameters
    ----------
    precision : {"fp32", "bf16"}
        The type of the frozen weights.
    device : str
        Where they are.
    speed : float, optional
        How many times as fast as fp32 bf16 was, where that was measured.
    """

    precision: Number
    device: str
    speed: float | None = None

    def __str__(self) -> str:
        """Return type and reason, for plans and reports."""
        if self.speed is not None:
            return f"{self.precision}: bf16 measured {self.speed:.2g} times as fast as fp32"
        native = "native" if self.precision == "bf16" else "not native"
        return f"{self.precision}: bf16 is {native} to the accelerator"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> ChosenPrecision | None:
        """Return what :meth:`to_dict` gave; None for anything else."""
        if not isinstance(data, Mapping) or data.get("precision") not in ("fp32", "bf16"):
            return None
        speed = data.get("speed")
        return cls(data["precision"], str(data.get("device")), None if speed is None else float(speed))


_spread = False


def spread_over_devices(spread: bool) -> None:
    """Say whether models loaded in this process lie on all GPUs that it sees; by default on the first."""
    global _spread
    _spread = spread


def spreads() -> bool:
    """Whether a model is to lie on several GPUs."""
    import torch

    return _spread and torch.cuda.device_count() > 1


def default_device() -> str:
    """Return the accelerator's name if there is one (``"cuda"``, ``"mps"``), else ``"cpu"``."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_precision(
    precision: Precision, device: str | None = None, *, shape: tuple[int, int] | None = None
) -> Number:
    """Return the type of numbers that a precision stands for; see :func:`choose_precision`."""
    return precision if precision != "auto" else choose_precision(device, shape=shape).precision


def choose_precision(device: str | None = None, *, shape: tuple[int, int] | None = None) -> ChosenPrecision:
    """Choose bfloat16 where it is faster, float32 elsewhere.

    Parameters
    ----------
    device : str, optional
        By default the accelerator if there is one. An accelerator is asked; on a processor both are tried,
        once for a process.
    shape : tuple of int, optional
        Widths of the model's states and of the layers between them, from :func:`layer_shape`.
    """
    import torch

    device = device or default_device()
    if device.startswith("cuda"):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return ChosenPrecision("bf16" if native else "fp32", device)
    if device.startswith("mps"):
        return ChosenPrecision("fp32", device)
    width, inner = (min(pair) for pair in zip(shape or _WIDEST, _WIDEST, strict=True))
    speed = _measured_speed(device, max(width, 1), max(inner, 1))
    return ChosenPrecision("bf16" if speed > _MARGIN else "fp32", device, round(speed, 3))


@cache
def _measured_speed(device: str, width: int, inner: int) -> float:
    """Return how many times as fast as in float32 a frozen linear layer is in bfloat16.

    Forward and backward, which multiplies by the other side of the weight. The types take turns, so that
    whatever else the machine does slows both; the best time of each counts. What is clear ends early.
    """
    import torch

    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    layers = {dtype: _layer(device, width, inner, dtype) for dtype in best}
    begin = time.perf_counter()
    with torch.inference_mode():
        for round_ in range(8):
            for dtype, (states, weight, gradient) in layers.items():
                start = time.perf_counter()
                torch.nn.functional.linear(states, weight)
                torch.mm(gradient, weight)
                best[dtype] = min(best[dtype], time.perf_counter() - start)
            speed = best[torch.float32] / best[torch.bfloat16]
            # The first round also pays for making the kernels.
            if round_ and time.perf_counter() - begin > 0.03 and not 0.6 < speed < 1.6:
                break
    return speed


def _layer(device: str, width: int, inner: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    import torch

    # Filled, not drawn: the generator belongs to the runs.
    sizes = ((_TOKENS, width), (inner, width), (_TOKENS, inner))
    return tuple(torch.full(size, 0.5, dtype=dtype, device=device) for size in sizes)


def layer_shape(model: Path | str, revision: str | None = None) -> tuple[int, int] | None:
    """Read from a checkpoint's configuration how wide its states and the layers between them are.

    None where it does not say that in words that are known here, or is not at hand.
    """
    config: Mapping[str, Any] = {}
    with suppress(OSError, ValueError, TypeError, AttributeError, StopIteration):
        if isinstance(model, Path):
            config = parse_json((model / "config.json").read_text(encoding="utf-8"))
        else:
            from transformers import PretrainedConfig

            config, _ = PretrainedConfig.get_config_dict(model, revision=revision or "main")
        config = config.get("text_config") or config
        width = next(config[key] for key in ("hidden_size", "d_model", "n_embd") if config.get(key))
        keys = ("intermediate_size", "d_ff", "ffn_dim", "encoder_ffn_dim", "n_inner")
        inner = next((config[key] for key in keys if isinstance(config.get(key), int)), 4 * width)
        return int(width), int(inner)
    return None
