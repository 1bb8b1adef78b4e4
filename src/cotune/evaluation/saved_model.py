"""Models as they lie on disk: a checkpoint, a PEFT adapter on one, or a folder of ``cotune tune``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from cotune._files import file_names
from cotune._json import parse_json
from cotune._places import expanded
from cotune._repr import Brief
from cotune._seals import check, is_sealed
from cotune.answering import ChoiceConfig
from cotune.evaluation.adapter_files import (
    ADAPTER,
    KINDS,
    check_patterns,
    check_ranks,
    read_adapter_config,
    read_adapter_weights,
    read_prompt,
)
from cotune.exceptions import InputError
from cotune.models import locate_model, model_fingerprint

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cotune.models import LanguageModel

RECORD = "tune.json"
"""The file in which ``cotune tune`` says what a folder holds."""

ARTEFACT_RECORD = "cotune.json"
"""The file in which a study says which of its runs left a folder, and how the model is read."""

FIRST = "lora"
"""Folder of the LoRA of a first stage, beside the weights that were tuned under it."""

_ANSWERS = tuple(ChoiceConfig.model_fields)
"""Of how tasks were put in context what holds wherever the model is scored."""
_PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING")
"""Adapters that stand before the inputs; all others are on the weights."""
_UNREADABLE = ("P_TUNING", "MULTITASK_PROMPT_TUNING", "ADAPTION_PROMPT", "CPT", "CARTRIDGE")
"""Adapters that stand before the inputs in ways of their own."""


@dataclass(frozen=True)
class SavedModel(Brief):
    """Where the parts of a model are.

    Parameters
    ----------
    base : Path or str
        A checkpoint's folder or its name on the hub.
    revision : str or None
        The commit on the hub it was tuned at, if that is known.
    weights : Path or None
        A PEFT adapter on the weights, such as a LoRA.
    prompt : Path or None
        What belongs to the tasks it was trained on alone: a soft prompt or a prefix, which stands before
        inputs, or a LoRA under which the weights were tuned.
    record : mapping or None
        What ``cotune tune`` wrote about the model.
    reading : mapping
        Options that the model was trained and scored with, such as ``max_prompt_tokens`` and
        ``classification``: read in the same way it has the same scores.
    tasks : tuple of str
        Names of the tasks it was tuned on, as far as that is known.
    prompts : mapping of str to Path
        The soft prompt of each task, where each has its own.
    """

    base: Path | str
    revision: str | None = None
    weights: Path | None = None
    prompt: Path | None = None
    record: Mapping[str, Any] | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    prompts: Mapping[str, Path] = field(default_factory=dict)

    @property
    def target(self) -> str | None:
        """Names of the tasks it was tuned on, if they are known."""
        return " and ".join(self.tasks) or None

    @property
    def has_prompt(self) -> bool:
        """Whether anything stands before inputs."""
        return self.prompt is not None or bool(self.prompts)

    def prompt_of(self, task: str) -> Path | None:
        """Return what stands before the inputs of a task, if anything does."""
        return self.prompts.get(task, self.prompt)


def find_saved_model(name: str, *, base: str | None = None) -> SavedModel:
    """Tell what a folder holds, without loading it.

    Parameters
    ----------
    name : str
        The folder of a checkpoint, of a PEFT adapter or of ``cotune tune``, or a name on the hub.
    base : str, optional
        The checkpoint an adapter is for, in place of the one that its configuration names.

    Raises
    ------
    InputError
        If there is no model, its base is missing, or the base given is another one than it was tuned on.
    DamageError
        If the folder has checksums, and something in it is not what was written.
    """
    folder = expanded(name)
    if is_sealed(folder):
        check(folder, "train it again, or copy it anew from where it is whole")
    record = _read_record(folder / RECORD) if (folder / RECORD).is_file() else None
    tasks = _tasks(folder, record)
    prompts = _prompts_by_task(folder, tasks)
    alone = folder / "prompt" if (folder / "prompt" / ADAPTER).is_file() else folder
    first = folder / FIRST if (folder / FIRST / ADAPTER).is_file() and (folder / "weights").is_dir() else None
    start = first or next(iter(prompts.values()), alone)
    adapters: dict[str, Path] = {}
    place: Path | str = start
    named: Path | None = None
    while isinstance(place, Path) and (place / ADAPTER).is_file():
        named, content = place, read_adapter_config(place)
        slot = "prompt" if place == first else _slot(place, content["peft_type"])
        if slot in adapters:
            raise InputError(
                f"{adapters[slot]} is an adapter on another of the same sort, {place}; one can be loaded."
            )
        adapters[slot] = place
        place = _parent(place, str(content.get("base_model_name_or_path") or ""))
    whole = isinstance(place, Path) and place.is_dir() and place.resolve().is_relative_to(folder.resolve())
    if base is not None and (named is None or whole):
        raise InputError(f"{name} is a model with weights of its own; --model is for adapters.")
    wanted = base or (name if named is None else str(place))
    location = _locate(wanted, named if base is None else None)
    revision = None if whole else _check_base(name, location, record)
    return SavedModel(
        location,
        revision,
        adapters.get("weights"),
        None if prompts else adapters.get("prompt"),
        record,
        _reading(folder, record),
        tasks,
        prompts,
    )


def _tasks(folder: Path, record: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the names of the tasks that a model was tuned on; none where nobody wrote them down."""
    if record is not None:
        return tuple(target["name"] for target in record.get("targets", [record["target"]]))
    file = folder / ARTEFACT_RECORD
    tasks = _read_json(file).get("tasks", []) if file.is_file() else []
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        raise InputError(f"{file}: tasks must be a list of names, as a study writes it.")
    return tuple(tasks)


