"""Which shape rows have, told from their fields."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import yaml

from cotune.exceptions import InputError
from cotune.tasks.readers.containers import Row
from cotune.tasks.readers.shapes._base import Fields, Shape
from cotune.tasks.readers.shapes._chat import Chat
from cotune.tasks.readers.shapes._choices import MultipleChoice
from cotune.tasks.readers.shapes._pairs import Alpaca, Pair

_PREFERENCES = (("chosen", "rejected"), ("preferred", "dispreferred"), ("response_a", "response_b"))


def recognise(rows: Sequence[Row], where: str, turns: Literal["all", "last"], *, task: str = "") -> Shape:
    """Return the shape of a table.

    Parameters
    ----------
    rows : sequence of (str, mapping or InputError)
        Its rows.
    where : str
        The path they were read from, for errors.
    turns : {"all", "last"}
        Which answers of a conversation are examples.
    task : str
        The task's name, where the path has several.

    Raises
    ------
    InputError
        If the rows are preferences or text without targets, or their fields are none that are known: gives
        a template of the fields that were found.
    """
    fields = Fields(rows)
    if not fields:
        raise next(row for _, row in rows if isinstance(row, InputError))
    _refuse_preferences(fields, f"{where}, {task}," if task else where)
    found = Chat.of(fields, turns) or MultipleChoice.of(fields) or Alpaca.of(fields) or Pair.of(fields)
    if found is None:
        raise InputError(_unknown(fields, where, task))
    return found


def _refuse_preferences(fields: Fields, where: str) -> None:
    for pair in _PREFERENCES:
        if found := fields.all_of(pair):
            asked = fields.first_of(("prompt", "question", "instruction", "input")) or "prompt"
            raise InputError(
                f"{where} is of preferences ({' and '.join(found)}), and a task needs right answers: take "
                f"the better ones by the template '{{{{ {asked} }}}} ||| {{{{ {found[0]} }}}}', or train "
                "on it with a library for preferences."
            )
    label = fields.first_of(("label",))
    if fields.all_of(("prompt", "completion")) and label:
        values = fields.values(label)
        if values and all(isinstance(value, bool) for value in values):
            raise InputError(
                f"{where} is of preferences (a completion and whether it is wanted, '{label}'), and a task "
                "needs right answers: keep the wanted rows alone, without that field."
            )


def _unknown(fields: Fields, where: str, task: str) -> str:
    names = list(fields.names)
    texts = [name for name in names if any(isinstance(value, str) for value in fields.values(name)[:20])]
    within = _within(fields) if len(texts) < 2 else []
    texts = within or [template_name(name) for name in _by_length(fields, texts or names)]
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    if where.endswith((".csv", ".tsv")):
        listed += "; the first line has to name the columns"
    if len(texts) < 2:
        return (
            f"{where} has no field with answers ({listed}), which a task needs; text alone can be mixed in "
            "as replay (training.replay)."
        )
    # The longest text is likely what is read, the shortest what is answered.
    template = {"input": f"{{{{ {texts[0]} }}}}", "target": f"{{{{ {texts[-1]} }}}}"}
    entry = {"path": where, **({"templates": {task: template}} if task else template)}
    written = yaml.safe_dump({"tasks": entry}, default_flow_style=True, sort_keys=False, width=math.inf)
    return (
        f"{where} has fields that are not recognised ({listed}): say what is read and what is answered, such "
        f"as {written.strip()[1:-1]} in a file, or --template '{template['input']} ||| {template['target']}'."
    )


def _by_length(fields: Fields, names: Sequence[str]) -> list[str]:
    """Return fields, the longest on average first."""
    return sorted(names, key=lambda name: -sum(len(str(value)) for value in fields.values(name)))


def _within(fields: Fields) -> list[str]:
    """Return what templates call the texts in a field that holds several by name: ``translation.en``."""
    for name in fields.names:
        values = fields.values(name)
        if values and all(isinstance(value, Mapping) and len(value) > 1 for value in values):
            return [f"{template_name(name)}.{key}" for key in values[0] if str(key).isidentifier()]
    return []


def template_name(field: str) -> str:
    """Return the name by which templates know a field: "Customer message" is ``Customer_message``."""
    name = re.sub(r"\W", "_", field)
    return f"_{name}" if name[:1].isdigit() else name
