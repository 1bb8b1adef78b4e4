"""Write into a page what its commands print: ``python tests/documents/rewrite.py docs/first-hour.md``.

All blocks of the page are run, those that take minutes too. Outputs that are already as printed, but for
numbers and what ``...`` stands for, stay as they are.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from blocks import ROOT, commands
from running import Reading, alike


def rewritten(page: str, root: Path = ROOT) -> str:
    """Run a page, and return its text with the outputs that came."""
    reading = Reading(page, demo=True, compare=False, root=root)
    reading.read()
    lines = (root / page).read_text(encoding="utf-8").split("\n")
    for block in reversed(reading.blocks):
        printed = reading.outputs.get(block.line)
        if printed is None or not (block.comments.output or block.language == "console"):
            continue
        if block.comments.output:
            wanted = [block.text if alike(block.text, printed[0]) else tidy(printed[0])]
        else:
            typed = commands(block)
            shown = [t.shows if alike(t.shows, p) else tidy(p) for t, p in zip(typed, printed, strict=True)]
            wanted = [f"{t.typed}\n{shows}" for t, shows in zip(typed, shown, strict=True)]
        indent = lines[block.line - 1][: -len(lines[block.line - 1].lstrip())]
        new = [f"{indent}{line}".rstrip() for line in "".join(wanted).split("\n")[:-1]]
        lines[block.line : block.line + block.text.count("\n")] = new
    return "\n".join(lines)


def tidy(printed: str) -> str:
    """Return what was printed, lines without spaces at their ends."""
    return "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as home:
            before = os.getcwd()
            os.chdir(home)
            text = rewritten(name)
            os.chdir(before)
        (ROOT / name).write_text(text, encoding="utf-8")
