from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from cotune.exceptions import InputError
from cotune.tasks.metrics import accuracy


def label_share(
    answers: Sequence[str], labels: Sequence[str], by: Literal["answer", "first_word"] = "answer"
) -> float:
    """Return the share of answers that belong to a label set, whatever the task asked for (paper, Fig. 2).

    Parameters
    ----------
    answers : sequence of str
        Post-processed outputs of a model on any task.
    labels : sequence of str
        The label set of the task the model was tuned on, such as "True" and "False".
    by : {"answer", "first_word"}
        Whether all of an answer has to be a label, up to case and spaces: the paper counts "the outputs which
        are 'True' or 'False'". Or whether it begins with one, which is how its post-processing reads classes
        ("whether the first output token is True or False"): a model that has collapsed into the format of its
        task may write on after the label, and only this tells.

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
    >>> label_share(["True", " false", "Paris", "True story"], ["True", "False"])
    0.5
    >>> label_share(["True", " false", "Paris", "True story"], ["True", "False"], by="first_word")
    0.75
    """
    if not answers or not labels:
        raise InputError(
            f"A share of labels needs answers and labels, got {len(answers)} of the one and {len(labels)} "
            "of the other."
        )
    if by == "first_word":
        from cotune.answering import match_choice

        return sum(match_choice(answer, labels) is not None for answer in answers) / len(answers)
    return sum(accuracy(answer, labels) for answer in answers) / len(answers)
