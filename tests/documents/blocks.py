"""Read the pages of the documentation into blocks of code, and what comments tell the test of them.

CONTRIBUTING.md says what the comments mean; a comment or block that is not understood is an error.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Literal

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))]

Way = Literal["run", "demo", "checked", "shown"]
PYTHON, COMMANDS, STUDY = {"python", "py"}, {"bash", "console", "sh"}, {"yaml"}
DATA, OTHER, PLAIN = {"jsonl", "json", "csv", "tsv"}, {"toml", "jinja", "html"}, {"", "text"}
LANGUAGES = PYTHON | COMMANDS | STUDY | DATA | OTHER | PLAIN

_COMMENT = re.compile(r"^ *<!-- test: (\w+)(.*?)-->[ ]*$", re.DOTALL)
_FENCE = re.compile(r"^( *)(`{3,}|~{3,})[ ]*(.*)$")


@dataclass
class Comments:
    """What the comments above a block ask of the test."""

    way: Way = "run"
    reason: str = ""
    file: str = ""
    output: bool = False
    adding: dict[str, str] = field(default_factory=dict)

    def take(self, word: str, rest: str, where: str) -> None:
        """Take up one comment."""
        argument = " ".join(rest.split()).removeprefix(":").strip()
        if word in ("demo", "checked", "shown"):
            assert self.way == "run", f"{where}: a block is one of demo, checked and shown"
            assert len(argument) > 5 or word == "demo", (
                f"{where}: say why the block is {word} in place of run"
            )
            self.way, self.reason = word, argument  # type: ignore[assignment]
        elif word == "file":
            assert re.fullmatch(r"[\w.][\w./ -]*", argument), f"{where}: file needs a relative path"
            self.file = argument
        elif word == "output":
            self.output = True
        elif word == "adding":
            command, colon, options = argument.partition(":")
            assert colon + options.strip() > ":", f"{where}: write `adding COMMAND: OPTIONS`"
            self.adding[command.strip()] = options.strip()
        else:
            raise AssertionError(f"{where}: no comment of the test is called {word!r}")


@dataclass(frozen=True)
class Block:
    """A block of code of a page, or the code of a comment, which readers do not see."""

    page: str
    line: int
    language: str
    text: str
    comments: Comments
    hidden: bool = False

    @property
    def where(self) -> str:
        """Return the place of the block."""
        return f"{self.page}:{self.line}"


def read_page(page: str, root: Path = ROOT) -> list[Block]:
    """Return the blocks of a page in order, hidden code among them."""
    lines = (root / page).read_text(encoding="utf-8").splitlines()
    return list(_blocks(page, lines))


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    at, pending, since = 0, Comments(), ""
    while at < len(lines):
        where = f"{page}:{at + 1}"
        if fence := _FENCE.match(lines[at]):
            indent, marks, info = fence.groups()
            end = next(
                (
                    n
                    for n in range(at + 1, len(lines))
                    if lines[n].strip() == marks and lines[n].startswith(indent)
                ),
                None,
            )
            assert end is not None, f"{where}: the block has no end"
            language = info.split(" ")[0].lower()
            assert language in LANGUAGES, f"{where}: the test knows no blocks of {language!r}"
            text = dedent("".join(f"{line}\n" for line in lines[at + 1 : end]))
            yield Block(page, at + 1, language, text, pending)
            at, pending, since = end + 1, Comments(), ""
        elif lines[at].lstrip().startswith("<!-- test:"):
            end = next(n for n in range(at, len(lines)) if "-->" in lines[n])
            comment = _COMMENT.match("\n".join(lines[at : end + 1]))
            assert comment, f"{where}: a comment of the test stands on lines of its own"
            word, rest = comment.groups()
            if word == "hidden":
                first, _, code = rest.partition("\n")
                assert first.strip() in ("", "demo"), f"{where}: hidden code begins on the next line"
                way: Way = "demo" if first.strip() else "run"
                yield Block(page, at + 1, "python", dedent(code), Comments(way=way), hidden=True)
            else:
                pending.take(word, rest, where)
                since = where
            at = end + 1
        else:
            assert not since or not lines[at].strip(), f"{since}: the comment stands above no block"
            at += 1
    assert not since, f"{since}: the comment stands above no block"


def all_blocks() -> list[Block]:
    """Return the blocks of all pages that readers see."""
    return [block for page in PAGES for block in read_page(page) if not block.hidden]


def summary() -> str:
    """Say how many blocks of the documentation are run, and how many are only checked."""
    ways = [block.comments.way for block in all_blocks()]
    return (
        f"documents: of {len(ways)} blocks {ways.count('run')} run, {ways.count('demo')} by make test-demos, "
        f"{ways.count('checked')} are only checked, {ways.count('shown')} only shown"
    )


@dataclass(frozen=True)
class Typed:
    """A command of a block, as one line and as it stands there, and what the block shows that it prints."""

    line: int
    text: str
    typed: str
    shows: str = ""

    @property
    def words(self) -> list[str]:
        """Return the words of the command, without what comes after ``>``."""
        words = shlex.split(self.text, comments=True)
        return words[: words.index(">")] if ">" in words else words

    @property
    def target(self) -> str | None:
        """Return the file that the output goes to."""
        words = shlex.split(self.text, comments=True)
        return words[words.index(">") + 1] if ">" in words else None


def commands(block: Block) -> list[Typed]:
    """Part a block into its commands: all lines of it, or those after ``$ `` with what they print between."""
    found: list[Typed] = []
    lines = block.text.split("\n")[:-1]
    prompt = block.language == "console" or any(line.startswith("$ ") for line in lines)
    at = 0
    while at < len(lines):
        line, first = lines[at], at
        if prompt and not line.startswith("$ "):
            assert found, f"{block.where}: a console block begins with a command"
            last = found[-1]
            found[-1] = Typed(last.line, last.text, last.typed, f"{last.shows}{line}\n")
            at += 1
            continue
        text = line.removeprefix("$ ") if prompt else line
        while text.endswith("\\"):
            at += 1
            text = text[:-1].rstrip() + " " + lines[at].removeprefix("> ").strip()
        if text.strip() and not text.lstrip().startswith("#"):
            found.append(Typed(block.line + 1 + first, text, "\n".join(lines[first : at + 1])))
        at += 1
    return found
