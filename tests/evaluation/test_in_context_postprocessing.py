import pytest

from cotune.evaluation.in_context import match_choice
from cotune.evaluation.in_context._postprocessing import extract_answer
from cotune.tasks import Example, Task, stops_of

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
