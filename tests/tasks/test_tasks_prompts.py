import pytest

from cotune.exceptions import InputError
from cotune.tasks import Example, PromptFormat, format_prompt, format_target


def test_plain_prompt():
    assert format_prompt("Translate.", "hello") == "Translate.\n\nInput: hello\nOutput:"


def test_without_instruction():
    assert format_prompt("", "hello") == "Input: hello\nOutput:"


def test_choices_follow_the_instruction():
    assert format_prompt("Judge.", "fine", ["good", "bad"]) == (
        "Judge.\nOptions: good, bad\n\nInput: fine\nOutput:"
    )
    assert format_prompt("", "fine", ["good", "bad"]) == "Options: good, bad\n\nInput: fine\nOutput:"


def test_demonstrations_are_solved_by_their_first_target():
    shots = [Example("one", ("eins", "ein")), Example("two", ("zwei",))]
    assert format_prompt("Translate.", "three", demonstrations=shots) == (
        "Translate.\n\nInput: one\nOutput: eins\n\nInput: two\nOutput: zwei\n\nInput: three\nOutput:"
    )


def test_a_demonstration_reads_as_a_prompt_and_its_target():
    shot = Example("one", ("eins",))
    solved = format_prompt("", "one") + format_target("eins")
    assert format_prompt("", "two", demonstrations=[shot]) == f"{solved}\n\n{format_prompt('', 'two')}"


def test_plain_format_adds_nothing_but_line_breaks():
    shot = Example("3 1 >", ("1 3",))
    prompt = format_prompt("", "2 1 >", ["T", "F"], demonstrations=[shot], format="plain")
    assert prompt == "3 1 > 1 3\n2 1 >"


def test_braces_of_an_input_stay_as_they_are():
    assert format_prompt("", "{x} {input}") == "Input: {x} {input}\nOutput:"


def test_an_answer_ends_at_the_first_stop():
    style = PromptFormat("{input}", "\n", lists_choices=False, stops=("\n", "Q:"))
    assert style.answer("\n Paris Q: next\nmore") == "Paris"
    assert style.answer("Paris ") == "Paris"


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(InputError, match=r"'plian' is not a prompt format.*plain"):
        format_prompt("", "x", format="plian")
