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


@pytest.mark.parametrize(
    ("target", "targets"),
    [
        (["yes", "y"], ("yes", "y")),
        (["a, b", "c ||| d", "[e]"], ("a, b", "c ||| d", "[e]")),
        (["two\nlines"], ("two\nlines",)),
        ([1, 2.5, True], ("1", "2.5", "true")),
        ((" x ", "y\n"), ("x", "y")),
        (["", "y", " "], ("y",)),
        (7, ("7",)),
        (0.5, ("0.5",)),
        (False, ("false",)),
    ],
)
def test_a_list_is_of_acceptable_outputs_and_numbers_are_as_json_writes_them(target, targets):
    assert render({"input": "x", "target": target}).targets == targets
    assert (
        render({"input": "x", "target": target}, template="{{ input }} |||\n {{ target }} ").targets
        == targets
    )
    assert render({"input": "x", "answer": target}, fields={"target": "answer"}).targets == targets
    if isinstance(target, list):
        joined = render({"input": "x", "target": target}, target="{{ target | join('|||') }}")
        assert joined.targets == targets


def test_parts_of_a_template_may_be_lists_and_texts():
    row = {"input": "x", "best": "one", "others": ["two", "three"]}
    assert render(row, target="{{ best }} ||| {{ others }}").targets == ("one", "two", "three")


def test_a_text_in_place_of_a_list_of_outputs_is_one():
    assert render({"q": "x", "a": "Ada"}, template="{{ q }} ||| {{ a | join('|||') }}").targets == ("Ada",)


def test_words_of_a_list_are_those_of_the_labels():
    assert render({"input": "x", "target": [1, 0]}, labels=["no", "yes"]).targets == ("yes", "no")


def test_join_takes_an_attribute_and_prints_as_templates_do():
    row = {"input": "x", "answers": [{"text": "a"}, {"text": 1}]}
    assert render(row, target="{{ answers | join(', ', attribute='text') }}").targets == ("a, 1",)
    row = {"question": "x", "answers": {"text": ["a", "b"]}}
    with pytest.raises(InputError, match="joins a value that is an object"):
        render(row, builtin="qa")
    assert render(row, builtin="qa", fields={"answers": "answers.text"}).targets == ("a", "b")
    row = {"input": "x", "answers": ["a", None]}
    with pytest.raises(InputError, match="prints a value that is null"):
        render(row, target="{{ answers | join('|||') }}")


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


@pytest.mark.parametrize("value", [True, "True", "true"])
@pytest.mark.parametrize("label", [True, "True", "true"])
def test_booleans_can_be_labels(value, label):
    assert render({"input": "x", "target": value}, labels={label: "ja", "?": "nein"}).targets == ("ja",)
    assert render({"input": "x", "target": value}, choices=["True", "False"]).targets == ("True",)


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
        ({"input": "x", "target": "\udc00"}, {}, "half of a surrogate pair"),
        ({"input": float("nan"), "target": "y"}, {}, "prints a value that is NaN"),
        ({"input": "x", "target": float("-inf")}, {}, "prints a value that is -Infinity"),
        ({"input": {"a": 1}, "target": "y"}, {}, "prints a value that is an object"),
        ({"input": ["a", "b"], "target": "y"}, {}, r"a list in the input, which needs \{\{ x \| join"),
        ({"input": "x", "target": ["a", None]}, {}, "prints a value that is null"),
        ({"input": "x", "target": [["a"]]}, {}, "prints a value that is a list"),
        ({"input": "x", "target": [{"text": "a"}]}, {}, "prints a value that is an object"),
        ({"input": "x", "target": []}, {}, "empty target"),
        ({"input": "x", "target": ["a", "b"]}, {"target": "It is {{ target }}."}, "a list within the target"),
        ({"input": "x", "target": ["a"]}, {"target": "{{ target }}{{ target }}"}, "a list within the target"),
        ({"input": "x", "target": "y"}, {"target": "{{ target.format.x }}"}, "cannot be filled in"),
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


def test_rows_that_cannot_be_used_are_left_out():
    rows = [("1", {"input": "x"}), ("2", {"input": "x", "target": "y"}), ("3", InputError("3 is broken."))]
    assert TemplateOptions().examples(rows) == [Example("x", ("y",))]
    with pytest.raises(InputError, match="1 has no field 'target'"):
        TemplateOptions().examples([rows[0], rows[2]])
    assert TemplateOptions().examples([]) == []
