"""What a device has no memory for is done in smaller parts, with the same result up to rounding, and said."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from cotune.exceptions import RunError

if TYPE_CHECKING:
    from cotune.models._frozen import FrozenModel
    from cotune.models.encoding import Encoded

T = TypeVar("T")

_limits: dict[tuple[str, str], int] = {}
"""By device and kind of work the tokens that a pass held when it fitted, once one did not."""
_told: ContextVar[list[str] | None] = ContextVar("told", default=None)


@contextmanager
def telling() -> Iterator[list[str]]:
    """Collect what is said within the block of how its work was done."""
    told: list[str] = []
    token = _told.set(told)
    try:
        yield told
    finally:
        _told.reset(token)


def tell(sentence: str) -> bool:
    """Say a sentence of how work is done, once; return whether anybody listens (:func:`telling`)."""
    told = _told.get()
    if told is not None and sentence not in told:
        told.append(sentence)
    return told is not None


def room(device: str, what: str, tokens: int) -> int:
    """Return the tokens that a pass may hold: those asked for, or fewer once these did not fit."""
    return min(tokens, _limits.get((device, what), tokens))


def in_parts(
    model: FrozenModel,
    examples: Sequence[Encoded],
    tokens: int,
    attempt: Callable[[int], T],
    *,
    what: str,
    forget: Callable[[], object] = lambda: None,
) -> T:
    """Do a work on examples in passes of so many tokens; each time that memory runs out, of half as many.

    Parameters
    ----------
    model : FrozenModel
        Does it.
    examples : sequence of Encoded
        What it is done on.
    tokens : int
        About how many tokens a pass holds.
    attempt : callable
        Does the work from its beginning, in passes of the tokens it is given.
    what : str
        The work, such as "training"; later ones of the kind begin with what fitted.
    forget : callable
        Undoes what was done of an attempt.

    Raises
    ------
    RunError
        If a pass of one example does not fit.
    """
    import torch

    device = model.device.type
    while True:
        held = room(device, what, tokens)
        try:
            return attempt(held)
        except torch.OutOfMemoryError:
            pass  # what the traceback holds is let go of first
        forget()
        if device == "cuda":
            torch.cuda.empty_cache()
        _limits[device, what] = _half(model, examples, held, what)


def _half(model: FrozenModel, examples: Sequence[Encoded], held: int, what: str) -> int:
    longest = max(map(len, examples))
    if all(len(chunk) == 1 for chunk in model.chunks(examples, held)):
        raise RunError(
            f"The device ran out of memory in a pass of {what} of one example ({longest:,} tokens at most); "
            "lower max_prompt_tokens or max_target_tokens, or take a smaller model or precision."
        )
    # A pass that was not full did not hold what it might have.
    half = max(min(held, sum(map(len, examples))) // 2, 1)
    sentence = f"Memory ran out in a pass of {what}; they hold {half:,} tokens from here on, to the same end."
    if not tell(sentence):
        warnings.warn(sentence, RuntimeWarning, stacklevel=2)
    return half
