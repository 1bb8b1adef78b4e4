"""What ``pyproject.toml`` cannot say: a package index shows the README, and none of the files beside it."""

import re
from pathlib import Path

from setuptools import setup


def for_an_index(text: str) -> str:
    """Return the README without pictures, links to files as plain text: an index has none of these files."""
    text = re.sub(r"!\[[^\]]*\]\((?![a-z]+:)[^)]*\)\n*", "", text)
    # What stays has a scheme, or is a place within the page.
    return re.sub(r"\[([^\]]*)\]\((?![a-z]+:|#)[^)]*\)", r"\1", text)


if __name__ == "__main__":
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    setup(long_description=for_an_index(readme), long_description_content_type="text/markdown")
