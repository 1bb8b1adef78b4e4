"""Between the processor and a device, without one waiting for the other."""

from __future__ import annotations

import torch


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor of the processor to a device; from ordinary memory a GPU would be waited for first."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


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
