"""From a task's rows to what a reader found of it: shape, instruction, examples, choices, and what to say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cotune.exceptions import InputError
from cotune.tasks._task import SPLITS, Example, Turn
from cotune.tasks.readers._base import Source
from cotune.tasks.readers._rows import Unusable
from cotune.tasks.readers.containers import Row
from cotune.tasks.readers.shapes import Shape, are_numbers, closed_set, recognise, template_name
from cotune.tasks.readers.templates import TemplateOptions

Rows = Mapping[str, Sequence[Row]]

_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d+|#x[0-9a-f]+);", re.IGNORECASE)
_MANY = 0.05
_TEMPLATE = {"input", "target", "template", "builtin", "fields"}
"""Options that say what of a row is read and answered, so that nothing has to be recognised."""


def read_rows(
    rows: Rows,
    options: TemplateOptions,
    *,
    path: str,
    folder: Path | None,
    task: str = "",
    turns: Literal["all", "last"] = "all",
    find_choices: bool = True,
    known: Sequence[str] = (),
) -> Source:
    """Make a source of rows, whose shape is recognised unless a template says what of them is read.

    Parameters
    ----------
    rows : mapping of str to sequence of (str, mapping or InputError)
        The rows of every split.
    options : TemplateOptions
        What was said of the task.
    path : str
        What the rows were read from, for errors.
    folder : Path, optional
        Where the files are, which notes leave out.
    task : str
        The task's name, where the path has several.
    turns : {"all", "last"}
        Which answers of a conversation are examples.
    find_choices : bool
        Whether few different targets are taken for the choices of a classification task.
    known : sequence of str
        Fields that are made use of elsewhere.

    Raises
    ------
    InputError
        If the shape is not recognised, or no row can be used.
    """
    by_template = bool(options.model_fields_set & _TEMPLATE)
    read = _by_template(rows, options) if by_template else _by_shape(rows, options, path, task, turns)
    unusable = Unusable(folder)
    wheres = dict.fromkeys(rows, f"{path}{', ' if task else ''}{task}")
    splits = unusable.splits(read.rows, partial(options.examples, unusable=unusable), wheres)
    splits, unlabelled = _labelled(splits)
    notes = [_read_as(read.said, _left(rows, read.shapes, known), unusable)]
    if len(splits) == 1:
        notes.append("divided into train, validation and test, since there is one split")
    notes += [note for shape in read.shapes for note in shape.notes]
    choices = closed_set(splits) if find_choices and not options.answers and not options.builtin else ()
    if choices:
        splits = {
            split: [replace(e, choices=choices) for e in of_split] for split, of_split in splits.items()
        }
        notes.append(_of_choices(choices))
    said = _turns(read.rows) if read.shapes else {}
    splits = {split: [_turned(e, said) for e in of_split] for split, of_split in splits.items()}
    notes += [*unlabelled, *unusable.left_out, *unusable.of_outputs, *_entities(splits)]
    metric = "accuracy" if choices else options.default_metric
    return Source(
        read.instruction,
        splits,
        metric,
        format=options.default_format,
        notes=tuple(notes),
        together=_together(read.rows) if read.shapes else {},
        why_metric=options.why_metric,
    )


@dataclass(frozen=True)
class _Read:
    """Rows as the task's template takes them, its instruction, and what they were recognised by."""

    rows: Rows
    instruction: str
    said: Sequence[str]
    shapes: Sequence[Shape] = ()


def _by_template(rows: Rows, options: TemplateOptions) -> _Read:
    named = {split: [(at, _renamed(row)) for at, row in of_split] for split, of_split in rows.items()}
    return _Read(named, options.instruction, ["the template says"])


def _by_shape(
    rows: Rows, options: TemplateOptions, path: str, task: str, turns: Literal["all", "last"]
) -> _Read:
    shapes = _shapes(rows, path, task, turns)
    unfolded = {split: list(_unfolded(shapes[split], of_split)) for split, of_split in rows.items()}
    instruction, lifted = _common(unfolded, options)
    said = [*_names(shapes), *(["one instruction for all"] if instruction != options.instruction else [])]
    return _Read(lifted, instruction, said, list(dict.fromkeys(shapes.values())))


def _labelled(
    splits: Mapping[str, list[Example]],
) -> tuple[dict[str, list[Example]], list[str]]:
    """Leave out held-out splits whose labels are all -1 and so none, as in GLUE's test files."""
    trained = {target for example in splits.get("train", ()) for target in example.targets}
    found = {
        split: of_split
        for split, of_split in splits.items()
        if not trained or "-1" in trained or {e.targets for e in of_split} != {("-1",)}
    }
    return found, [
        f"{split} was left out, since all its labels are -1, which stands for none"
        for split in splits
        if split not in found
    ]


