from __future__ import annotations

from collections.abc import Sequence

from cotune.exceptions import InputError
from cotune.tasks.metrics import accuracy


def label_share(answers: Sequence[str], labels: Sequence[str]) -> float:
    """Return the share of answers that belong to a label set, whatever the task asked for (paper, Fig. 2).

    Parameters
    ----------
    answers : sequence of str
        Post-processed outputs of a model on any task. One belongs if all of it is a label, up to case and
        spaces: the paper counts "the outputs which are 'True' or 'False'".
    labels : sequence of str
        The label set of the task the model was tuned on, such as "True" and "False".

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
    """
    if not answers or not labels:
        raise InputError(
            f"A share of labels needs answers and labels, got {len(answers)} of the one and {len(labels)} "
            "of the other."
        )
    return sum(accuracy(answer, labels) for answer in answers) / len(answers)
