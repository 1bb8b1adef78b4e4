"""The templates and the post-processing of the ProMoT paper: Table 5 and appendix A.1, word for word."""

import json

import pytest
from pydantic import ValidationError

from cotune.exceptions import InputError
from cotune.tasks import METRICS, Example, format_prompt, get_format
from cotune.tasks.readers import BUILTIN_TEMPLATES, READERS, JsonLinesReader, TemplateOptions

NLI = {"premise": "It rains.", "hypothesis": "It is wet."}
SENSES = {"sentence1": "He made a run.", "sentence2": "They run.", "word": "run"}
LANGUAGES = {"source_language": "English", "target_language": "German"}
TABLE_5 = {
    "rte": (
        NLI | {"label": 0},
        "It rains. question: It is wet. Is it true or false? answer:",
        ("True",),
        ("True", "False"),
    ),
    "cb": (
        NLI | {"label": 2},
        "It rains. question: It is wet. Is it true or false or neither? answer:",
        ("Neither",),
        ("True", "False", "Neither"),
    ),
    "wic": (
        SENSES | {"label": False},
        "He made a run. They run. question: The word run is used in the same way in the two sentences. "
        "Is it true or False? answer:",
        ("False",),
        ("True", "False"),
    ),
    "qa": (
        {"question": "Who wrote Faust?", "answers": ["Goethe", "J. W. Goethe"]},
        "Q: Who wrote Faust? A:",
        ("Goethe", "J. W. Goethe"),
        (),
    ),
    "translation": (
        LANGUAGES | {"sentence": "The house.", "translation": "Das Haus."},
        "Translate English to German: The house.",
        ("Das Haus.",),
        (),
    ),
    "summarization": (
        {"article": "A long\nstory.", "summary": "Short."},
        "Article: A long\nstory. One sentence summary:",
        ("Short.",),
        (),
    ),
}
METRIC = dict.fromkeys(["rte", "cb", "wic"], "accuracy") | {
    "qa": "exact_match",
    "translation": "bleu",
    "summarization": "rouge_2",
}


def render(row, **options):
    (example,) = TemplateOptions(**options).examples([("rows, line 1", row)])
    return example


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_template_of_the_table_is_there():
    assert list(BUILTIN_TEMPLATES) == list(TABLE_5)


@pytest.mark.parametrize("name", TABLE_5)
def test_template(name):
    row, input, targets, choices = TABLE_5[name]
    assert render(row, builtin=name) == Example(input, targets, choices)
    assert TemplateOptions(builtin=name).default_metric == METRIC[name]
    assert METRIC[name] in METRICS


@pytest.mark.parametrize("name", TABLE_5)
def test_prompt_is_the_template_alone(name):
    row, input, targets, choices = TABLE_5[name]
    format = TemplateOptions(builtin=name).default_format
    shot = render(row, builtin=name)
    assert format_prompt("", input, choices, format=format) == input
    one_shot = format_prompt("", input, choices, [shot], format=format)
    assert one_shot == f"{input} {targets[0]}\n{input}"


@pytest.mark.parametrize(
    ("name", "generated", "answer"),
    [
        ("qa", " Goethe\nQ: Who wrote Emma? A: Austen", "Goethe"),
        ("qa", "Goethe", "Goethe"),
        ("qa", "\nQ: Who wrote Emma?", ""),
        ("translation", "Das Haus.\nTranslate English to German: The cat.", "Das Haus."),
        ("translation", "Das Haus.\nDer Garten.", "Das Haus.\nDer Garten."),
        ("summarization", "Short.\nArticle: Another one.", "Short."),
        ("cb", "Neither", "Neither"),
        ("wic", "False\n", "False"),
    ],
)
def test_post_processing_ends_where_the_next_prompt_begins(name, generated, answer):
    assert get_format(TemplateOptions(builtin=name).default_format).answer(generated) == answer


@pytest.mark.parametrize(
    ("name", "label", "word"),
    [
        ("rte", "entailment", "True"),
        ("rte", "not_entailment", "False"),
        ("rte", 1, "False"),
        ("cb", "entailment", "True"),
        ("cb", "contradiction", "False"),
        ("cb", "neutral", "Neither"),
        ("cb", 1, "False"),
        ("wic", True, "True"),
        ("wic", 1, "True"),
        ("wic", 0, "False"),
    ],
)
def test_labels_of_superglue_by_name_and_by_number(name, label, word):
    row = TABLE_5[name][0] | {"label": label}
    assert render(row, builtin=name).targets == (word,)


