"""Metrics: how good one prediction is, and which way is better."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import zip_longest
from typing import Any, Literal

from cotune.exceptions import InputError
from cotune.tasks._names import suggest

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class Metric:
    """A score of one prediction, with its direction and what it has to be given.

    Parameters
    ----------
    name : str
        The key in :data:`METRICS`.
    higher_is_better : bool
        The direction.
    needs : {"text", "likelihood"}
        What the model has to produce: an answer, or the log-probabilities of the first target's tokens.
    score : callable (prediction, targets) -> float
        The value of one example. Where ``needs`` is ``"text"``, ``prediction`` is a str and the value is in
        [0, 1], the best over the targets. Where it is ``"likelihood"``, ``prediction`` is the sequence of
        log-probabilities (nats) of the tokens of the first target.
    corpus : callable (predictions, targets) -> float, optional
        The value of a whole set of examples in the same units, of metrics for which it is not the mean.
    """

    name: str
    higher_is_better: bool
    needs: Literal["text", "likelihood"]
    score: Callable[[Any, Sequence[str]], float]
    corpus: Callable[[Sequence[str], Sequence[Sequence[str]]], float] | None = None


def get_metric(name: str) -> Metric:
    """Return the metric of a name.

    Raises
    ------
    InputError
        If there is no such metric; names the nearest one.
    """
    try:
        return METRICS[name]
    except KeyError:
        raise InputError(f"'{name}' is not a metric; {suggest(name, METRICS)}") from None


def normalize_answer(text: str) -> str:
    """Lower the case, remove punctuation and English articles, and collapse spaces.

    The normalisation of SQuAD's official evaluation script (Rajpurkar et al., 2016).
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def accuracy(prediction: str, targets: Sequence[str]) -> float:
    """Return 1 if the prediction is one of the targets, up to case and spaces.

    Articles and punctuation count, unlike in :func:`exact_match`: answers such as "A" or "?" are choices too.
    """
    chosen = _fold(prediction)
    return float(any(chosen == _fold(target) for target in targets))


def exact_match(prediction: str, targets: Sequence[str]) -> float:
    """Return 1 if the prediction equals a target after SQuAD's normalisation."""
    answer = normalize_answer(prediction)
    return float(any(answer == normalize_answer(target) for target in targets))


def token_f1(prediction: str, targets: Sequence[str]) -> float:
    """Return the F1 of the bags of tokens after SQuAD's normalisation, the best over the targets.

    Where one side has no tokens the value is 1 if the other has none either (SQuAD 2.0).
    """
    return max(_token_f1(prediction, target) for target in targets)


def rouge(prediction: str, targets: Sequence[str], *, kind: str) -> float:
    """Return the ROUGE F-measure with Porter stemming, the best over the targets.

    The setting of Super-NaturalInstructions (Wang et al., 2022). The tokens are runs of ASCII letters and
    digits, so a text in another script scores 0.

    Parameters
    ----------
    prediction : str
        The answer of the model.
    targets : sequence of str
        The acceptable outputs.
    kind : {"rouge1", "rouge2", "rougeL"}
        The name in the package ``rouge_score``.
    """
    scores = _rouge_scorer(kind).score_multi(targets, prediction)
    return float(scores[kind].fmeasure)


def sentence_bleu(prediction: str, targets: Sequence[str]) -> float:
    """Return sacreBLEU's sentence BLEU over 100, against all targets at once.

    Exponential smoothing, and only the n-gram orders that the prediction is long enough for.
    """
    return _unit(_bleu(effective_order=True).sentence_score(prediction, list(targets)).score)


def corpus_bleu(predictions: Sequence[str], targets: Sequence[Sequence[str]]) -> float:
    """Return sacreBLEU's corpus BLEU over 100; examples may differ in their number of targets."""
    references = [list(stream) for stream in zip_longest(*targets)]
    return _unit(_bleu(effective_order=False).corpus_score(list(predictions), references).score)


def negative_log_likelihood(log_probabilities: Sequence[float], targets: Sequence[str]) -> float:
    """Return the mean negative log-likelihood of the target's tokens, in nats a token."""
    return -sum(log_probabilities) / len(log_probabilities)


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())


def _token_f1(prediction: str, target: str) -> float:
    predicted, expected = normalize_answer(prediction).split(), normalize_answer(target).split()
    if not predicted or not expected:
        return float(predicted == expected)
    shared = (Counter(predicted) & Counter(expected)).total()
    return 2 * shared / (len(predicted) + len(expected))


def _unit(percent: float) -> float:
    return min(percent / 100, 1.0)  # sacreBLEU's geometric mean overshoots 100 by a rounding error


@cache
def _rouge_scorer(kind: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], use_stemmer=True)


@cache
def _bleu(*, effective_order: bool) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(effective_order=effective_order)


METRICS: dict[str, Metric] = {
    "accuracy": Metric("accuracy", True, "text", accuracy),
    "exact_match": Metric("exact_match", True, "text", exact_match),
    "token_f1": Metric("token_f1", True, "text", token_f1),
    "rouge_1": Metric("rouge_1", True, "text", partial(rouge, kind="rouge1")),
    "rouge_2": Metric("rouge_2", True, "text", partial(rouge, kind="rouge2")),
    "rouge_l": Metric("rouge_l", True, "text", partial(rouge, kind="rougeL")),
    "bleu": Metric("bleu", True, "text", sentence_bleu, corpus=corpus_bleu),
    "nll": Metric("nll", False, "likelihood", negative_log_likelihood),
}
"""Every metric by its name."""
