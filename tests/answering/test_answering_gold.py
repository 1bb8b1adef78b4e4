"""Right answers go down the road of a model's answers; those that would not score 1 are said with reasons."""

import copy

import pytest

from cotune.answering import ChoiceConfig, gold_notes
from cotune.models import load_encoder
from cotune.tasks import METRICS, Example, Task

LINES = ("one line", "two\nlines", "a list:\n- one\n- two", "after\n\na gap")
SCRIPTS = (
    "今天是个好天气",
    "สวัสดีชาวโลก",
    "नमस्ते दुनिया",
    "привет мир",
    "مرحبا بالعالم",
    "cafe\u0301",
    "안녕 세상",
    "🙂 fine",
)
NUMBERS = ("-1", "1.5", "1,000", "3 7 2", "1/2", "10 %")
SIGNS = ("?", "C++", "The", "a", "...", "Q: why", "Translate it", "<b>")


@pytest.fixture(scope="module")
def encoder(tiny_causal):
    return load_encoder(tiny_causal)


def task_of(answers, metric="accuracy", choices=(), **options):
    examples = tuple(Example(f"input {at}", (answer,), tuple(choices)) for at, answer in enumerate(answers))
    return Task("gold", "", {"train": examples, "validation": (), "test": examples}, metric, **options)


TEXTUAL = [name for name, metric in METRICS.items() if metric.needs == "text"]


@pytest.mark.parametrize("metric", TEXTUAL)
@pytest.mark.parametrize("format", ["default", "plain", "qa", "translation", "summarization"])
@pytest.mark.parametrize(
    "answers", [LINES, SCRIPTS, NUMBERS, SIGNS], ids=["lines", "scripts", "numbers", "signs"]
)
def test_a_perfect_answer_scores_one(encoder, answers, format, metric):
    if metric == "pearson":
        answers = [str(at) for at in range(len(answers))]  # of numbers alone
    assert gold_notes(task_of(answers, metric, format=format), encoder, ChoiceConfig(), "test") == ()


@pytest.mark.parametrize("classification", ["likelihood", "generation"])
@pytest.mark.parametrize(
    "choices", [("不是", "是"), ("-1", "1", "1.5"), ("good", "good enough"), ("A)", "B)"), ("é", "e")]
)
def test_every_choice_can_be_given(encoder, choices, classification):
    config = ChoiceConfig(classification=classification)
    assert gold_notes(task_of(choices, choices=choices), encoder, config, "test") == ()


def test_an_answer_that_is_no_choice_is_said(encoder):
    task = task_of(("yes", "no", "perhaps"), choices=("yes", "no"))
    (note,) = gold_notes(task, encoder, ChoiceConfig(), "test")
    assert note == (
        "the right answers of 1 of 3 test examples score less than 1, since they are none of the choices "
        "(such as 'perhaps')."
    )
    # Written, it can be given.
    assert gold_notes(task, encoder, ChoiceConfig(classification="generation"), "test") == ()


def test_an_answer_that_the_tokenizer_cannot_write_is_said(encoder, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(
        models.WordLevel({"</s>": 0, "[UNK]": 1, "red": 2, "Output": 3, ":": 4}, unk_token="[UNK]")
    )
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    known = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="[UNK]")
    poor = copy.copy(encoder)
    poor = type(encoder)(known)
    (note,) = gold_notes(task_of(("red", "red mauve"), "exact_match"), poor, ChoiceConfig(), "test")
    assert "1 of 2 test examples" in note
    assert "tokenizer" in note


def test_losses_have_no_answers_to_check(encoder):
    assert (
        gold_notes(task_of(("perhaps",), "nll", choices=("yes", "no")), encoder, ChoiceConfig(), "test") == ()
    )