def test_explicit_options_go_before():
    row = NLI | {"label": "entailment"}
    assert render(row, builtin="rte", input="{{ premise }}?") == Example(
        "It rains.?", ("True",), ("True", "False")
    )
    german = render(row, builtin="rte", labels={"entailment": "ja", "not_entailment": "nein"})
    assert (german.targets, german.choices) == (("ja",), ("ja", "nein"))
    whole = render(row, builtin="rte", template="{{ hypothesis }} ||| {{ label }}")
    assert whole == Example("It is wet.", ("True",), ("True", "False"))
    named = render(row, builtin="rte", choices=["entailment", "not_entailment"])
    assert named.targets == ("entailment",)


def test_fields_name_those_of_the_data():
    row = {"passage": "It rains.", "claim": {"text": "It is wet."}, "gold": [1]}
    fields = {"premise": "passage", "hypothesis": "claim.text", "label": "gold[0]"}
    assert render(row, builtin="rte", fields=fields) == render(NLI | {"label": 1}, builtin="rte")


def test_fields_may_be_constants():
    row = {"translation": {"en": "The house.", "de": "Das Haus."}}
    fields = {
        "source_language": "'English'",
        "target_language": "'German'",
        "sentence": "translation.en",
        "translation": "translation.de",
    }
    example = render(row, builtin="translation", fields=fields)
    assert example == Example("Translate English to German: The house.", ("Das Haus.",))


def test_fields_serve_any_template():
    assert render({"a": "x", "b": "y"}, fields={"input": "a | upper", "target": "b"}) == Example("X", ("y",))


@pytest.mark.parametrize(
    ("row", "fields", "message"),
    [
        ({"premise": "x", "label": 1}, {}, "has no field 'hypothesis', .* its fields are premise, label"),
        (NLI | {"label": 1}, {"premise": "passage"}, "has no field 'passage', which the template needs"),
        (NLI | {"label": 1}, {"premise": "passage.text"}, "has no field 'passage', which the template needs"),
        (NLI | {"label": 7}, {}, "'7' is not one of the labels entailment"),
        (NLI | {"label": None}, {}, "null"),
    ],
)
def test_a_row_that_does_not_fit_is_named(row, fields, message):
    with pytest.raises(InputError, match=f"rows, line 1.*{message}"):
        render(row, builtin="rte", fields=fields)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"builtin": "rtee"}, "'rtee' is not a built-in template; did you mean 'rte'"),
        (
            {"builtin": "rte", "fields": {"premis": "p"}},
            "'premis', which the template does not use; .*'premise'",
        ),
        ({"builtin": "rte", "fields": {"premise": "p ]"}}, "'p ]' is not a valid Jinja expression"),
        ({"builtin": 3}, "valid string"),
    ],
)
def test_options_are_checked_when_made(options, message):
    with pytest.raises(ValidationError, match=message):
        TemplateOptions(**options)


def test_a_task_read_with_a_builtin_has_its_metric_and_format(tmp_path):
    rows = [{"question": f"Which is {n}?", "answers": [str(n)]} for n in range(10)]
    path = write(tmp_path / "trivia.jsonl", rows)
    (task,) = JsonLinesReader(path=path, builtin="qa").read(base=tmp_path, seed=0)
    assert (task.metric, task.format, task.instruction) == ("exact_match", "qa", "")
    (other,) = JsonLinesReader(path=path, builtin="qa", format="plain", metric="token_f1").read(
        base=tmp_path, seed=0
    )
    assert (other.metric, other.format) == ("token_f1", "plain")
    assert task.fingerprint != other.fingerprint


def test_single_tasks_have_builtins_of_their_own(tmp_path):
    write(tmp_path / "cb.jsonl", [NLI | {"premise": str(n), "label": "neutral"} for n in range(10)])
    write(tmp_path / "greet.jsonl", [{"input": str(n), "target": "hi"} for n in range(10)])
    cb, greet = JsonLinesReader(path=tmp_path, templates={"cb": {"builtin": "cb"}}).read(
        base=tmp_path, seed=0
    )
    assert (cb.format, cb["train"][0].targets) == ("plain", ("Neither",))
    assert (greet.format, greet["train"][0].targets) == ("default", ("hi",))


def test_a_single_task_overrides_what_a_common_builtin_says(tmp_path):
    for name in ("a", "b"):
        write(
            tmp_path / f"{name}.jsonl", [NLI | {"premise": str(n), "label": "entailment"} for n in range(10)]
        )
    own = {"input": "{{ hypothesis }} {{ premise }}"}
    a, b = JsonLinesReader(path=tmp_path, builtin="rte", templates={"a": own}).read(base=tmp_path, seed=0)
    assert a["train"][0].input.startswith("It is wet. ")
    assert "Is it true or false?" in b["train"][0].input
    assert a["train"][0].targets == b["train"][0].targets == ("True",)


def test_format_is_an_option_of_every_reader():
    for name, reader in READERS.items():
        with pytest.raises(ValidationError, match="'qaa' is not a prompt format; did you mean 'qa'"):
            reader(path="x", format="qaa")
        assert reader(path="x", format="qa").format == "qa", name
