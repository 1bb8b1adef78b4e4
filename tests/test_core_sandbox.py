"""Templates of strangers: they end, they make no more than fits, and they see nothing but data."""

import json
import sys

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cotune import read_tasks
from cotune._sandbox import LONGEST_SOURCE, LimitedEnvironment
from cotune._steps import TooMuchWorkError, limited
from cotune.exceptions import InputError
from cotune.models.chat_sandbox import marks_answers, render_chat, spans_of
from cotune.tasks.readers import TemplateOptions

BIG = "{% set x = 'abcdefghij' * 100000 %}"
BOMBS = [
    "{{ '1 ' * 10**9 }}",
    "{{ '1 ' * 1000000000 }}",
    "{{ 1000000000 * '1 ' }}",
    "{{ [1, 2] * 1000000000 }}",
    "{{ 10 ** 1000000000 }}",
    "{{ 2 ** (2 ** (2 ** (2 ** (2 ** 2)))) }}",
    "{% set n = namespace(v=3) %}{% for i in range(40) %}{% set n.v = n.v * n.v %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% if 0 %}x{% endif %}{% endfor %}{% endfor %}",
    "{% for a in [[1], [2]] recursive %}{{ loop([a, a]) }}{% endfor %}",
    "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% set n = namespace(v='ab') %}{% for i in range(60) %}{% set n.v = n.v ~ n.v %}{% endfor %}",
    "{% set n = namespace(v='ab') %}{% for i in range(60) %}{% set n.v = n.v + n.v %}{% endfor %}",
    "{% set n = namespace(v=[1]) %}{% for i in range(60) %}{% set n.v = n.v + n.v %}{% endfor %}",
    "{% set n = namespace(v=[1]) %}{% for i in range(60) %}{% set n.v = [n.v, n.v] %}{% endfor %}"
    "{{ n.v | string }}",
    "{% set n = namespace(v={}) %}{% for i in range(60) %}{% set n.v = {1: n.v, 2: n.v} %}{% endfor %}"
    "{{ n.v | tojson }}",
    "{% set n = namespace(v='ab') %}{% for i in range(60) %}{% set n.v %}{{ n.v }}{{ n.v }}{% endset %}"
    "{% endfor %}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%(a)1000000000d' % {'a': 1} }}",
    "{{ '%((a))1000000000d' % {'(a)': 1} }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '%.1000000000f' % 1.0 }}",
    "{{ '%5%%1000000000d' % 1 }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '{:1000000000d}'.format(1) }}",
    "{{ '{:{w}}'.format(1, w=1000000000) }}",
    "{{ '{:1000000000d}'.format_map({}) }}",
    "{{ '{x:1000000000d}'.format_map({'x': 1}) }}",
    "{{ 'x' | center(1000000000) }}",
    "{{ 'x'.center(1000000000) }}",
    "{{ 'x'.ljust(1000000000) }}",
    "{{ '1'.zfill(1000000000) }}",
    "{{ 'x\n' | indent(1000000000, first=true) }}",
    "{{ ['x'] | batch(1000000000, 'y') | list }}",
    "{{ ['x'] | slice(1000000000) | list }}",
    "{{ [[1]] | tojson(indent=1000000000) }}",
    "{{ 1.5 | round(1000000000, 'ceil') }}",
    BIG + "{{ x.replace('', x) }}",
    BIG + "{{ x | replace('', x) }}",
    BIG + "{{ x.join(x) }}",
    BIG + "{{ x | join(x) }}",
    BIG + "{{ x | wordwrap(1) }}",
    BIG + "{{ x | list | sort | join }}",
    BIG + "{% for i in range(99999) %}{% set y = x[1:] %}{% endfor %}",
    BIG + "{% for i in range(99999) %}{% if x == x ~ 'a' %}{% endif %}{% endfor %}",
    BIG + "{% for i in range(99999) %}{% set y = x | upper %}{% endfor %}",
    BIG + "{% for i in range(99999) %}{% set y = x.upper() %}{% endfor %}",
    BIG + "{% for i in range(99999) %}{{ x }}{% endfor %}",
    "{% for i in range(99999) %}" + "x" * 1000 + "{% endfor %}",
    "{% macro m() %}" + "x" * 1000 + "{% endmacro %}{% for i in range(99999) %}{% set y = m() %}{% endfor %}",
    "{% for i in range(99999) %}{% set y = range(99999) | list %}{% endfor %}",
    "{% for i in range(99999) %}{% set y = range(99999) | select('odd') | list %}{% endfor %}",
    "{{ " + "(" * 20000 + "1" + ")" * 20000 + " }}",
    "{{ " + "-" * 20000 + "1 }}",
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "{% for a in [1] %}" * 60 + "{% endfor %}" * 60,
    "{{ " + "9" * 5000 + " }}",
    "x" * (LONGEST_SOURCE + 1),
    "{% if false %}{{ '1' * 10**10 }}{% endif %}{{ 'x' | center(10000000000) }}",
]
HIDDEN = [
    "{{ ''.__class__.__mro__ }}",
    "{{ ''['__class__'] }}",
    "{{ '' | attr('__class__') }}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "{{ range.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.system('x') }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ lipsum() }}",
    "{{ lipsum.__globals__ }}",
    "{{ [1] | random }}",
    "{{ x.translate({}) }}",
    "{{ 'x'.encode() }}",
    "{{ 1 .to_bytes(9, 'big') }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{% set x = [] %}{{ x.append(1) }}",
    "{{ thing.save('/tmp/x') }}",
    "{{ thing.name }}",
    "{{ thing() }}",
    "{{ thing | attr('save') }}",
    "{{ thing | map(attribute='save') | list }}",
]


