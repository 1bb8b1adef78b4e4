"""Loading from a folder or the hub: what keeps strangers' code from running, and errors in one sentence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import shorten
from typing import Any

from cotune._json import parse_json
from cotune.exceptions import InputError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_CODE_IN = ("config.json", "tokenizer_config.json")
"""Files in which a checkpoint names classes of its own."""


def hub_options(model: Path | str, revision: str | None, *, trusted: bool = False) -> dict[str, Any]:
    """Return the arguments that keep a local checkpoint from the hub, and any from running its code.

    Parameters
    ----------
    model : Path or str
        A folder (then no hub is asked), or a hub name.
    revision : str or None
        Branch, tag or commit on the hub.
    trusted : bool
        Whether code that comes with it runs, once :func:`check_code` has passed it.
    """
    local = isinstance(model, Path)
    # Where nothing is said of trust, transformers asks on the terminal and takes a piped "yes" for one.
    options = {"revision": revision or "main", "local_files_only": local, "trust_remote_code": trusted}
    return options | {"code_revision": revision} if trusted and not local else options


def check_code(model: Path | str, revision: str | None) -> None:
    """See that code which comes with a model is what somebody has read and said may run.

    Parameters
    ----------
    model : Path or str
        A folder, or a hub name.
    revision : str or None
        Of a model on the hub a commit, which nobody can change; of a folder the hash of its code.

    Raises
    ------
    InputError
        If the revision is not of the code that would run, or code of yet another place would run.
    """
    if isinstance(model, Path):
        code = code_hash(model)
        if revision != code:
            raise InputError(
                f"trust_remote_code: the Python files of {model} have the hash {code}, and revision says "
                f"{revision}; read them, and if they may do all that you can do, write revision: {code}."
            )
    elif not _COMMIT.fullmatch(revision or ""):
        raise InputError(
            f"trust_remote_code: the code of {model} may change with every push, so that revision must be "
            f"the commit that you have read, 40 hexadecimal digits, got {revision}."
        )
    for place in _named_classes(model, revision):
        home, sign, _ = place.partition("--")
        if sign and home != str(model):
            raise InputError(
                f"trust_remote_code: {model} runs code of {home}, which its revision does not pin; download "
                "both into one folder, and let its config.json name the files there."
            )


def code_hash(folder: Path) -> str:
    """Return the hash of all Python files in a folder and those in it, by their names and content."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder).as_posix()}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def _named_classes(model: Path | str, revision: str | None) -> Iterator[str]:
    """Yield what a checkpoint calls the classes that come with it, ``repo--module.Class`` for another's."""
    for name in _CODE_IN:
        content: Any = {}
        with suppress(OSError, ValueError):
            content = parse_json(_file(model, name, revision).read_bytes())
        found = content.get("auto_map") if isinstance(content, dict) else None
        for value in found.values() if isinstance(found, dict) else ():
            yield from (str(one) for one in (value if isinstance(value, list) else [value]))


def _file(model: Path | str, name: str, revision: str | None) -> Path:
    if isinstance(model, Path):
        return model / name
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(model, name, revision=revision))


@contextmanager
def loading(model: Path | str) -> Iterator[None]:
    """Turn the ways a checkpoint fails to load into one sentence, and keep the library's chatter down."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        # The libraries raise whatever they meet, most of it with roots of its own: safetensors, validation.
        if "trust_remote_code" in str(error):
            raise InputError(
                f"The model {model} comes with code of its own, which is not run; give a model of a kind "
                "that transformers loads without, or trust_remote_code: true with the revision that you "
                "have read (SECURITY.md)."
            ) from error
        reason = shorten(str(error), 240, placeholder="")
        if " " not in reason:
            reason = f"{type(error).__name__} {reason}"
        raise InputError(f"The model {model} could not be loaded: {reason.rstrip('. ')}.") from error
    finally:
        logging.set_verbosity(level)
