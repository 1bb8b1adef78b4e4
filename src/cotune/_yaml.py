"""YAML of strangers: read under limits, and every way it can be wrong is one sentence.

A file of a few lines can stand for billions of values (an alias of aliases), for a number that takes minutes
to read, or be nested deeper than Python calls itself.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from cotune.exceptions import InputError

MOST_BYTES = 2 << 20
"""Of a file: some twenty thousand instructions."""
MOST_VALUES = 100_000
"""Keys and values of a file, each alias counted as all that it stands for."""
DEEPEST = 50
"""Lists and mappings within one another."""
_LONGEST_NUMBER = 40


class YamlError(ValueError):
    """What is wrong with a text, without a full stop, and the line it is in where that is known."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


def parse_yaml(text: str) -> Any:
    """Return what a YAML text holds: plain lists, mappings, texts, numbers and dates.

    A key written twice is an error, and so are numbers that are none (``.nan``, ``.inf``).

    Raises
    ------
    YamlError
        If it is no YAML, or more than the limits allow.
    """
    if len(text) > MOST_BYTES:
        raise YamlError(f"it is longer than {MOST_BYTES >> 20} MiB")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(error.problem or "not YAML", None if mark is None else mark.line + 1) from None
    except yaml.YAMLError as error:
        raise YamlError(str(error).partition("\n")[0] or "not YAML") from None


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds; see :func:`parse_yaml`.

    Raises
    ------
    InputError
        If it cannot be read: which file, which line and what is wrong there.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        # A file that is longer is refused below; its last character may be cut.
        text = content.decode("utf-8-sig", errors="strict" if len(content) <= MOST_BYTES else "replace")
        if len(content) > MOST_BYTES:
            raise YamlError(f"it is longer than {MOST_BYTES >> 20} MiB")
        return parse_yaml(text)
    except YamlError as error:
        where = str(path) if error.line is None else f"{path}, line {error.line}"
        raise InputError(f"{where}: {error.problem}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} cannot be read (not UTF-8 text).") from None
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"{path} cannot be read ({reason}).") from None


def _wrong(problem: str, at: Any) -> ConstructorError:
    return ConstructorError(None, None, problem, at.start_mark)


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._values = 0
        self._sizes: dict[int, int] = {}
        """How many values the nodes stand for that have an anchor and are whole."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._values
        self._count(1, event)
        self._depth += 1
        if self._depth > DEEPEST:
            raise _wrong(f"more than {DEEPEST} levels deep", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise _wrong(f"the alias *{event.anchor} stands within what it stands for", event)
            self._count(self._sizes[id(node)], event)
        elif event.anchor is not None:
            self._sizes[id(node)] = self._values - before
        return node

    def _count(self, more: int, event: Any) -> None:
        self._values += more
        if self._values > MOST_VALUES:
            raise _wrong(f"more than {MOST_VALUES:,} values", event)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = {}
        if not isinstance(node, yaml.MappingNode):
            raise _wrong("a mapping is expected here", node)
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise _wrong("'<<' merges nothing here; write the keys out", key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise _wrong("a key must be a text or a number", key_node)
            key = self.construct_object(key_node, deep=True)
            if key in found:
                raise _wrong(f"the key '{key}' stands twice", key_node)
            found[key] = self.construct_object(value_node, deep=deep)
        return found

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except (ValueError, OverflowError, AttributeError, TypeError, LookupError):
            kind = node.tag.rpartition(":")[2]
            raise _wrong(f"'{str(node.value)[:40]}' is no {kind}", node) from None

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        self._check_number(node)
        return super().construct_yaml_int(node)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        self._check_number(node)
        number: float = super().construct_yaml_float(node)
        if not math.isfinite(number):
            raise _wrong(f"'{node.value}' is no number; give a finite one", node)
        return number

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        text = str(self.construct_scalar(node))
        try:  # JSON, which is YAML, escapes the two halves of a character by themselves
            return text.encode("utf-16", errors="surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise _wrong("a text holds half of a surrogate pair, which is no character", node) from None

    def _check_number(self, node: yaml.ScalarNode) -> None:
        if len(node.value) > _LONGEST_NUMBER:
            problem = f"a number of {len(node.value)} characters; quote it if it is a text"
            raise _wrong(problem, node)


for _name in ("int", "float", "str"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", getattr(_Loader, f"construct_yaml_{_name}"))