def _renamed(row: Mapping[str, Any] | InputError) -> Mapping[str, Any] | InputError:
    """Return a row with names that templates can write beside those that they cannot."""
    if isinstance(row, InputError):
        return row
    return {**{template_name(field): value for field, value in row.items()}, **row}


def _shapes(rows: Rows, path: str, task: str, turns: Literal["all", "last"]) -> dict[str, Shape]:
    """Return the shape of every split: that of the first, unless its rows are of another that is known."""
    first = next(split for split in (*SPLITS, *rows) if rows.get(split))
    shape = recognise(rows[first], path, turns, task=task)
    found = dict.fromkeys(rows, shape)
    for split, of_split in rows.items():
        if split != first and of_split:
            try:
                other = recognise(of_split, path, turns, task=task)
            except InputError:
                continue  # what is wrong with its rows is told with them
            if other.name != shape.name:
                found[split] = other
    return found


def _unfolded(shape: Shape, rows: Iterable[Row]) -> Iterator[Row]:
    for where, row in rows:
        if isinstance(row, InputError):
            yield where, row
            continue
        try:
            yield from shape.unfold(where, row)
        except InputError as error:
            yield where, error


def _common(rows: Rows, options: TemplateOptions) -> tuple[str, Rows]:
    """Make the instruction that all rows share that of the task, and part of the inputs where it varies."""
    usable = [row for of_split in rows.values() for _, row in of_split if not isinstance(row, InputError)]
    instructions = {row.get("instruction", "") for row in usable}
    alone = len(instructions) == 1 and all(str(row["input"]).strip() for row in usable)
    if alone and instructions != {""} and "instruction" not in options.model_fields_set:
        return instructions.pop().strip(), rows
    return options.instruction, {
        split: [(where, _with_instruction(row)) for where, row in of_split]
        for split, of_split in rows.items()
    }


def _with_instruction(row: Mapping[str, Any] | InputError) -> Mapping[str, Any] | InputError:
    if isinstance(row, InputError) or not row.get("instruction"):
        return row
    parts = [row["instruction"], row["input"]]
    told = {**row, "input": "\n".join(part for part in parts if part)}
    if "turns" in row:
        told["turns"] = (Turn("system", row["instruction"]), *(row["turns"] or [Turn("user", row["input"])]))
    return told


def _together(rows: Rows) -> dict[str, str]:
    return {
        row["input"].strip(): row["whole"]
        for of_split in rows.values()
        for _, row in of_split
        if not isinstance(row, InputError) and "whole" in row
    }


def _turns(rows: Rows) -> dict[str, tuple[Turn, ...]]:
    return {
        row["input"].strip(): row["turns"]
        for of_split in rows.values()
        for _, row in of_split
        if not isinstance(row, InputError) and row.get("turns")
    }


def _turned(example: Example, turns: Mapping[str, tuple[Turn, ...]]) -> Example:
    return replace(example, turns=turns[example.input]) if example.input in turns else example


def _names(shapes: Mapping[str, Shape]) -> list[str]:
    names = list(dict.fromkeys(shape.name for shape in shapes.values()))
    if len(names) == 1:
        return names
    return [f"{name} ({', '.join(s for s in shapes if shapes[s].name == name)})" for name in names]


def _left(rows: Rows, shapes: Iterable[Shape], known: Sequence[str]) -> list[str]:
    """Return the fields that are not made use of; a template's are its author's business."""
    used = {field for shape in shapes for field in shape.used} | set(known)
    if not shapes:
        return []
    named = (row for of_split in rows.values() for _, row in of_split if not isinstance(row, InputError))
    return [field for field in dict.fromkeys(field for row in named for field in row) if field not in used]


def _read_as(said: Sequence[str], left: Sequence[str], unusable: Unusable) -> str:
    without = f", without {', '.join(left[:6])}{', ...' if len(left) > 6 else ''}" if left else ""
    return f"read as {', '.join(said)}{without}: {unusable.count()}"


def _of_choices(choices: Sequence[str]) -> str:
    listed = ", ".join(choices[:6]) + (", ..." if len(choices) > 6 else "")
    bare = ", numbers that 'labels' can put into words" if are_numbers(choices) else ""
    return (
        f"{len(choices)} different targets, each repeated: answered as a choice among them, scored by "
        f"accuracy ({listed}{bare}; find_choices: false takes them for free text)"
    )


def _entities(splits: Mapping[str, Sequence[Example]]) -> list[str]:
    examples = [example for split in splits.values() for example in split]
    found = sum(bool(_ENTITY.search(" ".join((each.input, *each.targets)))) for each in examples)
    if found < max(1, _MANY * len(examples)):
        return []
    return [f"{found} of {len(examples)} examples hold references of HTML such as &amp;, kept as they are"]