def _prompts_by_task(folder: Path, tasks: Sequence[str]) -> dict[str, Path]:
    """Return the folders of soft prompts that every task has its own of."""
    home = folder / "prompt" if (folder / "prompt").is_dir() else folder
    found = {task: home / name for task, name in file_names(tasks).items()}
    own = {task: place for task, place in found.items() if (place / ADAPTER).is_file()}
    return own if len(own) == len(tasks) > 1 else {}


def _reading(folder: Path, record: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return how a model was read by whoever tuned it; nothing where that is not known."""
    if record is not None:
        config = record["config"]
        return {**config, **{key: v for key, v in config.get("in_context", {}).items() if key in _ANSWERS}}
    file = folder / ARTEFACT_RECORD
    reading = _read_json(file).get("reading", {}) if file.is_file() else {}
    if not isinstance(reading, dict):
        raise InputError(f"{file}: reading must be an object of options, as a study writes it.")
    return reading


@dataclass(frozen=True)
class OpenModel(Brief):
    """A model loaded from disk.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and base.
    module : Module
        The base, or the base under the adapter on its weights.
    saved : SavedModel
        Where its soft prompts or its prefix are.
    """

    model: LanguageModel
    module: nn.Module
    saved: SavedModel

    @contextmanager
    def under_prompt(self, task: str = "") -> Iterator[tuple[nn.Module, tuple[int, ...]]]:
        """Put the soft prompt or prefix of a task on the model.

        Parameters
        ----------
        task : str
            Any, where there is one for all.

        Yields
        ------
        module : Module
            What runs forward and generates.
        ids : tuple of int
            The ids that have to stand before the inputs.

        Raises
        ------
        InputError
            If there is none, or it does not fit the base.
        """
        place = self.saved.prompt_of(task)
        if place is None:
            raise InputError(f"The model has no soft prompt that task {task!r} could be put under.")
        if read_adapter_config(place)["peft_type"] not in _PROMPTS:
            with self._adapter(place) as module:
                yield module, ()
            return
        content, vectors = read_prompt(place)
        open_prompt = self._prefix if content["peft_type"] == "PREFIX_TUNING" else self._soft_prompt
        with open_prompt(place, vectors) as opened:
            yield opened

    @contextmanager
    def _soft_prompt(self, place: Path, vectors: torch.Tensor) -> Iterator[tuple[nn.Module, tuple[int, ...]]]:
        from cotune.models import SoftPrompts

        width = int(self.model.base.get_input_embeddings().weight.shape[1])
        if vectors.shape[1] != width:
            raise _misfit(place, self.model, f"it is {vectors.shape[1]} wide, the model's embeddings {width}")
        prompts = SoftPrompts(self.model, {"": vectors})
        with prompts.attached():
            yield self.module, prompts.ids("")

    @contextmanager
    def _adapter(self, place: Path) -> Iterator[nn.Module]:
        from cotune.training.methods.lora import take_off

        module = _adapted(self.model, place)
        try:
            yield module
        finally:
            take_off(self.model, module)

    @contextmanager
    def _prefix(self, place: Path, vectors: torch.Tensor) -> Iterator[tuple[nn.Module, tuple[int, ...]]]:
        from cotune.training.methods import Prefix

        with Prefix(prefix_length=len(vectors)).attach(self.model) as attached:
            (parameter,) = attached.parts["prefix"]
            if parameter.shape != vectors.shape:
                raise _misfit(
                    place, self.model, f"it is {vectors.shape[1]} wide, the model's {parameter.shape[1]}"
                )
            parameter.data.copy_(vectors)
            yield attached.module, ()


def open_saved_model(saved: SavedModel, model: LanguageModel) -> OpenModel:
    """Put a saved adapter on its loaded base.

    Parameters
    ----------
    saved : SavedModel
        From :func:`find_saved_model`.
    model : LanguageModel
        Its base, which is changed.

    Raises
    ------
    InputError
        If an adapter does not fit the base.
    """
    module = model.base if saved.weights is None else _adapted(model, saved.weights)
    opened = OpenModel(model, module, saved)
    for task in saved.prompts or ([""] if saved.has_prompt else []):
        with opened.under_prompt(task):  # what does not fit is told before anything is evaluated
            pass
    return opened


def _adapted(model: LanguageModel, place: Path) -> nn.Module:
    from peft import PeftModel, get_peft_model_state_dict

    content, tensors = read_adapter_config(place), read_adapter_weights(place)
    check_ranks(place, content, (tuple(tensor.shape) for tensor in tensors.values()))
    check_patterns(place, content, (name for name, _ in model.base.named_modules()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of is an error below
            module: nn.Module = PeftModel.from_pretrained(model.base, str(place)).eval()
            found = set(get_peft_model_state_dict(module))
    except MemoryError:
        raise
    except Exception as error:  # whatever a library raises that takes a stranger's word
        said = f"{error}".strip() or type(error).__name__
        raise _misfit(place, model, said.splitlines()[-1].strip().rstrip(".")) from error
    # The library passes over matrices that only one side has.
    apart = found ^ set(tensors)
    if apart:
        raise _misfit(place, model, f"{len(apart)} of its matrices have no counterpart, such as {min(apart)}")
    return module


def _misfit(place: Path, model: LanguageModel, reason: str) -> InputError:
    named = read_adapter_config(place).get("base_model_name_or_path")
    return InputError(
        f"The adapter {place} is for another base than {model.base.config.name_or_path} ({reason}); "
        f"it names {named}, and --model gives its new place."
    )


def _slot(place: Path, kind: str) -> str:
    if kind in _UNREADABLE:
        raise InputError(
            f"The adapter {place} is of the kind {kind}; of those before the inputs {' and '.join(_PROMPTS)} "
            "can be loaded."
        )
    if kind not in (*_PROMPTS, *KINDS):
        raise InputError(
            f"The adapter {place} is of the kind {shorten(kind, 40)}, which is not loaded; those on weights "
            f"that are: {', '.join(KINDS)}."
        )
    return "prompt" if kind in _PROMPTS else "weights"


def _parent(place: Path, name: str) -> Path | str:
    """Return what an adapter is on: relative folders start from its own."""
    if not name:
        return ""
    inner = place / name
    if inner.is_dir() and not Path(name).is_absolute():
        return inner.resolve()
    return Path(name) if Path(name).is_dir() else name


def _locate(name: str, adapter: Path | None) -> Path | str:
    if adapter is None:
        return locate_model(name, Path())
    try:
        return locate_model(name, Path())
    except InputError as error:
        raise InputError(
            f"The base of the adapter {adapter} is not to be found, it names {name or 'none'}; "
            "give its place with --model."
        ) from error


def _check_base(name: str, base: Path | str, record: Mapping[str, Any] | None) -> str | None:
    """See that a base is the one that was tuned; return the commit to load it at, of one on the hub."""
    known = None if record is None else str(record["base_fingerprint"])
    if known is None:
        return None
    local = isinstance(base, Path)
    if local and known.startswith("local:") and model_fingerprint(base) != known:
        raise InputError(
            f"{name} was tuned on another base than {base}: the files differ from those of "
            f"{record['base'] if record else 'its base'}; give the right one with --model."
        )
    return known.rpartition("@")[2] if not local and known.startswith(f"hub:{base}@") else None


def _read_record(path: Path) -> dict[str, Any]:
    record = _read_json(path)
    absent = {"base", "base_fingerprint", "config", "target"} - set(record)
    if absent:
        raise InputError(f"{path} is not as cotune tune writes it: it lacks {', '.join(sorted(absent))}.")
    config, target = record["config"], record["target"]
    if not isinstance(config, dict) or not isinstance(config.get("in_context", {}), dict):
        raise InputError(f"{path} is not as cotune tune writes it: config must be an object of options.")
    targets = record.get("targets", [target])
    for one in (target, *(targets if isinstance(targets, list) else [None])):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise InputError(f"{path} is not as cotune tune writes it: target must be an object with a name.")
    return record


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON; the folder holds no whole model.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a JSON object; the folder holds no whole model.")
    return content
