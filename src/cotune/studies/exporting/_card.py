"""The card of a model that was exported: its source's, with its new name and the code that loads it."""

from __future__ import annotations

import re
from pathlib import Path

from cotune.studies.exporting._sources import tasks_of
from cotune.studies.model_card import CARD, LICENCE, front_matter, is_seq2seq, loading_code, write_card


def adapt_card(source: Path, folder: Path, name: str, base: str) -> None:
    """Write the card of a model into its folder.

    Parameters
    ----------
    source : Path
        The folder it was in, with or without a card.
    folder : Path
        The folder it is in now.
    name : str
        What it is called.
    base : str
        The pretrained model it is on, or was before its adapter was merged.
    """
    from huggingface_hub import ModelCard, ModelCardData

    code = f"```python\n{loading_code(folder, base, seq2seq=is_seq2seq(folder))}\n```"
    if not (source / CARD).is_file():
        tasks = ", ".join(tasks_of(source))
        trained = f" on {tasks}" if tasks else ""
        head = front_matter(folder, base, name=name, tags=[], scores=[])
        write_card(folder, [head, f"# {name}\n\n`{base}` tuned{trained}.", f"## Loading\n\n{code}", LICENCE])
        return
    card = ModelCard((source / CARD).read_text(encoding="utf-8"), ignore_metadata_errors=True)
    data = card.data
    assert isinstance(data, ModelCardData)
    data.library_name = "transformers" if (folder / "config.json").is_file() else "peft"
    data.model_name = name
    data.base_model = None if Path(base).is_dir() else base
    text = re.sub(r"\A\s*# .*", lambda _: f"# {name}", card.text, count=1)
    text = re.sub(r"```python\n.*?\n```", lambda _: code, text, count=1, flags=re.DOTALL)
    write_card(folder, [f"---\n{data.to_yaml()}\n---", text.strip()])