class Thing:
    """What data sets hold beside plain data, such as images, which write files."""

    name = "thing"
    saved = False

    def save(self, *_):
        Thing.saved = True

    __call__ = save


def rendered(source, **values):
    template = LimitedEnvironment(undefined=jinja2.StrictUndefined).compiled(source)
    with limited():
        return template.render(**values)


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
def test_no_template_takes_for_ever_or_makes_more_than_fits(bomb):
    for render in (lambda: rendered(bomb), lambda: render_chat(bomb, [], {})):
        with pytest.raises((InputError, jinja2.TemplateError, RecursionError, ValueError)):
            render()


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
def test_a_task_with_such_a_template_is_refused_in_a_sentence(bomb):
    with pytest.raises((InputError, ValidationError)) as caught:
        TemplateOptions(input=bomb).examples([("rows, line 1", {"target": "y"})])
    if not isinstance(caught.value, ValidationError):  # which names the option, and is put in words elsewhere
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


def test_rows_that_are_each_within_the_limits_are_not_without_end(monkeypatch):
    monkeypatch.setattr("cotune._steps.MOST_TOGETHER", 20_000)
    options = TemplateOptions(input="{% for n in range(3500) %}{% endfor %}x")  # 2,000 more than a row's own
    assert len(options.examples([(f"rows, line {n}", {"target": "y"}) for n in range(9)])) == 9
    with pytest.raises(TooMuchWorkError, match=r"rows, line 1\d: .* before it took 20,000 steps"):
        options.examples([(f"rows, line {n}", {"target": "y"}) for n in range(30)])
    # What a template that goes through its data takes is by how much there is of that.
    long = [(f"rows, line {n}", {"target": "y", "input": "word " * 50_000}) for n in range(30)]
    assert len(TemplateOptions(input="{{ input | upper | trim }}").examples(long)) == 30


@pytest.mark.parametrize("source", HIDDEN)
def test_templates_see_nothing_but_data(source):
    with pytest.raises((jinja2.TemplateError, TypeError, ValueError)):
        rendered(source, thing=Thing(), x="x")
    assert not Thing.saved


def test_a_template_that_goes_beyond_its_limits_ends_the_reading():
    rows = [(f"rows, line {n}", {"input": "x", "target": "y", "n": n}) for n in range(1, 5)]
    options = TemplateOptions(input="{{ input * (10 if n == 1 else 10 ** 9) }}")
    with pytest.raises(
        TooMuchWorkError, match=r"^rows, line 2: the template is not filled in: it takes more"
    ):
        options.examples(rows)
    assert sys.getrecursionlimit() == 1000


def test_so_does_an_instruction_that_is_a_template(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"q": f"word {n}", "a": str(n)}) + "\n" for n in range(40)))
    options = {"instructions": ["Say {{ q * 10**9 }} ||| {{ a }}", "Tell {{ q }} ||| {{ a }}"]}
    with pytest.raises(TooMuchWorkError, match="the template is not filled in: it takes more"):
        read_tasks(file, table_options=options)


def test_what_templates_do_every_day_is_far_from_the_limits():
    row = {
        "text": "word " * 20_000,
        "answers": ["yes", "no"] * 500,
        "turns": [{"role": "user", "text": f"turn {n}"} for n in range(2000)],
    }
    source = (
        "{% for t in turns %}{% if t.role == 'user' and not loop.last %}{{ loop.index }}. {{ t.text|trim }}\n"
        "{% endif %}{% endfor %}{{ text | upper | replace('WORD', 'w') }}{{ answers | join(', ') }}"
        "{{ '%s of %d in 2024' % ('one', 5) }} {{ '{} of {:>5.2f} in 2024'.format('two', 3) }}"
        "{{ 'a' ~ 3 ~ [1, 2][0] }}{{ (turns | map(attribute='text') | list)[1:3] | join }}{{ 2 ** 10 }}"
        "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{{ twice('ab') }}{{ '-' * 20 }}"
    )
    found = rendered(source, **row)
    assert found == jinja2.Environment().from_string(source).render(**row)
    assert found.endswith("one of 5 in 2024 two of  3.00 in 2024a31turn 1turn 21024abab" + "-" * 20)


LINES = st.lists(st.text("ab %-{}", max_size=6), max_size=5)


@settings(max_examples=50)
@given(LINES, st.integers(0, 30), st.integers(0, 30))
def test_what_is_within_the_limits_is_what_jinja_writes(lines, n, width):
    source = (
        "{% for line in lines %}{{ loop.index }}/{{ loop.length }}:{{ line | center(width) }}"
        "{{ line * n }}{{ line ~ n }}{{ line.ljust(width) }}{% if line in lines[1:] %}!{% endif %}"
        "{% if loop.previtem is defined and loop.previtem > line %}<{% endif %}{% endfor %}"
        "{{ lines | sort | unique | join('|') | indent(n) }}{{ lines | batch(2, '-') | list }}"
        "{{ 'x'.join(lines).replace('a', 'bb') | wordwrap(7) }}{{ lines | length * n }}"
    )
    values = {"lines": lines, "n": n, "width": width}
    assert rendered(source, **values) == jinja2.Environment().from_string(source).render(**values)


def test_what_a_chat_template_marks_is_found_again():
    source = (
        "{% for m in messages %}<{{ m.role }}>{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    )
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "bc"}]
    assert marks_answers(source)
    assert render_chat(source, messages, {}) == "<user>a<assistant>bc"
    text, spans = spans_of(render_chat(source, messages, {}, marks=True))
    assert text == "<user>a<assistant>bc"
    assert [text[begin:end] for begin, end in spans] == ["a", "bc"]
