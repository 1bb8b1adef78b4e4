from cotune.tasks import Example, format_prompt, format_target


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
