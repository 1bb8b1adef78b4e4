"""A first study file for whatever data is there: read, counted, written down with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from cotune._config import parse
from cotune._files import write_text
from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.findings.wording import count
from cotune.models.config import ModelConfig
from cotune.studies.kinds import KINDS
from cotune.studies.starting._found import COMMANDS, Found, Sizes, Start
from cotune.studies.starting.grouping import GroupingStart
from cotune.studies.starting.retention import RetentionStart
from cotune.studies.starting.transfer import TransferStart
from cotune.tasks import Task, note_lines
from cotune.tasks.readers import AutoReader

__all__ = ["STARTS", "StartedStudy", "start_study"]

STARTS: dict[str, Start] = {
    "grouping": GroupingStart(),
    "retention": RetentionStart(),
    "transfer": TransferStart(),
}
"""How a file of each kind of study is written."""


@dataclass(frozen=True)
class StartedStudy(Brief):
    """A study file that was written.

    Parameters
    ----------
    file : Path
        The file.
    kind : str
        The kind of study.
    tasks : tuple of Task
        The tasks it studies.
    apart : tuple of str
        Names of the tasks it sets apart: targets, held-out ones.
    left_out : mapping of str to str
        Tasks that could not be read, and why.
    """

    file: Path
    kind: str
    tasks: tuple[Task, ...]
    apart: tuple[str, ...]
    left_out: dict[str, str]

    def sentences(self) -> list[str]:
        """Say what was found, and what to do next."""
        start = STARTS[self.kind]
        rest = count(len(self.tasks) - len(self.apart), "task")
        apart = f", {(start.option or '').removeprefix('--')}: {', '.join(self.apart)}" if self.apart else ""
        lines = [f"{self.file}: {rest} {start.finding}{apart}"]
        lines += [f"  {line}" for line in note_lines({task.name: task.notes for task in self.tasks})]
        lines += [f"  {name} is left out: {reason}" for name, reason in self.left_out.items()]
        return [*lines, "next:", *(f"  cotune {command} {self.file}" for command, _ in COMMANDS)]


def start_study(
    data: str | Path,
    model: str,
    out: str | Path = "study.yaml",
    *,
    kind: str = "grouping",
    targets: Sequence[str] = (),
    held_out: Sequence[str] = (),
    trusted_revision: str | None = None,
) -> StartedStudy:
    """Write a study file for data as it is, with comments that say why each line is as it is.

    What ``cotune init`` does. The file is read back before it is written: it is a valid study.

    Parameters
    ----------
    data : str or Path
        A file, a folder, or the name of a data set on the hub, of two tasks or more.
    model : str
        Folder of a checkpoint, or a name.
    out : str or Path
        The file to write, which must not exist; results will go to the folder of its name.
    kind : {"grouping", "retention", "transfer"}
        The kind of study.
    targets, held_out : sequence of str
        Names or patterns of the tasks that a retention study tunes on, and of those that a transfer study
        never trains on; each is for that kind alone, which cannot do without.
    trusted_revision : str, optional
        Lets code run that comes with the model, here and in the study: a commit of the hub, or the hash of a
        folder's Python files, that somebody has read.

    Raises
    ------
    InputError
        If there is such a file, no data or model, fewer tasks that can be read than the kind of study needs,
        or tasks are set apart that the kind has no use for.
    """
    out, data = Path(out), str(data)
    if kind not in STARTS:
        raise InputError(f"--kind must be {', '.join(STARTS)}, got '{kind}'.")
    start = STARTS[kind]
    apart = _apart(kind, {"--target": targets, "--held-out": held_out})
    if out.exists():
        raise InputError(f"{out} exists and is not replaced; name another file with --out.")
    if out.with_suffix("").exists():
        raise InputError(
            f"Results would go to {out.with_suffix('')}, which exists; name another file with --out."
        )
    found = AutoReader(path=data).each(base=Path(), seed=0)
    tasks = tuple(task for task in found.values() if isinstance(task, Task))
    left_out = {name: str(error) for name, error in found.items() if isinstance(error, InputError)}
    if not tasks:
        raise InputError(next(iter(left_out.values())))
    if len(tasks) == 1:
        raise InputError(
            f"{data} holds one task that can be read ({tasks[0].name}), and {kind} studies are of several: "
            f"tune a model on it by 'cotune tune {data} --model {model} --out {tasks[0].name}-tuned'."
        )
    names = _named(apart, tasks, start)
    trust: dict[str, Any] = {}
    if trusted_revision is not None:
        trust = {"revision": trusted_revision, "trust_remote_code": True}
    sizes = Sizes.of(tasks, ModelConfig(model=model, **trust).encoder(Path()))
    text = "\n".join(start.lines(Found(data, model, out, tasks, left_out, sizes, trust, names))) + "\n"
    parse(KINDS[kind].config_class, yaml.safe_load(text), str(out)).check(str(out))
    write_text(out, text)
    return StartedStudy(out, kind, tasks, names, left_out)


def _apart(kind: str, given: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Return what the kind's own option says, which no other may."""
    own = STARTS[kind].option
    for option, names in given.items():
        if names and option != own:
            other = next(name for name, start in STARTS.items() if start.option == option)
            raise InputError(f"{option} is for --kind {other}; this is a {kind} study.")
    if own is None:
        return ()
    if not given[own]:
        raise InputError(f"A {kind} study needs {own} TASK, a name or a pattern, once or more.")
    return given[own]


def _named(apart: Sequence[str], tasks: Sequence[Task], start: Start) -> tuple[str, ...]:
    """Return the tasks that names and patterns mean."""
    names = [task.name for task in tasks]
    for pattern in apart:
        if pattern not in names and not any(fnmatchcase(name, pattern) for name in names):
            listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            raise InputError(f"{start.option} {pattern}: no such task; there are {listed}.")
    chosen = tuple(n for n in names if any(n == p or fnmatchcase(n, p) for p in apart))
    if len(names) - len(chosen) < start.least:
        raise InputError(f"{start.option} names all {len(names)} tasks, and nothing is left {start.finding}.")
    return chosen
