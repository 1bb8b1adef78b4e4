"""Valid files changed by a seed: what breaks parsers, and what people do by mistake."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

NASTY: list[Any] = [
    *("", " ", ".", "..", "../../etc/passwd", "/", "~", "a\0b", "a\nb", "\t", "x" * 5000, "\ud800", "\udfff"),
    *(
        "=1+1",
        "+1",
        "-1",
        "@x",
        "'=1",
        "\x1b[31mred\x1b[0m",
        "\x07",
        "\u202eabc",
        "\u2066",
        "\ufeff",
        "\u2028",
    ),
    *(
        "{{ 7*7 }}",
        "{{ x.__class__ }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    ),
    *(
        "{{ '1 ' * 10**9 }}",
        "{{ input",
        "{% if %}",
        "%s%s%n",
        "%1000000000d",
        "|||",
        "||| |||",
        "<script>alert(1)</script>",
    ),
    *(
        "1e999",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "1_000",
        "0x10",
        "1,5",
        "1.000,5",
        "50 %",
        "0.5 ± 0.1",
        "0.5 (0.1)",
    ),
    *("con", "nul.txt", "é", "e\u0301", "名前", "🙂", "(a+)+$", "(.*a){20}", "[", "(", "*", "a" * 30 + "!"),
    *(
        "true",
        "null",
        "None",
        "yes",
        "2001-13-45",
        "lora",
        "natural_instructions",
        "toy_language",
        "study.yaml",
    ),
    *(0, 1, -1, 2**31, 2**63, -(2**63), 10**30, 10**400, 0.0, -0.0, 1e-320, 1e308, 0.5),
    *(float("nan"), float("inf"), float("-inf"), True, False, None),
    *(
        [],
        {},
        [[]],
        [{}],
        {"": ""},
        {"a": {"b": {"c": []}}},
        [None],
        ["a", "a"],
        [1, "1", 1.0],
        {"name": "lora"},
    ),
]
"""What stands in place of a value."""

BYTES_PUT = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r",
    b'"',
    b"'",
    b",",
    b";",
    b"\t",
    b"\n\n",
    b"{",
    b"}",
    b"[",
    b":",
]
BYTES_PUT += [
    b"#",
    b"&a ",
    b"*a",
    b"!!python/object:os.system ",
    b"- " * 60,
    b"[" * 200,
    b"9" * 5000,
    b"\x1b[2J",
    b"---\n",
]
BYTES_PUT += [
    b"<<: *a\n",
    b"|",
    b"%",
    b"\\u0000",
    b"\\ud800",
    b"\xc3",
    b"\xed\xa0\x80",
    b"PAR1",
    b"PK\x03\x04",
    b"sep=;\n",
]


def changed_tree(draw: random.Random, tree: Any) -> Any:
    """Return plain data with a few of its values, keys and places changed."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return draw.choice(NASTY)
        holder, key = draw.choice(places)
        what = draw.randrange(7)
        if what == 0:
            del holder[key]
        elif what == 1 and isinstance(holder, dict):
            value = holder.pop(key)
            holder[_misspelt(draw, str(key))] = value
        elif what == 2:
            holder[key] = copy.deepcopy(draw.choice(places)[0])
        elif what == 3:
            holder[key] = [holder[key]] if draw.random() < 0.5 else {"a": holder[key]}
        elif what == 4 and isinstance(holder, dict):
            holder[draw.choice(["label", "name", "path", "x", "", "reader", "kind"])] = draw.choice(NASTY)
        elif what == 5 and isinstance(holder[key], str) and holder[key]:
            holder[key] = changed_text(draw, holder[key])
        else:
            holder[key] = copy.deepcopy(draw.choice(NASTY))
    return tree


def _places(tree: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items)[:60]:
        yield tree, key
        if depth < 8:
            yield from _places(value, depth + 1)


def _misspelt(draw: random.Random, word: str) -> str:
    at = draw.randrange(len(word) + 1)
    return word[:at] + draw.choice("abz_- \0") + word[at + draw.randrange(2) :]


def changed_text(draw: random.Random, text: str) -> str:
    """Return a text with something put in, taken out or doubled."""
    at = draw.randrange(len(text) + 1)
    end = min(len(text), at + draw.randrange(1, 12))
    put = draw.choice([str(value) for value in NASTY if isinstance(value, str)])
    return draw.choice([text[:at] + put + text[at:], text[:at] + text[end:], text[:end] + text[at:], put])


def changed_bytes(draw: random.Random, content: bytes) -> bytes:
    """Return a file's content with bytes put in, taken out, flipped, cut or lines moved."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(content) + 1)
        end = min(len(content), at + draw.randrange(1, 40))
        what = draw.randrange(7)
        if what == 0:
            content = content[:at] + draw.choice(BYTES_PUT) + content[at:]
        elif what == 1:
            content = content[:at] + content[end:]
        elif what == 2:
            content = (
                content[:at] + bytes(draw.randrange(256) for _ in range(draw.randrange(1, 4))) + content[end:]
            )
        elif what == 3:
            content = content[:at]
        elif what == 4:
            content = content[:end] + content[at:]
        else:
            lines = content.split(b"\n")
            one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
            lines[one] = lines[other] if what == 5 else draw.choice(BYTES_PUT)
            content = b"\n".join(lines)
    return content


def changed_table(draw: random.Random, content: bytes) -> bytes:
    """Return a table with cells, columns or its dialect changed."""
    text = content.decode("utf-8", errors="replace")
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(draw.choice((1, 1, 2, 5))):
        row = draw.choice(rows) if rows else []
        if not row:
            break
        at, what = draw.randrange(len(row)), draw.randrange(6)
        nasty = draw.choice([value for value in NASTY if not isinstance(value, list | dict)])
        if what == 0:
            row[at] = str(nasty)
        elif what == 1:
            row.insert(at, str(nasty))
        elif what == 2:
            del row[at]
        elif what == 3:
            rows[0][min(at, len(rows[0]) - 1)] = str(nasty)
        elif what == 4:
            for other in rows[1:]:
                if at < len(other):
                    other[at] = str(nasty)
        else:
            rows.insert(draw.randrange(len(rows)), list(draw.choice(rows)))
    separator, end = draw.choice(",,,;\t| "), draw.choice(["\n", "\n", "\r\n", "\r"])
    encoding = draw.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
    written = end.join(separator.join(row) for row in rows).encode(encoding, errors="replace")
    return changed_bytes(draw, written) if draw.random() < 0.2 else written
