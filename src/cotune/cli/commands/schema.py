"""``cotune schema``: what a study file may say, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def schema(
    out: Annotated[Path | None, typer.Option(help="Write it to a file in the place of printing it.")] = None,
) -> None:
    """Print the JSON schema of study files: editors complete keys by it, and mark what is not valid.

    It is made from what study files are checked by, installed packages included.
    """
    from cotune._files import write_text
    from cotune.studies.schema import study_schema

    text = json.dumps(study_schema(), indent=1, ensure_ascii=False)
    if out is None:
        print(text)
    else:
        write_text(out, text + "\n")
