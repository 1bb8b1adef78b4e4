"""Chat templates run under limits: as transformers runs them, which bounds neither their time nor their size.

They come with models from anywhere. What transformers gives to templates is given here: the messages, the
special tokens, loop controls, ``raise_exception``, ``tojson`` and the tag ``generation``. ``tools`` and
``documents`` are none, and the date is the caller's business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.parser import Parser

from cotune._sandbox import LimitedEnvironment
from cotune._steps import Together

_BEGIN, _END = "\ufdd5", "\ufdd6"
"""Stand around what the assistant says, where that is asked for; Unicode keeps them for uses like this."""
_MARKS = "cotune_marks"


def render_chat(
    source: str,
    messages: Sequence[Mapping[str, str]],
    special_tokens: Mapping[str, Any],
    *,
    opens: bool = False,
    marks: bool = False,
) -> str:
    """Return a conversation as a chat template writes it.

    Parameters
    ----------
    source : str
        The template.
    messages : sequence of mapping
        Each with ``role`` and ``content``.
    special_tokens : mapping
        Of the tokenizer, by the names that templates know them by.
    opens : bool
        Whether an answer is to be opened.
    marks : bool
        Whether what the template says the assistant says is marked; see :func:`spans_of`.

    Raises
    ------
    Exception
        Whatever a template raises; TooMuchWorkError where it goes beyond its limits.
    """
    template, together = _compiled(source)
    with together.rendering(messages):
        return template.render(
            **special_tokens,
            **{_MARKS: marks},
            messages=[dict(message) for message in messages],
            tools=None,
            documents=None,
            add_generation_prompt=opens,
        )


def marks_answers(source: str) -> bool:
    """Whether a template says which text is the assistant's, by the tag ``generation``."""
    return re.search(r"\{%-?\s*generation\b", source) is not None


def spans_of(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text without marks, and where what they stood around begins and ends."""
    text, spans, begin = "", [], 0
    for part in re.split(f"([{_BEGIN}{_END}])", marked):
        if part == _BEGIN:
            begin = len(text)
        elif part == _END:
            spans.append((begin, len(text)))
        else:
            text += part
    return text, spans


class _Generation(jinja2.ext.Extension):
    """The tag that says which text is the assistant's."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja has it

    def parse(self, parser: Parser) -> nodes.Node:
        """Take the body for a block that is called."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    @jinja2.pass_context
    def _said(self, context: jinja2.runtime.Context, caller: Any) -> str:
        return f"{_BEGIN}{caller()}{_END}" if context.get(_MARKS) else str(caller())


def _as_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """Write JSON as transformers does: Jinja's own filter escapes what HTML would read."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


@lru_cache(maxsize=64)
def _compiled(source: str) -> tuple[jinja2.Template, Together]:
    environment = LimitedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.add_filter("tojson", _as_json)
    environment.globals["raise_exception"] = _raise
    return environment.compiled(source), Together()
