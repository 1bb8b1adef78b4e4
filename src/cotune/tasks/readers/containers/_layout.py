"""Layouts: which files of a folder are which task, and which split of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from cotune.exceptions import InputError
from cotune.tasks.readers.containers._datasets import is_saved, read_saved
from cotune.tasks.readers.containers._file import is_table, read_table
from cotune.tasks.readers.containers._numbers import Row
from cotune.tasks.readers.containers._split_names import by_split, split_of, task_and_split, without_number
from cotune.tasks.readers.containers._table import Tables, stem_of

Loaders = dict[str, Callable[[], Tables]]

_REGISTER = "dataset_info.json"
"""Says what the other files of a folder are: LLaMA-Factory's register, or of a data set. It holds no rows."""


def tasks_of(path: Path) -> Loaders:
    """Return what reads each task of a file or folder, by its name.

    A file is a task. A folder is one task if it was written by ``save_to_disk``, or if its files or folders
    are named after splits ("train.csv", "dev.csv"); else every file, every two or more files such as
    "boolq_train.csv" and "boolq_dev.csv", and every folder in it is one.

    Raises
    ------
    InputError
        If nothing is found, or two tasks have one name.
    """
    if path.is_file():
        return {stem_of(path): partial(read_table, path)}
    found = _tasks(path, path.resolve().name)
    if not found:
        raise InputError(
            f"The folder '{path}' has nothing to read tasks from: files of JSON, JSON lines, CSV, TSV or "
            "Parquet, or folders that save_to_disk wrote."
        )
    return found


def _tasks(folder: Path, name: str) -> Loaders:
    if is_saved(folder):
        return {name: partial(read_saved, folder)}
    files, folders = _entries(folder)
    splits, _ = by_split(stem for stem in files if split_of(stem))
    if splits:
        spare = [
            file.name for stem, of_stem in files.items() if stem not in splits.values() for file in of_stem
        ]
        return {name: partial(_read, {s: files[stem] for s, stem in splits.items()}, folder, spare)}
    inside = {one.name: _files(one) for one in folders}
    if not files and folders and all(split_of(one) and found for one, found in inside.items()):
        splits, spare = by_split(inside)
        return {name: partial(_read, {s: inside[one] for s, one in splits.items()}, folder, spare)}
    if not files and list(inside) == ["data"]:
        return _tasks(folders[0], name)
    tasks = [*_by_stem(files, folder)]
    for one in folders:
        of_folder = _tasks(one, one.name)
        alone = len(of_folder) == 1
        tasks += [(one.name if alone else f"{one.name}_{name}", load) for name, load in of_folder.items()]
    return _distinct(folder, tasks)


def _entries(folder: Path) -> tuple[dict[str, list[Path]], list[Path]]:
    """Return the files that may hold rows, by name without the number of a part, and the folders."""
    stems: dict[str, list[Path]] = {}
    for file in _files(folder):
        stems.setdefault(without_number(stem_of(file)), []).append(file)
    for stem, files in stems.items():
        if len(files) > 1 and any(stem_of(file) == stem for file in files):
            raise InputError(
                f"The folder '{folder}' holds two tasks named '{stem}' "
                f"({', '.join(file.name for file in files)}); keep one, or rename it."
            )
    folders = sorted(entry for entry in folder.iterdir() if entry.is_dir() and _is_visible(entry))
    return stems, folders


def _files(folder: Path) -> list[Path]:
    tables = (entry for entry in folder.iterdir() if entry.is_file() and is_table(entry))
    return sorted(entry for entry in tables if _is_visible(entry) and entry.name != _REGISTER)


def _is_visible(entry: Path) -> bool:
    """Return whether an entry is neither hidden nor what an editor keeps beside an open file."""
    return not entry.name.startswith((".", "~"))


def _by_stem(files: dict[str, list[Path]], folder: Path) -> Iterator[tuple[str, Callable[[], Tables]]]:
    """Yield the tasks of files such as "boolq_train" and "boolq_dev", and those of one name each."""
    parts = {stem: part for stem in files if (part := task_and_split(stem))}
    stems: dict[str, dict[str, str]] = {}
    for stem, (task, split) in parts.items():
        stems.setdefault(task, {}).setdefault(split, stem)
    for stem, of_stem in files.items():
        task, split = parts.get(stem, (stem, "train"))
        of_task = stems.get(task, {}) if stem in parts else {}
        if len(of_task) < 2 or "train" not in of_task or stem not in of_task.values():
            yield stem, partial(_read, {"train": of_stem}, folder, [])
        elif split == "train":
            yield task, partial(_read, {s: files[one] for s, one in of_task.items()}, folder, [])


def _distinct(folder: Path, tasks: Iterable[tuple[str, Callable[[], Tables]]]) -> Loaders:
    found: Loaders = {}
    for name, load in tasks:
        if name in found:
            raise InputError(f"The folder '{folder}' holds two tasks named '{name}'; keep one, or rename it.")
        found[name] = load
    return found


def _read(splits: dict[str, list[Path]], folder: Path, spare: Sequence[str]) -> Tables:
    notes = [f"not read, beside the files of splits: {', '.join(spare)}"] if spare else []
    found = {split: [read_table(file, split) for file in files] for split, files in splits.items()}
    tables = [table for of_split in found.values() for table in of_split]
    notes += [note for table in tables for note in table.notes]
    if len(tables) == 1:  # which may say its splits itself
        return Tables(tables[0].splits, tables[0].where, notes)
    rows = {split: _joined(of_split) for split, of_split in found.items()}
    return Tables(rows, str(folder), notes)


def _joined(tables: Iterable[Tables]) -> Iterable[Row]:
    return itertools.chain.from_iterable(rows for table in tables for rows in table.splits.values())
