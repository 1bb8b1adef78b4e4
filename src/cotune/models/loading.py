"""Loading from a folder or the hub: what keeps strangers' code from running, and errors in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

from cotune.exceptions import InputError


def hub_options(model: Path | str, revision: str | None) -> dict[str, Any]:
    """Return the arguments that keep a local checkpoint from the hub, and any from running its code."""
    # Where nothing is said of trust, transformers asks on the terminal and takes a piped "yes" for one.
    return {
        "revision": revision or "main",
        "local_files_only": isinstance(model, Path),
        "trust_remote_code": False,
    }


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
                "that transformers loads without."
            ) from error
        reason = shorten(str(error), 240, placeholder="")
        if " " not in reason:
            reason = f"{type(error).__name__} {reason}"
        raise InputError(f"The model {model} could not be loaded: {reason.rstrip('. ')}.") from error
    finally:
        logging.set_verbosity(level)
