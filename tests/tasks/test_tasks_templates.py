import pytest
from pydantic import ValidationError

from cotune.exceptions import InputError
from cotune.tasks import Example
from cotune.tasks.readers import TemplateOptions


def render(row, **options):
    (example,) = TemplateOptions(**options).examples([("rows, line 1", row)])
    return example


def test_input_and_target():
    row = {"premise": "It rains.", "hypothesis": "It is wet.", "label": "yes"}
    example = render(row, input=" {{ premise }} So: {{ hypothesis }} ", target="{{ label }}\n")
    assert example == Example("It rains. So: It is wet.", ("yes",))


def test_promptsource_template_with_several_targets():
    row = {"q": "Who?", "answers": ["Ada", "Lovelace"]}
    template = "{{ q }} ||| {{ answers | join('|||') }}"
    assert render(row, template=template) == Example("Who?", ("Ada", "Lovelace"))


def test_separator_in_the_data_parts_nothing():
    row = {"input": "a ||| b", "target": "c|||d"}
    assert render(row) == Example("a ||| b", ("c|||d",))
    assert render(row, template="{{ input }}|||{{ target }}") == Example("a ||| b", ("c|||d",))


def test_answer_choices_are_those_of_promptsource():
    template = "{{ text }} ||| {% if label != -1 %}{{ answer_choices[label] }}{% endif %}"
    example = render({"text": "fine", "label": 1}, template=template, choices=["bad", "good"])
    assert example == Example("fine", ("good",), ("bad", "good"))
    with pytest.raises(InputError, match="line 1 has an empty target"):
        render({"text": "fine", "label": -1}, template=template, choices=["bad", "good"])


@pytest.mark.parametrize("labels", [["no", "yes"], {0: "no", 1: "yes"}, {"0": "no", "1": "yes"}])
def test_labels_give_words_and_choices(labels):
    example = render({"input": "x", "target": 1}, labels=labels)
    assert example == Example("x", ("yes",), ("no", "yes"))
    assert TemplateOptions(labels=labels).default_metric == "accuracy"


def test_booleans_can_be_labels():
    assert render({"input": "x", "target": True}, labels={True: "ja", False: "nein"}).targets == ("ja",)


def test_default_metric_of_free_text():
    assert TemplateOptions().default_metric == "rouge_l"


def test_the_sandbox_hides_python_internals():
    with pytest.raises(InputError, match="unsafe"):
        render({"input": "x", "target": "y"}, target="{{ target.__class__.__mro__ }}")


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ({"text": "x", "label": 1}, {}, "has no field 'input', .* its fields are text, label"),
        ({"input": "x"}, {}, "no field 'target'"),
        ({}, {}, "no field 'input', .* its fields are none"),
        (
            {"input": {"a": 1}, "target": "y"},
            {"input": "{{ input.b }}"},
            "has no attribute 'b'; its fields are input",
        ),
        ({"input": None, "target": "y"}, {}, "prints a value that is null"),
        ({"input": "x", "target": " "}, {}, "empty target"),
        (
            {"input": "x", "target": 0},
            {"target": "{{ 1 / target }}"},
            "cannot be filled in: division by zero",
        ),
        ({"input": "x", "target": 2}, {"labels": ["no", "yes"]}, "'2' is not one of the labels 0, 1"),
        ({"input": "x", "target": "y"}, {"choices": ["a", "b"]}, "'y' is not one of the choices a, b"),
        ({"input": "\ud83d", "target": "y"}, {}, "half of a surrogate pair"),
    ],
)
def test_a_row_that_does_not_fit_is_named(row, options, message):
    with pytest.raises(InputError, match=f"rows, line 1.*{message}"):
        render(row, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "no separator"}, r"must part input and target by '\|\|\|'"),
        ({"template": "a ||| b", "input": "c"}, "'template' holds both"),
        ({"input": "a ||| b"}, "'input' must not contain"),
        ({"target": "{{ target"}, "not valid Jinja"),
        ({"choices": ["a"]}, "at least two different words"),
        ({"choices": ["a", "a"]}, "at least two different words"),
        ({"labels": ["a", "b"], "choices": ["a", "c"]}, "leads to 'b', which is not one of the choices"),
        ({"labels": {0: True}}, "valid string"),
        ({"inptu": "a"}, "Extra inputs"),
    ],
)
def test_options_are_checked_when_made(options, message):
    with pytest.raises(ValidationError, match=message):
        TemplateOptions(**options)


def test_override_replaces_what_it_names_and_the_other_way_to_write_a_template():
    common = TemplateOptions(instruction="Judge.", input="{{ text }}", choices=["a", "b"])
    assert common.override(TemplateOptions(instruction="Rate.")) == TemplateOptions(
        instruction="Rate.", input="{{ text }}", choices=["a", "b"]
    )
    both = common.override(TemplateOptions(template="{{ x }} ||| {{ y }}"))
    assert both.source == "{{ x }} ||| {{ y }}"
    assert both.instruction == "Judge."
    assert both.override(TemplateOptions(input="{{ z }}")).source == "{{ z }}|||{{ target }}"
