"""From what was written to what is scored (ProMoT, appendix A.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from cotune.tasks import Example, cut_answer


def match_choice(text: str, choices: Sequence[str]) -> str | None:
    """Return the choice that a text begins with, up to case, spaces and opening punctuation.

    The paper checks "whether the first output token is True or False"; here it is the first words, so that
    choices of several words or tokens are told apart. Where one choice begins another, the longer one counts.

    Parameters
    ----------
    text : str
        What the model wrote.
    choices : sequence of str
        The closed set of answers.

    Returns
    -------
    str or None
        None where the text begins with none of them; "Falsehood" does not begin with "False".

    Examples
    --------
    >>> match_choice('"true", because it says so.', ["True", "False"])
    'True'
    """
    begun = [choice for choice in choices if _beginning(choice).match(text)]
    return max(begun, key=len, default=None)


def extract_answer(text: str, stops: Sequence[str], example: Example) -> str:
    """Return what of a generated text is scored: cut at the first stop; the choice it begins with."""
    answer = cut_answer(text, stops)
    return match_choice(answer, example.choices) or answer


@cache
def _beginning(choice: str) -> re.Pattern[str]:
    words = r"\s+".join(map(re.escape, choice.split()))
    # Punctuation before the answer is skipped unless the choice itself opens with it.
    opening = r"[\W_]*" if choice[:1].isalnum() else r"\s*"
    closing = r"(?!\w)" if choice[-1:].isalnum() else ""
    return re.compile(opening + words + closing, re.IGNORECASE)
