"""Which model is it: a hash that changes when the weights do, computed without loading them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cotune import _places
from cotune.exceptions import InputError

_PATTERNS = (
    "config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.safetensors",
    "*.bin",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.gguf",
)
_BUNDLED = Path(__file__).parents[1] / "lab" / "assets"
"""Holds the models that come with cotune, each in a folder of its name."""
_BLOCK = 1 << 20
_BLOCKS = 256


def locate_model(model: str, base: Path) -> Path | str:
    """Decide whether a model is a local folder, one that comes with cotune, or a name on the hub.

    Parameters
    ----------
    model : str
        A folder (relative to ``base``, or absolute), the name of a model that comes with cotune
        (``toy_language``), or a hub name such as ``org/name``.
    base : Path
        Folder that relative paths start from.

    Returns
    -------
    Path or str
        The folder, of which one at ``base`` goes before one that comes with cotune, or the hub name.

    Raises
    ------
    InputError
        If it can only be a folder and does not exist, or the folder holds no model.
    """
    folder = _places.at(base, model).resolve()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(
                f"The model folder {folder} holds no config.json; give a transformers checkpoint."
            )
        return folder
    if model.isidentifier() and (_BUNDLED / model / "config.json").is_file():
        return _BUNDLED / model
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or not model.strip():
        raise InputError(
            f"The model folder {folder} does not exist; give a checkpoint's folder or a hub name."
        )
    return model


def model_fingerprint(model: Path | str, revision: str | None = None) -> str:
    """Hash a local checkpoint's files, or name the commit of one on the hub.

    Parameters
    ----------
    model : Path or str
        What :func:`locate_model` returned.
    revision : str, optional
        Branch, tag or commit on the hub.

    Raises
    ------
    InputError
        If the hub does not know the model, or cannot be reached and the model is not in the local cache.
    """
    if isinstance(model, str):
        return f"hub:{model}@{_hub_commit(model, revision)}"
    digest = hashlib.sha256()
    files = sorted({file for pattern in _PATTERNS for file in model.glob(pattern) if file.is_file()})
    for file in files:
        digest.update(f"{file.name}:{file.stat().st_size}".encode())
        _digest_file(file, digest)
    return f"local:{digest.hexdigest()}"


def _digest_file(file: Path, digest: hashlib._Hash) -> None:
    """Hash a file of up to 256 MiB whole, a larger one by 256 blocks of 1 MiB spread evenly."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        if size <= _BLOCK * _BLOCKS:
            digest.update(stream.read())
            return
        for block in range(_BLOCKS):
            stream.seek(block * (size - _BLOCK) // (_BLOCKS - 1))
            digest.update(stream.read(_BLOCK))


def _hub_commit(name: str, revision: str | None) -> str:
    from huggingface_hub import model_info, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return str(model_info(name, revision=revision).sha)
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError) as online:
        try:
            return Path(snapshot_download(name, revision=revision, local_files_only=True)).name
        except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError):
            reason = str(online).strip().splitlines()[0] if str(online).strip() else type(online).__name__
            raise InputError(
                f"The model '{name}' is neither a folder here nor to be had from the hub ({reason})."
            ) from None
