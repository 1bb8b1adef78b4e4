import pytest
from hypothesis import given
from hypothesis import strategies as st

from cotune.exceptions import InputError
from cotune.tasks import (
    FORMATS,
    Example,
    PromptFormat,
    Task,
    cut_answer,
    format_prompt,
    format_target,
    stops_of,
)


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


def test_opening_the_next_prompt_at_once_is_an_empty_answer():
    assert cut_answer("\n\nInput: more\nOutput: yes", ("\n\nInput:", "\n")) == ""
    assert cut_answer("\n\n", ("\n",)) == ""


def _task(*targets, **options):
    splits = {"train": tuple(Example(str(at), (target,)) for at, target in enumerate(targets))}
    return Task("t", "", splits, **options)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "targets",
    [
        ["one line"],
        ["two\nlines", "one line"],
        ["two\n\nInput: paragraphs"],
        ["Q: why?\nQ: how?", "\nTranslate this", "a\nArticle: b", "a\n\nInput: b"],
        ["def f(x):\n    return x\n\n\nprint(f(1))"],
        ["\n\nInput:", "\nQ:"],
    ],
)
def test_a_right_answer_is_never_cut_and_the_next_prompt_is(format, targets):
    task = _task(*targets, format=format)
    for target in targets:
        assert cut_answer(format_target(target), stops_of(task)) == target.strip()
    opening = FORMATS[format].stops
    if opening and opening[0].strip() not in "".join(targets):
        assert cut_answer(f" {targets[0]}{opening[0]} next", stops_of(task)) == targets[0].strip()


def test_one_line_answers_end_at_the_line_and_others_where_the_next_prompt_opens():
    assert stops_of(_task("yes", "no")) == ("\n\nInput:", "\n")
    assert stops_of(_task("yes", "a\nb")) == ("\n\nInput:",)
    assert stops_of(_task("yes", format="plain")) == ("\n",)
    assert stops_of(_task("a\nb", format="plain")) == ()
    assert stops_of(_task("a\nb", "say\nQ: x", format="qa")) == ()


def test_choices_and_other_targets_count_as_answers():
    example = Example("x", ("a", "a\nb"), ("a", "c"))
    assert "\n" not in stops_of(Task("t", "", {"test": (example,)}))
    example = Example("x", ("a",), ("a", "c\nd"))
    assert "\n" not in stops_of(Task("t", "", {"validation": (example,)}))


def test_stops_of_its_own_go_before_those_of_the_format():
    assert stops_of(_task("yes", stops=("###",))) == ("###",)
    assert stops_of(_task("yes", stops=())) == ()
    assert stops_of(_task("C# and ###", stops=("###", "END"))) == ("END",)


def test_a_tokenizer_without_line_breaks_has_blanks_before_the_next_prompt():
    assert stops_of(_task("yes"), line_breaks=False) == (" Input:",)
    assert stops_of(_task("yes", format="qa"), line_breaks=False) == (" Q:",)
    assert stops_of(_task("yes", format="plain"), line_breaks=False) == ()
    assert stops_of(_task("yes", stops=("###", "\n")), line_breaks=False) == ("###",)
    assert stops_of(_task("a\nQ: b", format="qa"), line_breaks=False) == ()
    assert (
        cut_answer("Paris Q: And of Spain?", stops_of(_task("x", format="qa"), line_breaks=False)) == "Paris"
    )


@given(st.lists(st.text(alphabet="ab Q:\nInput", min_size=1), min_size=1), st.sampled_from(sorted(FORMATS)))
def test_no_answer_is_cut_either_where_line_breaks_become_blanks(targets, format):
    stops = stops_of(_task(*targets, format=format), line_breaks=False)
    written = [" ".join(format_target(target).split()) for target in targets]
    assert [cut_answer(text, stops) for text in written] == written


@given(st.lists(st.text(alphabet="ab Q:\nInput", min_size=1), min_size=1), st.sampled_from(sorted(FORMATS)))
def test_whatever_the_answers_none_is_cut(targets, format):
    stops = stops_of(_task(*targets, format=format))
    assert [cut_answer(format_target(target), stops) for target in targets] == [t.strip() for t in targets]


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(InputError, match=r"'plian' is not a prompt format.*plain"):
        format_prompt("", "x", format="plian")
