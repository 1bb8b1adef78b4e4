from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Literal

from cotune.exceptions import InputError
from cotune.tasks.metrics import accuracy


def label_share(
    answers: Sequence[str], labels: Sequence[str], *, match: Literal["whole", "start"] = "whole"
) -> float:
    """Return the share of answers that belong to a label set, whatever the task asked for (paper, Fig. 2).

    Parameters
    ----------
    answers : sequence of str
        Post-processed outputs of a model on any task.
    labels : sequence of str
        The label set of the task it was tuned on, such as "True" and "False".
    match : {"whole", "start"}
        Whether the whole answer has to be a label, up to case and spaces, which is how the paper counts
        outputs; or its first words, up to punctuation too, which is how the paper reads the answers of a
        classification task (appendix A.1) and counts "True story" as well.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    InputError
        If there are no answers or no labels.

    Examples
    --------
    >>> label_share(["True", " false", "Paris"], ["True", "False"])
    0.6666666666666666
    """
    if not answers or not labels:
        raise InputError(
            f"A share of labels needs answers and labels, got {len(answers)} of the one and {len(labels)} "
            "of the other."
        )
    belongs = accuracy if match == "whole" else _starts
    return sum(belongs(answer, labels) for answer in answers) / len(answers)


def _starts(answer: str, labels: Sequence[str]) -> float:
    words = _words(answer)
    return float(any(words[: len(label)] == label for label in map(_words, labels)))


def _words(text: str) -> list[str]:
    return [word.strip(string.punctuation) for word in text.casefold().split()]
