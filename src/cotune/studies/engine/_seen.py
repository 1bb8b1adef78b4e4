from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def seen(examples: Mapping[str, int], replay_losses: Sequence[float | None]) -> dict[str, Any]:
    """Return what a record says of the data a run saw, and nothing of what there was none of.

    Parameters
    ----------
    examples : mapping of str to int
        Training examples by task, repetitions counted; empty of a learner that does not count them.
    replay_losses : sequence of float or None
        By step, the loss of the text replayed; None in a step without.
    """
    found: dict[str, Any] = {"instructions": dict(examples)} if examples else {}
    if any(loss is not None for loss in replay_losses):
        found["replay_losses"] = list(replay_losses)
    return found
