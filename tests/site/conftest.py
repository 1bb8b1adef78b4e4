"""The site of the documentation, built once as ``make docs`` builds it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools" / "site"))


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Return the folder of the site."""
    folder = tmp_path_factory.mktemp("site") / "built"
    recipe = re.search(
        r"(?m)^docs:.*\n\t.*\$\(BIN\)/mkdocs (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8")
    )
    # With --quiet MkDocs would count no warnings, and --strict would let all of them pass.
    assert recipe[1] == "build --strict"
    command = [sys.executable, "-m", "mkdocs", *recipe[1].split(), "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
