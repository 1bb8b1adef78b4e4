import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune.answering import extract_answer, match_choice
from cotune.tasks import Example, Task, stops_of
from cotune.tasks.scripts import fold

NLI = ("True", "False", "Neither")


@pytest.mark.parametrize(
    ("text", "choices", "expected"),
    [
        ("True", NLI, "True"),
        ("  false. The premise says so.", NLI, "False"),
        ('"Neither" of the two', NLI, "Neither"),
        ("**True**", NLI, "True"),
        ("Falsehood", NLI, None),
        ("It is True", NLI, None),
        ("", NLI, None),
        ("not entailment", ["entailment", "not entailment"], "not entailment"),
        ("not  Entailment!", ["entailment", "not entailment"], "not entailment"),
        ("entailment", ["entailment", "not entailment"], "entailment"),
        ("not_entailment", ["entailment", "not_entailment"], "not_entailment"),
        ("very good film", ["very good", "very", "good"], "very good"),
        ("(B) because", ["A", "B", "C"], "B"),
        ("? I do not know", ["?", "!"], "?"),
        ("10 apples", ["1", "10"], "10"),
        ("Ja", ["ja", "nein"], "ja"),
        # Markup, quotes and brackets around the answer.
        ("**B**", ["A", "B"], "B"),
        ("__B__", ["A", "B"], "B"),
        ("`B`", ["A", "B"], "B"),
        ("B) because", ["A", "B"], "B"),
        ("B.", ["A", "B"], "B"),
        ("- **(b)**: it is", ["A", "B"], "B"),
        ("“Neither” of them", NLI, "Neither"),
        ("¿Sí? Claro", ["sí", "no"], "sí"),
        ("(+) positive", ["+", "-"], "+"),
        ("**-** negative", ["+", "-"], "-"),
        # A word that goes on is another word.
        ("not good", ["good", "bad"], None),
        ("don't", ["don", "do"], None),
        ("don\u2019t", ["don't", "do"], "don't"),
        ("well-known", ["well", "ill"], None),
        ("N/A", ["n", "y"], None),
        ("true/false", NLI, None),
        ("C++", ["C", "Java"], None),
        ("C++ of course", ["C", "C++"], "C++"),
        ("C#", ["C", "F"], None),
        ("!True", NLI, None),
        ("Nonsense", ["no", "non", "yes"], None),
        ("हाँ", ["ह", "न"], None),
        ("हाँ, यह सही है", ["हाँ", "नहीं"], "हाँ"),
        ("Нетрудно", ["да", "нет"], None),
        ("Нет, это не так", ["да", "нет"], "нет"),
        ("نعم، هذا صحيح", ["نعم", "لا"], "نعم"),
        ("نعمة", ["نعم", "لا"], None),
        # Scripts without spaces.
        ("是的。", ["是", "不是"], "是"),
        ("不是的。", ["是", "不是"], "不是"),
        ("「正确」", ["正确", "错误"], "正确"),
        ("はいです", ["はい", "いいえ"], "はい"),
        ("いいえ、違います", ["はい", "いいえ"], "いいえ"),
        ("ポジティブな意見", ["ポジティブ", "ネガティブ"], "ポジティブ"),
        ("ネガティブ", ["ネガ", "ポジ"], None),
        ("ใช่ครับ", ["ใช่", "ไม่ใช่"], "ใช่"),
        ("ไม่ใช่ครับ", ["ใช่", "ไม่ใช่"], "ไม่ใช่"),
        ("ใช่", ["ใช", "ไม"], None),
        ("ແມ່ນແລ້ວ", ["ແມ່ນ", "ບໍ່"], "ແມ່ນ"),
        ("បាទពិត", ["បាទ", "ទេ"], "បាទ"),
        ("ဟုတ်ကဲ့", ["ဟုတ်", "မဟုတ်"], "ဟုတ်"),
        ("참입니다.", ["참", "거짓"], "참"),
        ("거짓", ["참", "거짓"], "거짓"),
        ("참새", ["참", "거짓"], None),
        ("A是正确的", ["A", "B"], "A"),
        ("Trueです", NLI, "True"),
        # Numbers are matched whole.
        ("-1", ["1", "2"], None),
        ("\N{MINUS SIGN}1", ["1", "2"], None),
        ("-1", ["-1", "1"], "-1"),
        ("\N{MINUS SIGN}1", ["-1", "1"], "-1"),
        ("**-1**", ["-1", "1"], "-1"),
        ("- 1", ["1", "2"], "1"),
        ("1.5", ["1", "2"], None),
        ("1.5", ["1", "1.5"], "1.5"),
        (".5", ["5", "1"], None),
        ("...5", ["5", "1"], "5"),
        ("1. It is", ["1", "2"], "1"),
        ("1,000", ["1", "2"], None),
        ("1 000", ["1", "2"], None),
        ("1\N{NO-BREAK SPACE}000", ["1", "2"], None),
        ("1'000", ["1", "2"], None),
        ("1, 2", ["1", "2"], "1"),
        ("1/2", ["1", "2"], None),
        ("1 1/2", ["1", "2"], None),
        ("1½", ["1", "2"], None),
        ("1:30", ["1", "2"], None),
        ("1-2", ["1", "2"], None),
        ("1e5", ["1", "2"], None),
        ("1 + 1", ["1", "2"], None),
        ("1²", ["1", "2"], None),
        ("10", ["1", "2"], None),
        ("10%", ["10", "20"], "10"),
        ("10%", ["1", "2"], None),
        ("1st", ["1", "2"], None),
        ("<1", ["1", "2"], None),
        ("1) first", ["1", "2"], "1"),
        ("\N{FULLWIDTH DIGIT ONE}", ["1", "2"], "1"),
        ("1个", ["1", "2"], "1"),
        ("1万", ["1", "2"], None),
        ("一百", ["一", "二"], None),
        ("一个", ["一", "二"], "一"),
        ("3 apples", ["3", "4"], "3"),
        # One form of a character.
        ("cafe\u0301!", ["caf\xe9", "bar"], "caf\xe9"),
        ("caf\xe9", ["cafe\u0301", "bar"], "cafe\u0301"),
        ("cafe\u0301", ["cafe", "bar"], None),
        ("\uff34\uff52\uff55\uff45", NLI, "True"),  # full width
        ("STRASSE", ["straße", "weg"], "straße"),
        ("\ufeffTrue", NLI, "True"),
        ("❤️", ["❤", "💔"], "❤"),
        ("b", ["B", "b"], "b"),
        ("B", ["b", "B"], "B"),
    ],
)
def test_the_choice_is_what_the_text_begins_with(text, choices, expected):
    assert match_choice(text, choices) == expected


