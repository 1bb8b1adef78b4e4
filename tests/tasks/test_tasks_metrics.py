import math

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from cotune.exceptions import InputError
from cotune.tasks import METRICS, get_metric
from cotune.tasks.metrics import normalize_answer

TEXT_METRICS = [metric for metric in METRICS.values() if metric.needs == "text"]
PAIRS = [
    ("The cats were sitting on the mat.", ["A cat sat on the mat.", "The cat is on the mat"]),
    ("Paris", ["Paris", "the city of Paris"]),
    ("nothing in common", ["something else entirely"]),
    ("", ["an answer"]),
    ("In 1998, the village had 2,500 inhabitants", ["The village had 2,500 inhabitants in 1998"]),
]


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The  Beatles!", "beatles"),
        ("an apple, a pear & the fig", "apple pear fig"),
        ("theatre", "theatre"),
        ("U.S.A.", "usa"),
        ("well-known", "wellknown"),
        ("the", ""),
        ("  A\tB \n c ", "b c"),
        ("2,500", "2500"),
    ],
)
def test_normalisation_is_that_of_squad(text, normalized):
    assert normalize_answer(text) == normalized


@pytest.mark.parametrize(
    ("prediction", "targets", "expected"),
    [
        ("the Broncos", ["Denver Broncos"], 2 / 3),
        ("Denver Broncos", ["Broncos", "denver broncos!"], 1.0),
        ("Santa Clara", ["Levi's Stadium"], 0.0),
        ("to to be", ["to be"], 0.8),
        ("", ["x"], 0.0),
        ("the", ["a"], 1.0),
    ],
)
def test_token_f1(prediction, targets, expected):
    assert get_metric("token_f1").score(prediction, targets) == pytest.approx(expected)


def test_exact_match_ignores_articles_but_accuracy_does_not():
    assert get_metric("exact_match").score("The answer.", ["answer"]) == 1.0
    assert get_metric("accuracy").score("The answer.", ["answer"]) == 0.0
    assert get_metric("accuracy").score(" Not  Entailment\n", ["neutral", "not entailment"]) == 1.0
    assert get_metric("accuracy").score("A", ["the"]) == 0.0


@pytest.mark.parametrize(
    ("name", "kind"), [("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")]
)
@pytest.mark.parametrize(("prediction", "targets"), PAIRS)
def test_rouge_agrees_with_rouge_score(name, kind, prediction, targets):
    scorer = RougeScorer([kind], use_stemmer=True)
    expected = max(scorer.score(target, prediction)[kind].fmeasure for target in targets)
    assert get_metric(name).score(prediction, targets) == expected


def test_rouge_stems():
    assert get_metric("rouge_1").score("sitting cats", ["sit cat sits"]) > 0


@pytest.mark.parametrize(("prediction", "targets"), PAIRS)
def test_bleu_agrees_with_sacrebleu(prediction, targets):
    expected = sacrebleu.sentence_bleu(prediction, targets, use_effective_order=True).score / 100
    assert get_metric("bleu").score(prediction, targets) == pytest.approx(expected, abs=1e-12)


def test_corpus_bleu_agrees_with_sacrebleu_whatever_the_number_of_targets():
    predictions = [prediction for prediction, _ in PAIRS]
    streams = [[targets[0] for _, targets in PAIRS], [[*targets, None][1] for _, targets in PAIRS]]
    expected = sacrebleu.corpus_bleu(predictions, streams).score / 100
    corpus = get_metric("bleu").corpus
    assert corpus is not None
    assert 0.2 < expected < 0.9
    assert corpus(predictions, [targets for _, targets in PAIRS]) == pytest.approx(expected, abs=1e-12)


def test_nll_is_nats_a_token():
    nll = get_metric("nll")
    assert (nll.higher_is_better, nll.needs) == (False, "likelihood")
    assert nll.score([math.log(0.5), math.log(0.25)], ["two words"]) == pytest.approx(1.5 * math.log(2))


@pytest.mark.parametrize("metric", TEXT_METRICS, ids=lambda metric: metric.name)
@given(prediction=st.text(), targets=st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_text_metrics_stay_between_0_and_1_and_ignore_the_order_of_targets(metric, prediction, targets):
    score = metric.score(prediction, targets)
    assert 0.0 <= score <= 1.0
    assert metric.score(prediction, targets[::-1]) == pytest.approx(score)


@pytest.mark.parametrize("metric", TEXT_METRICS, ids=lambda metric: metric.name)
@given(words=st.lists(st.sampled_from(["blue", "whales", "sing", "deep", "songs"]), min_size=2, max_size=8))
def test_a_target_itself_scores_1(metric, words):
    text = " ".join(words)
    assert metric.score(text, ["something else", text]) == pytest.approx(1.0)


def test_the_table_is_keyed_by_name():
    assert all(name == metric.name for name, metric in METRICS.items())


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(InputError, match=r"'rougeL' is not a metric; did you mean 'rouge_l'\?"):
        get_metric("rougeL")
