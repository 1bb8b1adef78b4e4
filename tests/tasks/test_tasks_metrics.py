# ruff: noqa: RUF001 (letters of other scripts that look like Latin ones)
import math

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from cotune.exceptions import InputError
from cotune.tasks import METRICS, get_metric
from cotune.tasks.scripts import fold

# Of a correlation a single answer says nothing: tests/tasks/test_tasks_correlations.py.
TEXT_METRICS = [metric for metric in METRICS.values() if metric.needs == "text" and metric.parts is None]
PAIRS = [
    ("The cats were sitting on the mat.", ["A cat sat on the mat.", "The cat is on the mat"]),
    ("Paris", ["Paris", "the city of Paris"]),
    ("nothing in common", ["something else entirely"]),
    ("", ["an answer"]),
    ("In 1998, the village had 2,500 inhabitants", ["The village had 2,500 inhabitants in 1998"]),
]


@pytest.mark.parametrize(
    ("prediction", "targets", "expected"),
    [
        ("the Broncos", ["Denver Broncos"], 2 / 3),
        ("Denver Broncos", ["Broncos", "denver broncos!"], 1.0),
        ("Santa Clara", ["Levi's Stadium"], 0.0),
        ("to to be", ["to be"], 0.8),
        ("", ["x"], 0.0),
        ("the", ["a"], 0.0),
        ("", [""], 1.0),
        ("天气很好", ["天气好"], 6 / 7),
        ("C++", ["C"], 0.0),
        ("ไทย", ["ไทย"], 1.0),
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
    ("prediction", "target"),
    [
        ("!", "?"),
        ("", "?"),
        ("the", "a"),
        ("", "The"),
        ("C", "C++"),
        ("C", "C#"),
        ("1", "-1"),
        ("15", "1.5"),
        ("12", "1/2"),
        ("5", ".5"),
        ("1030", "10:30"),
        ("102", "10²"),
        ("B", "A, B"),
        ("cafe", "café"),
        ("AB", "AB-"),
        ("हा", "हाँ"),
    ],
)
def test_exact_match_tells_answers_apart(prediction, target):
    score = get_metric("exact_match").score
    assert (score(prediction, [target]), score(target, [prediction or "x"])) == (0.0, 0.0)
    assert score(target, [target]) == 1.0


@pytest.mark.parametrize(
    ("prediction", "target"),
    [
        ("cafe\u0301", "caf\xe9"),
        ("\uff21\uff22\uff23", "abc"),
        ("\ufb01ne", "fine"),
        ("\N{MINUS SIGN}5", "-5"),
        ("\u201cyes\u201d", '"yes"'),
        ("STRASSE", "straße"),
        ("ガ", "ｶﾞ"),
        ("ο σοφος", "Ο ΣΟΦΟΣ"),
        ("❤\ufe0f", "❤"),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "exact_match", "token_f1", "rouge_1", "rouge_2", "rouge_l"])
def test_forms_of_a_character_count_as_one(name, prediction, target):
    assert get_metric(name).score(prediction, [target]) == 1.0


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_composed_and_decomposed_letters_count_as_one(name):
    metric = get_metric(name)
    assert metric.score("un cafe\u0301 noir", ["un caf\xe9 noir"]) == pytest.approx(1.0)
    assert metric.corpus(["un cafe\u0301 noir"], [["un caf\xe9 noir"]]) == pytest.approx(1.0)


SCRIPTS = {
    "Chinese": ("今天是个好天气", "今天天气不好"),
    "Japanese": ("今日はいい天気です", "今日は天気が悪い"),
    "Korean": ("오늘은 날씨가 좋습니다", "오늘은 날씨가 나쁩니다"),
    "Thai": ("สวัสดีชาวโลก", "สวัสดีตอนเช้า"),
    "Lao": ("ສະບາຍດີຊາວໂລກ", "ສະບາຍດີ"),
    "Khmer": ("សួស្តីពិភពលោក", "សួស្តី"),
    "Burmese": ("မင်္ဂလာပါကမ္ဘာလောက", "မင်္ဂလာပါ"),
    "Hindi": ("नमस्ते सुंदर दुनिया", "नमस्ते दुनिया"),
    "Tamil": ("வணக்கம் அழகான உலகம்", "வணக்கம் உலகம்"),
    "Russian": ("привет большой мир", "привет мир"),
    "Arabic": ("مرحبا أيها العالم", "مرحبا العالم"),
    "Hebrew": ("שלום לכל העולם", "שלום העולם"),
    "Greek": ("γεια σου κόσμε", "γεια κόσμε"),
    "Georgian": ("გამარჯობა ლამაზო სამყარო", "გამარჯობა სამყარო"),
    "Amharic": ("ሰላም ውብ ዓለም", "ሰላም ዓለም"),
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("metric", TEXT_METRICS, ids=lambda metric: metric.name)
def test_texts_of_any_script_are_told_apart(metric, script):
    text, similar = SCRIPTS[script]
    other = SCRIPTS["Russian" if script != "Russian" else "Greek"][0]
    for whole in (metric.score, lambda p, t: metric.corpus([p, p], [t, t]) if metric.corpus else None):
        value = whole(text, [text])
        if value is None:
            continue
        assert value == pytest.approx(1.0)
        near, far = whole(similar, [text]), whole(other, [text])
        assert far < (1e-9 if metric.corpus is None else 0.12)
        if metric.name not in ("accuracy", "exact_match", "rouge_2"):
            assert far < near < 1.0


@pytest.mark.parametrize("metric", TEXT_METRICS, ids=lambda metric: metric.name)
@pytest.mark.parametrize(
    "text", ["?", "The", "a", "Paris", "two words", "😀", "C++", "-1", "…", "是", "½", "🇫🇷 🇩🇪"]
)
def test_short_texts_score_1_against_themselves(metric, text):
    assert metric.score(text, [text]) == pytest.approx(1.0)
    if metric.corpus is not None:
        assert metric.corpus([text, text], [[text], ["other words", text]]) == pytest.approx(1.0)


@pytest.mark.parametrize("metric", TEXT_METRICS, ids=lambda metric: metric.name)
@given(st.text(min_size=1).filter(lambda text: fold(text) == text.strip() != ""))
def test_any_text_scores_1_against_itself(metric, text):
    assert metric.score(text, ["something else", text]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "kind"), [("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")]
)
@pytest.mark.parametrize(("prediction", "targets"), PAIRS)
def test_rouge_agrees_with_rouge_score(name, kind, prediction, targets):
    scorer = RougeScorer([kind], use_stemmer=True)
    expected = max(scorer.score(target, prediction)[kind].fmeasure for target in targets)
    if prediction in targets:
        expected = 1.0  # there too where the words are too few for the n-grams that are counted
    assert get_metric(name).score(prediction, targets) == expected


def test_rouge_stems():
    assert get_metric("rouge_1").score("sitting cats", ["sit cat sits"]) > 0


@pytest.mark.parametrize(("prediction", "targets"), PAIRS)
def test_bleu_agrees_with_sacrebleu(prediction, targets):
    expected = sacrebleu.sentence_bleu(prediction, targets, use_effective_order=True).score / 100
    assert get_metric("bleu").score(prediction, targets) == pytest.approx(expected, abs=1e-12)


def test_corpus_bleu_of_short_answers_counts_the_orders_that_there_are():
    corpus = get_metric("bleu").corpus
    assert corpus is not None
    assert corpus(["b a", "d c"], [["b a"], ["d c"]]) == pytest.approx(1.0)
    assert 0 < corpus(["b a", "d x"], [["b a"], ["d c"]]) < 1


def test_chrf_agrees_with_sacrebleu():
    predictions = [prediction for prediction, _ in PAIRS]
    for prediction, targets in PAIRS:
        expected = sacrebleu.sentence_chrf(prediction, targets).score / 100
        assert get_metric("chrf").score(prediction, targets) == pytest.approx(expected, abs=1e-12)
    streams = [[targets[0] for _, targets in PAIRS], [[*targets, None][1] for _, targets in PAIRS]]
    expected = sacrebleu.corpus_chrf(predictions, streams).score / 100
    corpus = get_metric("chrf").corpus
    assert corpus is not None
    assert corpus(predictions, [targets for _, targets in PAIRS]) == pytest.approx(expected, abs=1e-12)


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
