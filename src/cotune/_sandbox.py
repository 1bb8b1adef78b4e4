"""Templates of strangers: Jinja in which nothing but plain data is seen, and nothing takes for ever.

A template is a program: it loops, calls itself, and one expression asks for gigabytes (``'1 ' * 10**9``).
"""

from __future__ import annotations

import datetime
import decimal
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, wraps
from string import Formatter
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox
from jinja2 import nodes
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference, Undefined
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from cotune._steps import (
    ASKED,
    ASKED_OF_TEXTS,
    CHARACTERS,
    CHEAP,
    COMPARING,
    VIEWS,
    TooMuchWorkError,
    ask_percent,
    ask_product,
    check_widths,
    counted,
    is_wide,
    limited,
    spend,
    weight,
)

LONGEST_SOURCE = 200_000
"""Characters of a template."""

_DATA: tuple[type, ...] = (
    str,
    bytes,
    int,
    float,
    list,
    tuple,
    set,
    frozenset,
    dict,
    *VIEWS,
    decimal.Decimal,
)
_DATA += (datetime.date, datetime.time, datetime.timedelta)
_OWN = (Undefined, Namespace, LoopContext, Cycler, Joiner, Macro, TemplateReference, BlockReference)
"""What Jinja itself hands to templates."""
_NEVER = frozenset({"translate", "maketrans", "expandtabs", "encode", "to_bytes", "from_bytes", "fromkeys"})
"""Methods of plain data that make much of little, and that no prompt needs."""


_CALL = 5
"""Steps that a call is worth, by what it takes."""


