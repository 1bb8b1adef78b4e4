"""Metrics: how good one prediction is, and which way is better."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import zip_longest
from typing import Any, Literal

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.tasks._names import suggest
from cotune.tasks.correlations import (
    corpus_matthews,
    corpus_pearson,
    matthews_parts,
    pearson_parts,
    same_value,
)
from cotune.tasks.scripts import RougeTokenizer, bleu_tokenizer, fold, normalize_answer, words


@dataclass(frozen=True, slots=True)
class Metric(Brief):
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
    parts : callable (predictions, targets) -> list of float, optional
        What every example of a whole set adds to its value, so that the value is their mean, where ``score``
        of an example alone says nothing of it.
    """

    name: str
    higher_is_better: bool
    needs: Literal["text", "likelihood"]
    score: Callable[[Any, Sequence[str]], float]
    corpus: Callable[[Sequence[str], Sequence[Sequence[str]]], float] | None = None
    parts: Callable[[Sequence[str], Sequence[Sequence[str]]], list[float]] | None = None


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


def accuracy(prediction: str, targets: Sequence[str]) -> float:
    """Return 1 if the prediction is one of the targets, up to case, spaces and the forms of a character.

    See :func:`cotune.tasks.scripts.fold`. Articles and punctuation count, unlike in :func:`exact_match`: "A"
    and "?" are answers too.
    """
    chosen = fold(prediction)
    return float(any(chosen == fold(target) for target in targets))


def exact_match(prediction: str, targets: Sequence[str]) -> float:
    """Return 1 if the prediction equals a target after SQuAD's normalisation.

    See :func:`cotune.tasks.scripts.normalize_answer`.
    """
    answer = normalize_answer(prediction)
    return float(any(answer == normalize_answer(target) for target in targets))


def token_f1(prediction: str, targets: Sequence[str]) -> float:
    """Return the F1 of the bags of words after SQuAD's normalisation, the best over the targets.

    Every character of a script without spaces is a word. Where one side has no words the value is 1 if the
    other has none either (SQuAD 2.0).
    """
    return max(_token_f1(prediction, target) for target in targets)


def rouge(prediction: str, targets: Sequence[str], *, kind: str) -> float:
    """Return the ROUGE F-measure with Porter stemming, the best over the targets.

    The setting of Super-NaturalInstructions (Wang et al., 2022), with words in any script; see
    :class:`cotune.tasks.scripts.RougeTokenizer`. The same words score 1, also where they are too few for the
    n-grams that are counted.

    Parameters
    ----------
    prediction : str
        The answer of the model.
    targets : sequence of str
        The acceptable outputs.
    kind : {"rouge1", "rouge2", "rougeL"}
        The name in the package ``rouge_score``.
    """
    if prediction in targets:
        return 1.0
    value = float(_rouge_scorer(kind).score_multi(targets, prediction)[kind].fmeasure)
    if value:
        return value
    tokenize = _rouge_tokenizer().tokenize
    found = tokenize(prediction)
    return float(bool(found) and any(found == tokenize(target) for target in targets))


def sentence_bleu(prediction: str, targets: Sequence[str]) -> float:
    """Return sacreBLEU's sentence BLEU over 100, against all targets at once.

    Exponential smoothing, and only the n-gram orders that the prediction is long enough for. The tokenizer is
    that of the targets' script; see :func:`cotune.tasks.scripts.bleu_tokenizer`.
    """
    targets = _composed(targets)
    scorer = _bleu(bleu_tokenizer(targets))
    return _unit(scorer.sentence_score(*_composed([prediction]), targets).score)


def corpus_bleu(predictions: Sequence[str], targets: Sequence[Sequence[str]]) -> float:
    """Return sacreBLEU's corpus BLEU over 100; examples may differ in their number of targets.

    Only the n-gram orders that some prediction is long enough for, so that a corpus of short answers can be
    right. The tokenizer is that of the script of all targets.
    """
    streams = _streams(targets)
    scorer = _bleu(bleu_tokenizer([target for stream in streams for target in stream if target is not None]))
    return _unit(scorer.corpus_score(_composed(predictions), streams).score)


def sentence_chrf(prediction: str, targets: Sequence[str]) -> float:
    """Return sacreBLEU's sentence chrF over 100, the best over the targets (Popović, 2015)."""
    return _unit(_chrf().sentence_score(*_composed([prediction]), _composed(targets)).score)


def corpus_chrf(predictions: Sequence[str], targets: Sequence[Sequence[str]]) -> float:
    """Return sacreBLEU's corpus chrF over 100; examples may differ in their number of targets."""
    return _unit(_chrf().corpus_score(_composed(predictions), _streams(targets)).score)


def negative_log_likelihood(log_probabilities: Sequence[float], targets: Sequence[str]) -> float:
    """Return the mean negative log-likelihood of the target's tokens, in nats a token."""
    return -sum(log_probabilities) / len(log_probabilities)


def _token_f1(prediction: str, target: str) -> float:
    predicted, expected = words(normalize_answer(prediction)), words(normalize_answer(target))
    if not predicted or not expected:
        return float(predicted == expected)
    shared = (Counter(predicted) & Counter(expected)).total()
    return 2 * shared / (len(predicted) + len(expected))


def _unit(percent: float) -> float:
    return min(percent / 100, 1.0)  # sacreBLEU's geometric mean overshoots 100 by a rounding error


def _composed(texts: Iterable[str]) -> list[str]:
    return [unicodedata.normalize("NFC", text) for text in texts]


def _streams(targets: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Return the first targets of all examples, the second ones, and so on: None where there is none."""
    return [list(stream) for stream in zip_longest(*map(_composed, targets))]


@cache
def _rouge_tokenizer() -> RougeTokenizer:
    return RougeTokenizer()


@cache
def _rouge_scorer(kind: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], tokenizer=_rouge_tokenizer())


@cache
def _bleu(tokenizer: str) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=tokenizer, effective_order=True)


@cache
def _chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()


METRICS: dict[str, Metric] = {
    "accuracy": Metric("accuracy", True, "text", accuracy),
    "exact_match": Metric("exact_match", True, "text", exact_match),
    "token_f1": Metric("token_f1", True, "text", token_f1),
    "rouge_1": Metric("rouge_1", True, "text", partial(rouge, kind="rouge1")),
    "rouge_2": Metric("rouge_2", True, "text", partial(rouge, kind="rouge2")),
    "rouge_l": Metric("rouge_l", True, "text", partial(rouge, kind="rougeL")),
    "bleu": Metric("bleu", True, "text", sentence_bleu, corpus=corpus_bleu),
    "chrf": Metric("chrf", True, "text", sentence_chrf, corpus=corpus_chrf),
    "pearson": Metric("pearson", True, "text", same_value, corpus=corpus_pearson, parts=pearson_parts),
    "matthews": Metric("matthews", True, "text", accuracy, corpus=corpus_matthews, parts=matthews_parts),
    "nll": Metric("nll", False, "likelihood", negative_log_likelihood),
}
"""Every metric by its name."""
