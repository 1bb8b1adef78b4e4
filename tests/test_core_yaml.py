"""YAML and JSON of strangers: limits hold, and what is wrong is one sentence with the line."""

import json
from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cotune._json import parse_json
from cotune._yaml import YamlError, parse_yaml, read_yaml
from cotune.exceptions import InputError

LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
BAD = [
    (LAUGHS, "line 5: more than 100,000 values"),
    ("a: &a [*a]", r"the alias \*a stands within what it stands for"),
    ("a: &a {b: &b [*a]}", r"the alias \*a stands within"),
    ("[" * 100_000, "more than 50 levels deep"),
    ("- " * 100_000, "more than 50 levels deep"),
    ("a: " + "9" * 5000, "a number of 5000 characters; quote it"),
    ("a: " + ":".join(["59"] * 50), "a number of 149 characters"),
    ("a: 0x" + "f" * 100, "a number of 102 characters"),
    ("a: 1\nb: .inf", "line 2: '.inf' is no number"),
    ("a: .nan", "'.nan' is no number"),
    ("a: 1.0e+999", "'1.0e[+]999' is no number"),
    ("a: 2001-13-45", "'2001-13-45' is no timestamp"),
    ("!!int x", "'x' is no int"),
    ("!!bool x", "'x' is no bool"),
    ("? [a]\n: b", "a key must be a text or a number"),
    ("a: 1\na: 2", "line 2: the key 'a' stands twice"),
    ("a: {<<: {b: 1}}", "'<<' merges nothing here"),
    ("!!python/object/apply:os.system [touch x]", "could not determine a constructor"),
    ('"\\ud800"', "half of a surrogate pair"),
    ("a\x07", "special characters are not allowed"),
    ("a: b\n---\nc: d", "found another document|but found another document"),
    ("x" * (3 << 20), "longer than 2 MiB"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=range(len(BAD)))
def test_what_is_no_yaml_or_too_much_is_a_sentence(tmp_path, text, message):
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(InputError, match=message) as caught:
        read_yaml(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_aliases_that_stand_for_little_are_read():
    assert parse_yaml("a: &a [x]\nb: *a\nc: [*a, *a]") == {"a": ["x"], "b": ["x"], "c": [["x"], ["x"]]}


def test_a_path_that_is_no_file_is_a_sentence(tmp_path):
    (tmp_path / "bytes").write_bytes(b"a: \xff")
    for path, message in (
        (tmp_path, "cannot be read"),
        (tmp_path / "none", "cannot be read"),
        (tmp_path / "a\0b", "cannot be read"),
        (tmp_path / "bytes", "not UTF-8 text"),
    ):
        with pytest.raises(InputError, match=message):
            read_yaml(path)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(PLAIN)
def test_what_is_within_the_limits_is_read_as_it_was_written(value):
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=False)) == value
    assert parse_json(json.dumps(value)) == value


@given(st.text("[]{}:,-?!&*|>'\"#%@` \n\tab01.~", max_size=30))
def test_any_text_is_read_or_refused(text):
    with suppress(YamlError):
        parse_yaml(text)


def test_json_that_is_too_deep_or_holds_too_long_a_number_is_refused():
    deep = "[" * 90 + "]" * 90
    assert json.dumps(parse_json(deep)).replace(" ", "") == deep
    assert parse_json("[" + "[]," * 500 + "[]]") == [[]] * 501
    for text, message in (
        ("[" * 101 + "]" * 101, "nested too deeply"),
        ("[" * 500 + "]" * 500, "nested too deeply"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
        ("9" * 5000, "more than 4,300 digits"),
        (b'"\xff"', "not UTF-8"),
    ):
        with pytest.raises(ValueError, match=message):
            parse_json(text)
    with pytest.raises(json.JSONDecodeError):
        parse_json("[1,")
