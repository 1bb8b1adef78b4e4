import pytest

from cotune.evaluation.in_context import match_choice
from cotune.evaluation.in_context._postprocessing import extract_answer
from cotune.tasks import Example, get_format

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
    ],
)
def test_the_choice_is_what_the_text_begins_with(text, choices, expected):
    assert match_choice(text, choices) == expected


@pytest.mark.parametrize(
    ("format", "text", "choices", "expected"),
    [
        # The second prefix of Table 5 and all that follows it is cut off.
        ("qa", " Paris\nQ: What is the capital of Spain? A: Madrid", (), "Paris"),
        ("qa", " the Q school Q: Who", (), "the Q school"),
        ("translation", " Guten Tag. Translate English to German: Hello", (), "Guten Tag."),
        ("summarization", " A man\nwas held. Article: The", (), "A man\nwas held."),
        ("plain", " True\nHe said it. question: He", ("True", "False"), "True"),
        ("plain", "\n\nFalse, since", ("True", "False"), "False"),
        ("default", " yes\n\nInput: more", (), "yes"),
        # What is none of the choices stays as it is, for the label share.
        ("plain", " Hardly true\nno", ("True", "False"), "Hardly true"),
        ("qa", "Q: Who is it? A: Me", (), ""),
    ],
)
def test_an_answer_ends_where_the_next_prompt_would_begin(format, text, choices, expected):
    example = Example("?", ("True",), choices)
    assert extract_answer(text, get_format(format), example) == expected
