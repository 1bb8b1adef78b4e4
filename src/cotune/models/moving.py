"""Between the processor and a device, without one waiting for the other."""

from __future__ import annotations

from functools import lru_cache

import torch


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor of the processor to a device; what it was told to do before is not waited for.

    From ordinary memory a GPU would be waited for first. From pinned memory, on a stream of their own, a
    batch and the states it starts from are copied while the GPU is at the step before, since the processor
    is ahead of it; only what is told to the GPU afterwards waits for the copy.
    """
    if device.type != "cuda":
        return tensor.to(device)
    copies, computing = _copies(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(copies):
        there = tensor.pin_memory().to(device, non_blocking=True)
    computing.wait_stream(copies)
    # Its memory is the copies' own: without this it would be given to a later one while it is still read.
    there.record_stream(computing)
    return there


@lru_cache
def _copies(device: torch.device) -> torch.cuda.Stream:
    """Return the stream of a GPU that copies go through."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class Awaited:
    """Numbers on their way from a device: asked for while it is at work, read when it is at something else.

    Parameters
    ----------
    values : Tensor of shape (n,)
        What the device is going to give.
    """

    def __init__(self, values: torch.Tensor) -> None:
        self._values, self._arrival = values, None
        if values.device.type == "cuda":
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrival.record(torch.cuda.current_stream(values.device))

    def read(self) -> list[float]:
        """Return them, once they are there; what the device was given since then is not waited for."""
        if self._arrival is not None:
            self._arrival.synchronize()
        numbers: list[float] = self._values.tolist()
        return numbers
