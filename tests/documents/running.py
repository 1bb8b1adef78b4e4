"""Do what a page says, block after block in one folder, and hold what comes out against what is shown."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
from pathlib import Path

import planted
from blocks import COMMANDS, DATA, PYTHON, ROOT, STUDY, Block, Typed, commands, read_page
from checking import check

from cotune.cli.main import main

TOOLS = {"ls", "cat", "head", "tail", "wc", "mkdir", "cp", "echo"}
"""Programs beside cotune that pages may run."""

HELPERS = {
    name: getattr(planted, name)
    for name in dir(planted)
    if name.startswith(("plant_", "shorten", "elsewhere"))
}


class Reading:
    """A reader who types all of a page, in an empty folder.

    Parameters
    ----------
    page : str
        The page, relative to ``root``.
    demo : bool
        Whether blocks are run that take minutes.
    compare : bool
        Whether what is printed has to be what the page shows.
    root : Path
        The folder of the project.
    """

    def __init__(self, page: str, *, demo: bool = False, compare: bool = True, root: Path = ROOT) -> None:
        self.blocks = read_page(page, root)
        self.demo, self.compare = demo, compare
        self.names: dict[str, object] = {"__name__": page, **HELPERS}
        self.printed = ""
        self.files: dict[str, Block] = {}
        self.outputs: dict[int, list[str]] = {}
        """By lines of the page: what each command of a block printed, or what was printed above an output."""

    def read(self) -> None:
        """Run the blocks that can be, in order, and check the others."""
        for block in self.blocks:
            if not block.hidden:
                check(block)
            if block.comments.way in ("run", *["demo"][: self.demo]):
                with self._inside(block):
                    self.run(block)
            elif block.comments.file:
                self.write(block)
        self._all_files_are_used()

    @contextlib.contextmanager
    def _inside(self, block: Block):
        try:
            yield
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{block.where}: {type(error).__name__}: {error}") from error

    def run(self, block: Block) -> None:
        """Run one block."""
        if block.comments.file:
            self.write(block)
        elif block.comments.output:
            self.outputs[block.line] = [self.printed]
            self._hold(block.text, self.printed)
        elif block.language in PYTHON:
            self.printed = self._python(block)
        elif block.language in COMMANDS:
            self._commands(block)
        elif block.language in DATA:
            self._data(block)
        else:
            known = block.language in STUDY  # validated by its check: that is all that a study file can do
            assert known, "say by a comment what the block is: output, file, checked or shown"

    def write(self, block: Block) -> None:
        """Write a block as the file that it is said to be."""
        path = Path(block.comments.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        self.files[path.name] = block

    def _python(self, block: Block) -> str:
        out = io.StringIO()
        # Tracebacks name the line of the page.
        code = compile("\n" * block.line + block.text, block.page, "exec", dont_inherit=True)
        if block.hidden:
            self.names["printed"] = self.printed
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            exec(code, self.names)
        return self.printed if block.hidden else out.getvalue()

    def _commands(self, block: Block) -> None:
        self.printed = ""
        for typed in commands(block):
            printed = self._command(typed, block)
            self.printed += printed
            self.outputs.setdefault(block.line, []).append(printed)
            if typed.shows or block.language == "console":
                self._hold(typed.shows, printed, typed.text)

    def _hold(self, shown: str, printed: str, command: str = "") -> None:
        if self.compare:
            assert alike(shown, printed), f"{command}\nshown:\n{shown}\nprinted:\n{printed}"

    def _command(self, typed: Typed, block: Block) -> str:
        words = typed.words
        if words[0] in TOOLS:
            done = subprocess.run(["bash", "-c", typed.text], capture_output=True, text=True)
            assert done.returncode == 0, f"{typed.text}: {done.stderr}"
            return done.stdout
        assert words[0] in ("cotune", ".venv/bin/cotune"), f"{words[0]} is not run by the test: say why not"
        assert not {"|", "&&", ";"} & {*words}, f"{typed.text}: a command a line, without pipes"
        words += shlex.split(block.comments.adding.get(words[1], ""))
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()) as error:
            status = main(words[1:])
        refused = "error: " in typed.shows
        assert status == (2 if refused else 0), f"{typed.text}: {error.getvalue()}"
        if refused:
            out.write("".join(error.getvalue().partition("error: ")[1:]))
        if typed.target:
            Path(typed.target).write_text(out.getvalue(), encoding="utf-8")
            return ""
        return out.getvalue().replace(f"{Path.cwd()}{os.sep}", "")

    def _data(self, block: Block) -> None:
        """Read data that no command of the page asks for as tasks."""
        from cotune import read_tasks

        file = Path("rows", f"rows{block.line}.{block.language}")
        file.parent.mkdir(exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
        (task,) = read_tasks(file)
        assert sum(len(task[split]) for split in ("train", "validation", "test")) > 0

    def _all_files_are_used(self) -> None:
        for name, written in self.files.items():
            later = self.blocks[self.blocks.index(written) + 1 :]
            used = any(name in block.text or _folder_of(written) in block.text for block in later)
            assert used, f"{written.where}: nothing on the page reads {written.comments.file}"


def _folder_of(block: Block) -> str:
    parent = Path(block.comments.file).parent.as_posix()
    return "\0" if parent == "." else parent.split("/")[0]


def alike(shown: str, printed: str) -> bool:
    """Tell whether a text was printed, but for numbers, which machines round as they like, and ``...``."""
    pattern = re.escape(masked(shown))
    for left_out in ("...\n", "..."):  # a line of dots stands for no line as well
        pattern = pattern.replace(re.escape(left_out), "(?s:.*)")
    return re.fullmatch(pattern, masked(printed)) is not None


def masked(text: str) -> str:
    """Return a text without numbers, ends of lines, and how long things took."""
    text = "\n".join(line.rstrip() for line in text.strip().splitlines())
    text = re.sub(r"(?m)^.*\bruns?\b(, steps? .*)? in \d.*\n?", "", text)
    return re.sub(r"[+\N{MINUS SIGN}-]?\d[\d.,]*", "#", text).strip()
