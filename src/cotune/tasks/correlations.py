"""Metrics of a whole set of answers that are correlations: Pearson's, and Matthews'.

A correlation is no mean over examples, so that what an example adds to it is its jackknife pseudo-value: n
times the value of all less n - 1 times that of all others, moved so that their mean is the value. Margins
over examples are then those of the jackknife (Tukey 1958).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from cotune.exceptions import InputError
from cotune.tasks.scripts import fold

Pair = TypeVar("Pair")

_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?")


def same_value(prediction: str, targets: Sequence[str]) -> float:
    """Return 1 if the prediction is one of the targets, as a text or as a number."""
    if any(fold(prediction) == fold(target) for target in targets):
        return 1.0
    number = number_of(prediction)
    return float(number is not None and any(number == number_of(target) for target in targets))


def number_of(text: str) -> float | None:
    """Return the first number in a text; None where there is none."""
    found = _NUMBER.search(text)
    return None if found is None else float(found[0].replace(",", "."))


def corpus_pearson(predictions: Sequence[str], targets: Sequence[Sequence[str]]) -> float:
    """Return Pearson's correlation of the numbers answered with the first targets.

    An answer without a number counts as the lowest target. Where all answers or all targets are the same the
    correlation is unknown and counts as 0.

    Raises
    ------
    InputError
        If a target is no number.
    """
    return _pearson(_numbers(predictions, targets))


def pearson_parts(predictions: Sequence[str], targets: Sequence[Sequence[str]]) -> list[float]:
    """Return what every example adds to :func:`corpus_pearson`."""
    return _pseudo_values(_numbers(predictions, targets), _pearson)


def corpus_matthews(predictions: Sequence[str], targets: Sequence[Sequence[str]]) -> float:
    """Return Matthews' correlation of the answers with the targets, as two or more classes (Gorodkin 2004).

    Of several targets the one that was answered counts, else the first; an answer that is none of the classes
    is one of its own. Where all answers or all targets are the same the correlation counts as 0.
    """
    return _matthews(_classes(predictions, targets))


def matthews_parts(predictions: Sequence[str], targets: Sequence[Sequence[str]]) -> list[float]:
    """Return what every example adds to :func:`corpus_matthews`."""
    return _pseudo_values(_classes(predictions, targets), _matthews)


def _numbers(predictions: Sequence[str], targets: Sequence[Sequence[str]]) -> list[tuple[float, float]]:
    true = [number_of(acceptable[0]) for acceptable in targets]
    for number, acceptable in zip(true, targets, strict=True):
        if number is None:
            raise InputError(
                f"The metric pearson needs targets that are numbers, got {acceptable[0][:60]!r}."
            )
    known = [number for number in true if number is not None]
    lowest = min(known, default=0.0)
    answered = [number_of(prediction) for prediction in predictions]
    return [(lowest if a is None else a, t) for a, t in zip(answered, known, strict=True)]


def _classes(predictions: Sequence[str], targets: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    known = {fold(target) for acceptable in targets for target in acceptable}
    pairs = []
    for prediction, acceptable in zip(map(fold, predictions), targets, strict=True):
        folded = [fold(target) for target in acceptable]
        true = prediction if prediction in folded else folded[0]
        pairs.append((prediction if prediction in known else "\0none of them", true))
    return pairs


def _pearson(pairs: Sequence[tuple[float, float]]) -> float:
    from scipy.stats import pearsonr  # slow to import

    answered, true = [a for a, _ in pairs], [t for _, t in pairs]
    if len(set(answered)) < 2 or len(set(true)) < 2:
        return 0.0
    value = float(pearsonr(answered, true).statistic)
    return min(max(value, -1.0), 1.0) if math.isfinite(value) else 0.0


def _matthews(pairs: Sequence[tuple[str, str]]) -> float:
    from sklearn.metrics import matthews_corrcoef  # slow to import

    answered, true = [a for a, _ in pairs], [t for _, t in pairs]
    if len(set(answered)) < 2 or len(set(true)) < 2:
        return 0.0
    return float(matthews_corrcoef(true, answered))


def _pseudo_values(pairs: Sequence[Pair], correlation: Callable[[Sequence[Pair]], float]) -> list[float]:
    whole, n = correlation(pairs), len(pairs)
    if n < 2:
        return [whole] * n
    without = {  # examples that are alike leave the same behind
        pair: correlation([*pairs[: (at := pairs.index(pair))], *pairs[at + 1 :]])
        for pair in dict.fromkeys(pairs)
    }
    values = [n * whole - (n - 1) * without[pair] for pair in pairs]
    shift = whole - sum(values) / n
    return [value + shift for value in values]
