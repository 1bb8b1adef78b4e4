"""Commands in the text of tutorials, formats, coming from and questions: words that the line takes."""

import re
import shlex

import pytest
from blocks import PAGES, ROOT
from checking import parse_arguments

FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
FOLDERS = ("docs/tutorials/", "docs/formats/", "docs/coming-from/", "docs/faq.md")


def commands(page):
    """Return the commands in the text of a page, blocks aside."""
    text = FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))
    return re.findall(r"`cotune ([^`]+)`", text)


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith(FOLDERS) and commands(page)])
def test_the_command_line_takes_them(page):
    for command in commands(page):
        words = shlex.split(command.replace("...", "1"))
        try:
            parse_arguments(words, page)
        except AssertionError as error:
            # Of a command that is only named the arguments are left out.
            if "Missing argument" not in str(error) and "Missing option" not in str(error):
                raise


def test_there_are_some():
    assert len([command for page in PAGES if page.startswith(FOLDERS) for command in commands(page)]) > 20