class LimitedEnvironment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """Jinja for templates of strangers; rendered within :func:`limited`.

    Templates see texts, numbers, dates, lists and mappings; of other objects they see that they are there.

    Parameters
    ----------
    finalize : callable, optional
        What is printed for a value.
    **options
        Those of Jinja's environments.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, *, finalize: Callable[[Any], Any] | None = None, **options: Any) -> None:
        super().__init__(finalize=partial(_printed, finalize), **options)
        del self.globals["lipsum"]  # by chance, and of any length
        for name in ("random", "pprint", "urlize", "xmlattr"):
            del self.filters[name]
        for name, made in list(self.filters.items()):
            self.add_filter(name, made)
        for name in COMPARING:
            test: Any = self.tests[name]
            self.tests[name] = _weighed(test)
        self.filters |= {"_each": _each, "_weighed": _weigh, "_written": _written}

    def add_filter(self, name: str, made: Callable[..., Any]) -> None:
        """Put a filter in place of another of its name, under the same limits."""
        self.filters[name] = made if name in CHEAP else _weighed(made, ASKED.get(name))

    def compiled(self, source: str) -> jinja2.Template:
        """Compile a template.

        Raises
        ------
        TooMuchWorkError
            If it is too long, or nested too deeply.
        jinja2.TemplateSyntaxError
            If it is no template.
        """
        template: jinja2.Template = self._compiled(self.from_string, source)
        return template

    def compiled_expression(self, source: str) -> Callable[..., Any]:
        """Compile an expression; see :meth:`compiled`."""
        make = partial(self.compile_expression, undefined_to_none=False)
        expression: Callable[..., Any] = self._compiled(make, source)
        return expression

    def _compiled(self, make: Callable[[str], Any], source: str) -> Any:
        if len(source) > LONGEST_SOURCE:
            raise TooMuchWorkError(f"it is longer than {LONGEST_SOURCE:,} characters")
        try:
            with limited():
                return make(source)
        except jinja2.TemplateSyntaxError:
            raise
        # Python's own compiler has limits, and Jinja's parser calls itself.
        except (RecursionError, SyntaxError, MemoryError):
            raise TooMuchWorkError("it is nested too deeply") from None
        except (ValueError, OverflowError) as error:
            if isinstance(error, TooMuchWorkError):
                raise
            raise jinja2.TemplateSyntaxError(str(error), 1) from None

    def _generate(self, source: nodes.Template, *arguments: Any, **options: Any) -> str:
        counted = _Counting().visit(source)
        counted.set_environment(self)
        return super()._generate(counted, *arguments, **options)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call what a template may call, and count it."""
        spend(_CALL)
        if isinstance(__obj, LoopContext):  # a loop that calls itself with other entries
            args = (counted(args[0], 1), *args[1:]) if args else args
        else:
            args = __self._asked_of(__obj, args)
        made = super().call(__context, __obj, *args, **kwargs)
        spend(weight(made))
        return made

    def _asked_of(self, called: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        owner = getattr(called, "__self__", None)
        if isinstance(owner, str | bytes):
            spend(weight(owner) + weight(args))
            ask = ASKED_OF_TEXTS.get(getattr(called, "__name__", ""))
            return args if ask is None else ask(owner, *args)
        spend(weight(args) + (weight(owner) if isinstance(owner, list | tuple) else 0))
        return args

    def is_safe_callable(self, obj: Any) -> bool:
        """Whether it is a method of plain data, a macro, or one of the environment's own."""
        owner = getattr(obj, "__self__", None)
        known = isinstance(obj, _OWN) or any(obj is one for one in self.globals.values())
        known = known or isinstance(owner, (*_DATA, *_OWN, jinja2.ext.Extension)) or _is_format(obj)
        return known and super().is_safe_callable(obj)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether it is one of plain data that makes no more of it than it is."""
        return (
            isinstance(obj, (*_DATA, *_OWN))
            and attr not in _NEVER
            and super().is_safe_attribute(obj, attr, value)
        )

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return ``str.format`` of a text, with fields that are not padded beyond measure."""
        made = super().wrap_str_format(value)
        if made is None:
            return None
        text = str(value.__self__)

        @wraps(made)
        def format(*args: Any, **kwargs: Any) -> str:
            fields = [spec or "" for _, field, spec, _ in Formatter().parse(text) if field is not None]
            check_widths("{" in spec or is_wide(spec) for spec in fields)
            spend(weight(text) + len(fields) * (weight(args) + weight(kwargs)))
            return made(*args, **kwargs)

        format.limited = True  # type: ignore[attr-defined]
        return format

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute what does not grow beyond measure."""
        if operator == "%" and isinstance(left, str | bytes):
            ask_percent(left, right)
        elif operator == "+":
            spend(weight(left) + weight(right))
        elif operator in ("*", "**"):
            ask_product(operator, left, right)
        return super().call_binop(context, operator, left, right)


def _is_format(obj: Any) -> bool:
    return getattr(obj, "limited", False) is True and isinstance(obj, types.FunctionType)


def _printed(finalize: Callable[[Any], Any] | None, value: Any) -> Any:
    spend(1 + weight(value))
    return value if finalize is None else finalize(value)


@jinja2.pass_context
def _each(context: Any, values: Iterable[Any], cost: int) -> Iterator[Any]:
    """Yield what a loop goes through, and count its turns."""
    return counted(values, cost)


@jinja2.pass_context
def _weigh(context: Any, value: Any) -> Any:
    """Return a value that something is made of, and count what it weighs."""
    spend(weight(value))
    return value


@jinja2.pass_context
def _written(context: Any, text: str, cost: int) -> str:
    """Return nothing, for text that a macro writes each time it is called."""
    spend(cost)
    return text


class _Counting(NodeTransformer):
    """Puts what counts into a template that was parsed."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        node.iter = _through("_each", node.iter, 1 + _literal(node.body))
        return self.generic_visit(node)

    def visit_Macro(self, node: nodes.Macro | nodes.CallBlock) -> nodes.Node:
        node.body = [nodes.Output([_through("_written", nodes.Const(""), _literal(node.body))]), *node.body]
        return self.generic_visit(node)

    visit_CallBlock = visit_Macro  # noqa: N815

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        part: Any
        for part in (node, *node.ops):
            if not isinstance(part.expr, nodes.Const):
                part.expr = _through("_weighed", part.expr)
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        node.nodes = [_through("_weighed", part) for part in node.nodes]
        return self.generic_visit(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        found = self.generic_visit(node)
        return _through("_weighed", found) if isinstance(node.arg, nodes.Slice) else found

    def visit_List(self, node: Any) -> nodes.Node:
        found = self.generic_visit(node)
        return found if getattr(node, "ctx", "load") != "load" else _through("_weighed", found)

    visit_Tuple = visit_Dict = visit_List  # noqa: N815


def _through(name: str, node: Any, *values: int) -> nodes.Filter:
    return nodes.Filter(node, name, list(map(nodes.Const, values)), [], None, None, lineno=node.lineno)


def _literal(body: Sequence[nodes.Node]) -> int:
    """Return the steps that the text of a template takes which stands as it is."""
    texts = [text for part in body for text in part.find_all(nodes.TemplateData)]
    return sum(len(text.data) for text in texts) // CHARACTERS


def _weighed(made: Callable[..., Any], ask: Callable[..., None] | None = None) -> Callable[..., Any]:
    """Return a filter or test that counts what it reads and makes."""
    passes = int(hasattr(made, "jinja_pass_arg"))

    @wraps(made)
    def weighed(*args: Any, **kwargs: Any) -> Any:
        spend(1 + sum(map(weight, args[passes:])) + (weight(kwargs) if kwargs else 0))
        if ask is not None:
            ask(*args[passes:], **kwargs)
        found = made(*args, **kwargs)
        spend(weight(found))
        return found

    return weighed
