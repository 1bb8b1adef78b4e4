"""Draw the picture of a report on top of the README: ``python tools/picture.py [REPORT [PICTURE]]``.

The report is one that ``cotune demo`` left. What is shown are its own parts, the answer, the groups, two
figures and their captions, put closer together: tables between them are left out. Needs Chromium.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPORT, PICTURE = ROOT / "demo" / "report.html", ROOT / "docs" / "assets" / "report.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SIZE, SCALE, COLOURS = (1200, 840), 1.5, 200
CLOSER = """
body { max-width: none; padding: 1.3rem 1.6rem 0; }
header { display: flex; gap: 1rem; align-items: baseline; }
header p.date { margin-bottom: .8rem; }
main { display: grid; grid-template-columns: 1.5fr 1fr; column-gap: 1.6rem; }
main > :not(.answer, .group, #gains ~ figure, #affinity ~ figure),
main > figure:is(#gains ~ figure ~ figure):not(#affinity ~ figure),
main > figure:is(#affinity ~ figure):not(#affinity ~ figure ~ figure),
main > figure:is(#affinity ~ figure ~ figure ~ figure) { display: none !important; }
main > .answer { grid-column: 1 / 3; margin-bottom: .7rem; }
.answer > p:last-of-type { display: none; }
.answer ul.remarks { max-width: none; }
main > .group { display: grid; grid-template-columns: 5rem 1fr; border: 0; padding: .2rem 0; margin: 0; }
.group > div { display: contents; }
.group h3 { grid-row: 1; margin: 0; }
.group ul { grid-column: 2; grid-row: 1; margin: 0; }
.group span.muted { grid-column: 2; grid-row: 2; white-space: nowrap; }
main > figure { margin: .8rem 0 0; grid-row: 90; }
"""
"""The style that is put behind the report's own: which parts are shown, and where."""


def closer(report: str) -> str:
    """Return a report with its parts put closer together.

    Its content security policy goes, since it allows the report's own style alone.
    """
    without = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>\n?", "", report)
    return without.replace("</style>", f"{CLOSER}</style>", 1)


def draw(report: Path, picture: Path) -> None:
    """Draw the picture of a report, in few colours: it is of letters and flat areas."""
    from PIL import Image

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"One of {', '.join(BROWSERS)} is needed to draw the picture.")
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        page.write_text(closer(report.read_text(encoding="utf-8")), encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-sync"]
        options += ["--disable-background-networking", f"--user-data-dir={folder}/profile"]
        options += [f"--window-size={SIZE[0]},{SIZE[1]}", f"--force-device-scale-factor={SCALE}"]
        command = [browser, *options, f"--screenshot={shot}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.open(shot).convert("RGB").quantize(COLOURS).save(picture, optimize=True)


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    draw(*[*given, *(REPORT, PICTURE)[len(given) :]])
