"""From what was trained to folders that are served: renamed or merged, with cards, and pushed where asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cotune._files import new_folder, write_text
from cotune._repr import Brief
from cotune._seals import seal
from cotune.evaluation.adapter_files import ADAPTER
from cotune.evaluation.saved_model import RECORD, SavedModel, find_saved_model
from cotune.exceptions import InputError
from cotune.studies.engine import artefact_record, write_artefact_record
from cotune.studies.exporting import _vllm
from cotune.studies.exporting._card import adapt_card
from cotune.studies.exporting._merge import merge
from cotune.studies.exporting._push import open_repository, push
from cotune.studies.exporting._sources import called, find_models, tasks_of

TASKS = "tasks.json"
"""The file that says which model is for which task."""


@dataclass(frozen=True)
class ExportedModel(Brief):
    """One model that was exported.

    Parameters
    ----------
    name : str
        What it is called.
    folder : Path
        Where it lies.
    source : Path
        Where it was.
    base : str
        The pretrained model it is on, or was.
    tasks : tuple of str
        What it was trained on, as far as that is known.
    merged : bool
        Whether its adapter is part of its weights.
    """

    name: str
    folder: Path
    source: Path
    base: str
    tasks: tuple[str, ...]
    merged: bool


@dataclass(frozen=True)
class Exported(Brief):
    """What was exported.

    Parameters
    ----------
    folder : Path
        Holds all of it.
    models : tuple of ExportedModel
        One or more.
    vllm : str or None
        The command that serves the adapters beside their base, if vLLM serves any.
    address : str or None
        Where it was pushed to.
    notes : tuple of str
        A sentence for everything that was left out or is to be known.
    """

    folder: Path
    models: tuple[ExportedModel, ...]
    vllm: str | None = None
    address: str | None = None
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        models = [
            {**asdict(model), "folder": str(model.folder), "source": str(model.source)}
            for model in self.models
        ]
        return {**asdict(self), "folder": str(self.folder), "models": models, "notes": list(self.notes)}


def export(
    source: str | Path,
    out: str | Path,
    *,
    merged: bool = False,
    names: Mapping[str, str] | str | None = None,
    base: str | None = None,
    push_to: str | None = None,
    public: bool = False,
    trusted_revision: str | None = None,
) -> Exported:
    """Write trained models into a new folder, ready to be served.

    What ``cotune export`` does. Each model has a folder of its name, with its card and tokenizer. Beside them
    ``tasks.json`` says which model is for which task, and ``lora-modules.txt`` has the arguments of vLLM's
    ``--lora-modules``, one a line.

    Parameters
    ----------
    source : str or Path
        A study that was run (its folder or file), whose kept models are taken; or the folder of an adapter or
        of ``cotune tune``.
    out : str or Path
        A new folder.
    merged : bool
        Whether adapters become part of the weights, so that transformers alone loads the models.
    names : mapping of str to str, or str, optional
        What models are to be called, by the names that they have; of a single model its name alone.
    base : str, optional
        The base's folder or hub name here, in place of the one that adapters name.
    push_to : str, optional
        A repository on the hub, made where it does not exist, that all is pushed to; nothing is without it.
    public : bool
        Whether a repository that is made is one for all.
    trusted_revision : str, optional
        Lets code run that comes with the base while adapters are merged: a commit of the hub, or the hash of
        a folder's Python files, that somebody has read.

    Returns
    -------
    Exported

    Raises
    ------
    InputError
        If there is no model, a name is of none, the folder holds something, a model cannot be merged, or the
        hub does not take it.

    Examples
    --------
    >>> from cotune.studies.exporting import export
    >>> export("study", "served", names={"group-0": "reviews"}).vllm  # doctest: +SKIP
    'vllm serve ... --enable-lora --max-lora-rank 8 --max-loras 2 --lora-modules reviews=/...'
    """
    source, out = Path(source), Path(out).resolve()
    if trusted_revision is not None and not merged:
        raise InputError("trusted_revision is of merged: no code runs where adapters are only copied.")
    models = called(find_models(source), names)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already and holds something; name a new folder.")
    found = {name: find_saved_model(str(folder), base=base) for name, folder in models.items()}
    if push_to is not None:
        open_repository(push_to, public=public)
    notes: list[str] = []
    with new_folder(out) as fresh:
        for name, folder in models.items():
            (fresh / name).mkdir()
            notes += _write(name, folder, found[name], fresh / name, merged, base, trusted_revision)
        written = tuple(
            ExportedModel(name, out / name, folder, str(found[name].base), tasks_of(folder), merged)
            for name, folder in models.items()
        )
        routes = {task: model.name for model in written for task in model.tasks}
        if routes:
            write_text(fresh / TASKS, json.dumps(routes, indent=1, ensure_ascii=False) + "\n")
        command = None if merged else _for_vllm(written, fresh, notes)
    address = None if push_to is None else push(out, push_to)
    return Exported(out, written, command, address, tuple(notes))


def _write(
    name: str,
    source: Path,
    saved: SavedModel,
    folder: Path,
    merged: bool,
    base: str | None,
    trusted: str | None,
) -> Iterator[str]:
    """Write one model into its folder."""
    if merged:
        yield merge(name, saved, folder, trusted)
        kept = {key: value for key, value in artefact_record(source).items() if key != "run"}
        reading = {key: value for key, value in saved.reading.items() if key not in ("model", "method")}
        write_artefact_record(folder, {**kept, "reading": reading})
    else:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        if base is not None:
            _rename_base(folder, str(saved.base))
    seal(folder)
    adapt_card(source, folder, name, str(saved.base))
    if not merged and Path(saved.base).is_dir():
        yield f"{name}: its base is the folder {saved.base}; --model names another, such as one on the hub"


def _rename_base(folder: Path, base: str) -> None:
    """Write another name of the base into the adapter that is on it: those on others of the folder stay."""
    for file in folder.glob(f"**/{ADAPTER}"):
        content = json.loads(file.read_text(encoding="utf-8"))
        if not (file.parent / str(content.get("base_model_name_or_path"))).is_relative_to(folder):
            content["base_model_name_or_path"] = base
            file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    record = folder / RECORD
    if record.is_file():
        content = {**json.loads(record.read_text(encoding="utf-8")), "base": base}
        write_text(record, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _for_vllm(models: tuple[ExportedModel, ...], fresh: Path, notes: list[str]) -> str | None:
    """List the adapters that vLLM serves, and say which it does not; return the command that serves them."""
    served: dict[str, Path] = {}
    ranks: dict[str, int] = {}
    for model in models:
        file = fresh / model.name / ADAPTER
        config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        why = _vllm.obstacle(config) if config else "it is no adapter alone"
        if why is None:
            served[model.name], ranks[model.name] = model.folder, int(config["r"])
        else:
            notes.append(f"{model.name} is not among the modules for vLLM: {why}")
    if not served:
        return None
    write_text(fresh / _vllm.MODULES, _vllm.modules_text(served))
    return _vllm.command(models[0].base, served, ranks)
