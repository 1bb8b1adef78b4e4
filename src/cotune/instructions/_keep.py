"""Keeping the best instructions that differ."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cotune.instructions._types import ScoredInstruction


def alike(first: str, second: str) -> float:
    """Return the share of their words that two texts have in common (Jaccard), whatever case and order."""
    words, others = (set(re.findall(r"\w+", text.lower())) for text in (first, second))
    return len(words & others) / len(words | others) if words | others else 1.0


def keep(candidates: Iterable[ScoredInstruction], n: int, *, most_alike: float) -> list[ScoredInstruction]:
    """Keep the best instructions, none of which is too much like a better one.

    Parameters
    ----------
    candidates : iterable of ScoredInstruction
        Those that are no better than no instruction are left out, unless they were given.
    n : int
        The most kept.
    most_alike : float
        Share of common words up to which two differ.

    Returns
    -------
    list of ScoredInstruction
        The best first.
    """
    kept: list[ScoredInstruction] = []
    for candidate in sorted(candidates, key=lambda c: (-c.score, c.instruction)):
        useful = candidate.gain > 0 or candidate.source == "given"
        if useful and all(alike(candidate.instruction, k.instruction) <= most_alike for k in kept):
            kept.append(candidate)
        if len(kept) == n:
            break
    return kept