@given(
    st.lists(st.text(min_size=1).map(str.strip).filter(fold), min_size=1, max_size=4, unique_by=fold),
    st.integers(0, 3),
)
def test_a_choice_itself_is_that_choice(choices, at):
    choice = choices[at % len(choices)]
    assert match_choice(f" {choice}", choices) == choice


@pytest.mark.parametrize(
    ("format", "text", "target", "choices", "expected"),
    [
        # What opens the next prompt, and all that follows it, is cut off.
        ("qa", " Paris\nQ: What is the capital of Spain? A: Madrid", "Paris", (), "Paris"),
        ("qa", " Sucre\nLa Paz\nQ: And of Spain?", "Sucre\nLa Paz", (), "Sucre\nLa Paz"),
        ("qa", " the Q: school", "the Q: school", (), "the Q: school"),
        ("translation", " Tag.\nTranslate English to German: Hello", "Tag.", (), "Tag."),
        ("summarization", " A man\nwas held.\nArticle: The", "A man\nwas held.", (), "A man\nwas held."),
        ("plain", " True\nHe said it. question: He", "True", ("True", "False"), "True"),
        ("plain", "\n\nFalse, since", "True", ("True", "False"), "False"),
        ("default", " yes\n\nInput: more", "yes", (), "yes"),
        ("default", " yes\nno\n\nInput: more", "yes\nno", (), "yes\nno"),
        # What is none of the choices stays as it is, for the label share.
        ("plain", " Hardly true\nno", "True", ("True", "False"), "Hardly true"),
        ("qa", "\nQ: Who is it? A: Me", "Me", (), ""),
    ],
)
def test_an_answer_ends_where_the_next_prompt_would_begin(format, text, target, choices, expected):
    example = Example("?", (target,), choices)
    stops = stops_of(Task("t", "", {"test": (example,)}, format=format))
    assert extract_answer(text, stops, example) == expected
