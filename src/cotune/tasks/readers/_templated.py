"""One data set under many templates: each makes a task of the same rows.

What AdaGroup calls an instruction is such a template: where it stands relative to the fields of a row differs
from one to the next, so that it cannot be put before an input that is always the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cotune._steps import Together, TooMuchWorkError
from cotune.exceptions import InputError
from cotune.tasks._names import suggest
from cotune.tasks._task import Example, Task
from cotune.tasks.readers._rendering import SEPARATOR, compile_template, fields_of
from cotune.tasks.readers._rows import make_example
from cotune.tasks.readers.templates import TemplateOptions


def is_template(text: str) -> bool:
    """Return whether an instruction is a template, which is filled in and not read as it stands."""
    return "{{" in text or "{%" in text or SEPARATOR in text


def all_templates(texts: Mapping[int, str], task: str) -> bool:
    """Return whether instructions are templates.

    Raises
    ------
    InputError
        If some are and some are not.
    """
    found = [number for number, text in texts.items() if is_template(text)]
    if found and len(found) < len(texts):
        other = next(number for number in texts if number not in found)
        raise InputError(
            f"Instruction {found[0]} of the task '{task}' is a template and instruction {other} is none; a "
            "template holds input and target, an instruction stands before them: give all of one kind."
        )
    return bool(found)


def rows_template(texts: Mapping[int, str], options: TemplateOptions, task: str) -> str:
    """Return a template whose input is the fields of a row that any of the templates needs, as JSON.

    Raises
    ------
    InputError
        If a template is not valid, or the reader's options contradict them.
    """
    if options.template is not None or options.builtin is not None or "input" in options.model_fields_set:
        raise InputError(
            f"The instructions of the task '{task}' are templates, and 'input', 'template' or 'builtin' says "
            "what the model reads too; give one of the two."
        )
    used: set[str] = set()
    for number, text in texts.items():
        try:
            source = _whole(text, options)
            compile_template(source)
            used |= fields_of(source)
        except InputError as error:
            raise InputError(f"Instruction {number} of the task '{task}': {error}") from None
    for name in options.fields:
        if name not in used:
            raise InputError(
                f"'fields' gives '{name}', which no template of '{task}' uses; {suggest(name, used)}"
            )
    # To print a field that is not there is an error that names it; to make JSON of it would be none.
    row = ", ".join(f"'{name}': ({name} | string, {name})[1]" for name in sorted(used))
    _, _, target = _whole(next(iter(texts.values())), options).partition(SEPARATOR)
    return f"{{{{ {{{row}}} | tojson }}}}{SEPARATOR}{target}"


def templated(task: Task, texts: Mapping[int, str], options: TemplateOptions, format: str) -> list[Task]:
    """Make a task of each template.

    Parameters
    ----------
    task : Task
        Whose examples are rows, as :func:`rows_template` has them.
    texts : mapping of int to str
        The templates by number.
    options : TemplateOptions
        Labels and choices.
    format : str
        The format of the prompts.

    Raises
    ------
    InputError
        If a template can be filled in for no row, or no row for all of them.
    """
    values = {e.input: json.loads(e.input) for of_split in task.splits.values() for e in of_split}
    found: dict[int, dict[str, Example]] = {}
    lost: dict[str, str] = {}
    together = Together()
    for number, text in texts.items():
        fill = _filler(text, options, together)
        found[number], first = {}, ""
        for key, row in values.items():
            try:
                found[number][key] = fill(f"instruction {number}", row)
            except TooMuchWorkError:  # it would for the next row too
                raise
            except InputError as error:
                first = first or str(error)
                lost.setdefault(key, str(error))
        if not found[number]:
            raise InputError(f"The task '{task.name}' has no row that fills its template: {first}")
    splits = {split: [e for e in of if e.input not in lost] for split, of in task.splits.items()}
    for split, of_split in splits.items():
        if not of_split:
            why = next(iter(lost.values()))
            raise InputError(f"No {split} row of '{task.name}' fills all templates: {why}")
    notes = [f"filled into {len(texts)} templates, all of the same rows"]
    if lost:
        notes.append(
            f"{len(lost)} of {len(values)} rows left out that do not fill every template (the first: "
            f"{next(iter(lost.values())).rstrip('.')})"
        )
    rows = hashlib.sha256(json.dumps([e.input for e in splits["test"]]).encode()).hexdigest()
    return [
        replace(
            task,
            name=f"{task.name}-{number:03}",
            instruction="",
            splits={split: tuple(_filled(filled[e.input], e) for e in of) for split, of in splits.items()},
            format=format,
            notes=(*task.notes, *notes),
            rows=rows,
        )
        for number, filled in found.items()
    ]


def _whole(text: str, options: TemplateOptions) -> str:
    """Return a template of input and target; one of the input alone gets the reader's target."""
    return text if SEPARATOR in text else f"{text}{SEPARATOR}{options.target}"


def _filler(
    text: str, options: TemplateOptions, together: Together
) -> Callable[[str, Mapping[str, Any]], Example]:
    whole = options.model_copy(update={"template": _whole(text, options), "fields": {}})
    template = compile_template(whole.source)

    def fill(where: str, row: Mapping[str, Any]) -> Example:
        input, targets = whole.texts(template, together, where, row)
        return make_example(where, input, targets, whole.answers)

    return fill


def _filled(filled: Example, row: Example) -> Example:
    """Take over the choices that a reader found, where the template's answers are among them."""
    if filled.choices or not row.choices or not set(filled.targets) <= set(row.choices):
        return filled
    return replace(filled, choices=row.choices)


def numbered(texts: Sequence[str]) -> tuple[dict[int, str], str]:
    """Return instructions by number, each once, and what is said of repetitions, if there are any."""
    found: dict[int, str] = {}
    first: dict[str, int] = {}
    for number, text in enumerate(map(str.strip, texts), start=1):
        if first.setdefault(text, number) == number:
            found[number] = text
    dropped = len(texts) - len(found)
    return found, f"{dropped} of {len(texts)} instructions dropped as repetitions" if dropped else ""
