"""Pictures of the page to be looked at: 6 and 200 tasks, 400, 1000 and 1600 px, light and dark.

``python tests/report/screenshots.py FOLDER`` writes them by a Chromium on the path, and ends with 1 where the
browser has something to complain about.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from samples.grouping import whole_report

from cotune.report import write_report

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
HEIGHT = 6000


def browser() -> str:
    """Return a Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise SystemExit(f"None of {', '.join(names)} is on the path.")
    return found


def picture(page: Path, width: int, *, dark: bool) -> list[str]:
    """Write a picture beside a page; return what the browser complains about."""
    file = page.with_name(f"{page.stem}-{width}-{'dark' if dark else 'light'}.png")
    command = [browser(), *FLAGS, "--hide-scrollbars", "--enable-logging=stderr"]
    command += ["--force-dark-mode"] if dark else []
    command += [f"--window-size={width},{HEIGHT}", f"--screenshot={file}", page.as_uri()]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stderr
    assert file.is_file(), told
    return [line for line in told.splitlines() if "CONSOLE" in line]


def main(folder: Path) -> int:
    """Write all of them."""
    complaints = []
    for tasks, groups in ((6, 2), (200, 12)):
        page = write_report(whole_report(tasks, groups), folder.resolve() / f"{tasks}.html")
        for width, dark in product((400, 1000, 1600), (False, True)):
            complaints += picture(page, width, dark=dark)
    print(*complaints, sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
