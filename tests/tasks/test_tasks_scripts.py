# ruff: noqa: RUF001 (letters of other scripts that look like Latin ones)
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from cotune.tasks.scripts import RougeTokenizer, bleu_tokenizer, fold, normalize_answer, words


@given(st.text())
def test_folding_twice_is_folding_once(text):
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_of_ascii_only_case_and_spaces_are_folded(text):
    assert fold(text) == " ".join(text.lower().split())


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Two \t Words\n", "two words"),
        ("E\u0301te\u0301", "\xe9t\xe9"),
        ("\uff27\uff30\uff34", "gpt"),
        ("\ufb02at", "flat"),
        ("soft\xadhyphen\u200b", "softhyphen"),
        ("10\xb2 \xbd H\u2082O", "10\xb2 \xbd h\u2082o"),
        ("\u200b", ""),
    ],
)
def test_what_counts_as_the_same(text, folded):
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The  Beatles!", "beatles"),
        ("an apple, a pear & the fig", "apple pear fig"),
        ('the "a" team', "a team"),
        ("theatre", "theatre"),
        ("U.S.A.", "usa"),
        ("well-known", "wellknown"),
        ("  A\tB \n c ", "b c"),
        ("2,500", "2500"),
        ("$1,234,567.89.", "1234567.89"),
        ("1,00,000", "100000"),
        ("1,5", "1,5"),
        ("It is 5.", "it is 5"),
        ("2010\N{EN DASH}2011", "2010-2011"),
        ("-.5", "-0.5"),
        ("- 5 %", "5"),
        ("(-5)", "-5"),
        ("the", "the"),
        ("Hepatitis A", "hepatitis a"),
        ("?!", "?!"),
        ("C++ and C#", "c++ and c#"),
        ("\xabна\xefве\xbb", "на\xefве"),
        ("नमस्ते।", "नमस्ते"),
        ("是的。", "是的"),
    ],
)
def test_answers_are_normalised(text, normalized):
    assert normalize_answer(text) == normalized


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two words", ["two", "words"]),
        ("天气 good", ["天", "气", "good"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
    ],
)
def test_words_of_scripts_with_and_without_spaces(text, expected):
    assert words(text) == expected


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_words_of_english_for_rouge_are_those_of_rouge_score(text):
    english = DefaultTokenizer(use_stemmer=True).tokenize(text)
    if english or not text.strip():
        assert RougeTokenizer().tokenize(text) == english


def test_words_for_rouge():
    tokenize = RougeTokenizer().tokenize
    assert tokenize("Sitting caf\xe9s, नमस्ते天气!") == ["sit", "caf\xe9s", "नमस्ते", "天", "气"]
    assert tokenize("?! 🇫🇷") == ["?", "!", "🇫🇷"]


@pytest.mark.parametrize(
    ("references", "tokenizer"),
    [
        (["plain text"], "13a"),
        (["un caf\xe9"], "13a"),
        (["привет мир", "नमस्ते"], "13a"),
        (["안녕하세요 여러분"], "13a"),
        (["今天是个好天气", "OK"], "zh"),
        (["我用 Python 写代码"], "zh"),
        (["a long English text that names 北京 once"], "13a"),
        (["今日はいい天気です"], "char"),
        (["カタカナ"], "char"),
        (["สวัสดีชาวโลก"], "char"),
        (["မင်္ဂလာပါ"], "char"),
        ([], "13a"),
    ],
)
def test_the_tokenizer_for_bleu_fits_the_script(references, tokenizer):
    assert bleu_tokenizer(references) == tokenizer


NUMBERS = st.decimals(-(10**7), 10**7, places=2) | st.integers(-(10**7), 10**7)


@given(NUMBERS, NUMBERS, st.sampled_from(["{}", "{:,}", "({})", "{} %", "${}", "It is {}."]))
def test_numbers_are_told_apart(one, other, text):
    written = normalize_answer(text.format(one))
    assert written == normalize_answer(text.replace(":,", "").format(one))
    assert (written == normalize_answer(text.format(other))) == (str(one) == str(other))
