"""Where the shipped checkpoint lies."""

from __future__ import annotations

from pathlib import Path

TOY_CHECKPOINT = Path(__file__).parents[1] / "assets" / "toy_language"
"""Folder of the shipped checkpoint, which ``python -m cotune.lab.toy_language.pretrain`` made."""
ABILITIES = "abilities.json"
"""The file in it that says what was measured, and how the checkpoint was made."""
