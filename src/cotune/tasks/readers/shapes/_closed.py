"""Classification told from the targets: few different ones, each repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from cotune.tasks._task import Example

MOST = 20
"""The most different targets that are taken for a closed set of answers."""

_MOST_NUMBERS = 11
_EACH = 5
_LONGEST = 60


def closed_set(splits: Mapping[str, Sequence[Example]]) -> tuple[str, ...]:
    """Return the closed set of answers of a task, empty if it is free text.

    It is closed if every example has one target, of one line and at most 60 letters; there are 2 to 20
    different ones, each at least twice and five times on average; those of held-out splits are in training
    too; and, if all are whole numbers, they are at most eleven from -1, 0 or 1 on without a gap.

    Parameters
    ----------
    splits : mapping of str to sequence of Example
        The examples of each split.

    Returns
    -------
    tuple of str
        Numbers in their order, other answers in that of the alphabet.
    """
    examples = [example for split in splits.values() for example in split]
    counts = Counter(example.targets[0] for example in examples)
    if not 2 <= len(counts) <= MOST or any(len(example.targets) > 1 for example in examples):
        return ()
    if min(counts.values()) < 2 or len(examples) < _EACH * len(counts):
        return ()
    if any(len(target) > _LONGEST or "\n" in target for target in counts):
        return ()
    trained = {example.targets[0] for example in splits.get("train", examples)}
    if set(counts) - trained:
        return ()
    if not all(map(_is_whole, counts)):
        return tuple(sorted(counts))
    numbers = sorted(map(int, counts))
    # Answers to sums and counts are numbers too; labels and ratings begin at the bottom and leave none out.
    labels = [*range(numbers[0], numbers[0] + len(numbers))]
    return tuple(sorted(counts, key=int)) if numbers == labels and _rates(numbers) else ()


def _rates(numbers: Sequence[int]) -> bool:
    return numbers[0] in (-1, 0, 1) and len(numbers) <= _MOST_NUMBERS


def are_numbers(answers: Sequence[str]) -> bool:
    """Return whether answers are bare numbers, which say nothing of what they stand for."""
    return bool(answers) and all(map(_is_whole, answers))


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 10
