from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return the end of an error sentence that names the valid name nearest to ``name``."""
    nearest = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.0)
    return f"did you mean '{nearest[0]}'?" if nearest else "there is none to choose from."
