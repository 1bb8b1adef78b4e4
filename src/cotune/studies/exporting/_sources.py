"""What there is to export: the models that a study keeps, or one model's folder; and how each is called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cotune._files import file_names
from cotune.exceptions import InputError
from cotune.studies.engine import artefact_record, is_study_folder
from cotune.studies.model_card import holds_model

_KEPT = ("adapters", "models")
"""Where studies keep what they train."""


def find_models(source: Path) -> dict[str, Path]:
    """Return the folders of the models of a source by their names.

    Parameters
    ----------
    source : Path
        A study's folder or file, or the folder of a model.

    Raises
    ------
    InputError
        If there is none.
    """
    folder = source.with_suffix("") if source.is_file() else source
    if not folder.is_dir():
        raise InputError(
            f"{source} is no folder of a study or a model; give one, or a study file that was run."
        )
    kept = [path for name in _KEPT for path in sorted((folder / name).glob("*")) if path.is_dir()]
    models = {path.name: path for path in kept if path.name[0] != "." and holds_model(path)}
    if models:
        return models
    if is_study_folder(folder):
        raise InputError(
            f"The study in {folder} keeps no model that transformers or PEFT load: its groups are trained by "
            "'cotune run', and runs of a retention or transfer study kept by 'keep: true'."
        )
    if not holds_model(folder):
        raise InputError(f"{folder} holds neither a study's models nor a model itself.")
    return {folder.resolve().name: folder}


def called(models: Mapping[str, Path], names: Mapping[str, str] | str | None) -> dict[str, Path]:
    """Return the models under the names that they are to have.

    Raises
    ------
    InputError
        If a name is of no model, cannot be a folder's, or two would be the same.
    """
    if isinstance(names, str):
        if len(models) > 1:
            raise InputError(
                f"One name for {len(models)} models; say which is called what, such as "
                f"{next(iter(models))}={names}."
            )
        names = {next(iter(models)): names}
    wanted = dict(names or {})
    for name in wanted:
        if name not in models:
            raise InputError(f"There is no model called {name!r}; there are {', '.join(models)}.")
    found = {wanted.get(name, name): path for name, path in models.items()}
    if len(found) < len(models):
        raise InputError(f"Two models would have one name: {', '.join(wanted.get(n, n) for n in models)}.")
    for name, safe in file_names(found).items():
        if name != safe or any(letter.isspace() or letter == "=" for letter in name):
            raise InputError(
                f"{name!r} cannot name a model: call it otherwise with --name, in letters, digits, dots, "
                "dashes and underscores."
            )
    return found


def tasks_of(folder: Path) -> tuple[str, ...]:
    """Return the tasks that a model was trained on, as far as that is known."""
    return tuple(artefact_record(folder).get("tasks", ()))
