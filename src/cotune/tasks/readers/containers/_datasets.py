"""Rows through the `datasets` library: folders that it saved, and data sets with configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cotune._yaml import YamlError, parse_yaml
from cotune.exceptions import InputError
from cotune.tasks.readers.containers._numbers import Row
from cotune.tasks.readers.containers._parquet import class_labels, with_names
from cotune.tasks.readers.containers._split_names import by_split
from cotune.tasks.readers.containers._table import Tables, guarded, numbered


def is_saved(folder: Path) -> bool:
    """Return whether a folder is one that ``save_to_disk`` of the library wrote."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file()
    )


def has_configurations(folder: Path) -> bool:
    """Return whether a folder's card lists configurations or names of labels, as data sets of the hub do."""
    card = folder / "README.md"
    if not card.is_file():
        return False
    opening, _, rest = card.read_text(encoding="utf-8", errors="replace").partition("---\n")
    try:
        metadata = parse_yaml(rest.partition("\n---")[0]) if not opening.strip("\ufeff \n") else None
    except YamlError:
        return False
    return isinstance(metadata, dict) and (bool(metadata.get("configs")) or "class_label" in str(metadata))


def read_saved(folder: Path) -> Tables:
    """Return the rows of a folder of ``save_to_disk``."""
    import datasets

    found = _loaded(str(folder), partial(datasets.load_from_disk, str(folder)))
    return _tables(found if isinstance(found, dict) else {"train": found}, str(folder))


def data_set(
    name: str, config: str | None, revision: str | None, *, streaming: bool
) -> dict[str, Callable[[], Tables]]:
    """Return what reads each configuration of a data set, by its name.

    Parameters
    ----------
    name : str
        Its name on the hub, or a local folder.
    config, revision : str or None
        The configuration alone to read, and the branch, tag or commit.
    streaming : bool
        Whether rows come as they are asked for, in place of downloading all of them first.

    Raises
    ------
    InputError
        If there is no such data set, or it cannot be reached.
    """
    import datasets

    last = Path(name).name
    ask = partial(datasets.get_dataset_config_names, name, revision=revision)
    configs = [config] if config else list(_loaded(name, ask))
    load = partial(_read, name, revision=revision, streaming=streaming)
    if len(configs) == 1:
        return {f"{last}_{config}" if config else last: partial(load, configs[0])}
    return {one: partial(load, one) for one in configs}


def _read(name: str, config: str, *, revision: str | None, streaming: bool) -> Tables:
    import datasets

    load = partial(datasets.load_dataset, name, config, revision=revision, streaming=streaming)
    return _tables(_loaded(name, load), f"The data set '{name}', {config}")


def _tables(splits: Mapping[str, Any], where: str) -> Tables:
    named, rest = by_split(splits)
    if not named:
        if len(splits) > 1:
            raise InputError(f"{where} has no split that is to train on: its splits are {', '.join(splits)}.")
        named, rest = {"train": next(iter(splits))}, []
    rows = {ours: _rows(splits[name], f"{where}, {name}") for ours, name in named.items()}
    return Tables(rows, where, [f"not read of its splits: {', '.join(rest)}"] if rest else [])


def _rows(table: Any, where: str) -> Iterable[Row]:
    import datasets

    rows = numbered(f"{where}, row", with_names(table, class_labels(table.features)))
    return guarded(where, rows, (datasets.exceptions.DatasetsError, ValueError, RuntimeError))


def _loaded(name: str, load: Callable[[], Any]) -> Any:
    import datasets

    quiet = Path(name).exists() and not datasets.are_progress_bars_disabled()
    if quiet:  # a bar of files that are here already tells nothing
        datasets.disable_progress_bars()
    try:
        return load()
    except (datasets.exceptions.DatasetsError, OSError, ValueError, ImportError, RuntimeError) as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0].rstrip(".")
        raise InputError(f"The data set '{name}' cannot be loaded: {reason}.") from error
    finally:
        if quiet:
            datasets.enable_progress_bars()
