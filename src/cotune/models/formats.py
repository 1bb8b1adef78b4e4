"""Formats: whether a model is asked in plain text or as a chat, and how that is told from the checkpoint."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from cotune._json import parse_json
from cotune.models.loading import hub_options, loading

FormatName = Literal["auto", "plain", "chat"]

_FORMAT = 1
"""Raised whenever the same task would be put as another chat."""
_TEMPLATE = "chat_template.jinja"


@dataclass(frozen=True, slots=True)
class ChosenFormat:
    """Whether tasks are put as texts or as chats, and why.

    Parameters
    ----------
    format : {"plain", "chat"}
        As what.
    why : str
        The reason.
    """

    format: Literal["plain", "chat"]
    why: str

    @property
    def chat(self) -> bool:
        """Whether tasks are put as chats."""
        return self.format == "chat"


PLAIN = ChosenFormat("plain", "format: plain")


def choose_format(
    asked: FormatName, model: Path | str, revision: str | None = None, *, trusted: bool = False
) -> ChosenFormat:
    """Tell how a model is asked.

    As a chat, if its tokenizer has a chat template and the model ends its answers as the template ends turns:
    what is tuned on chats does, and a base model that a template was shipped with does not.

    Parameters
    ----------
    asked : {"auto", "plain", "chat"}
        What the user says.
    model : Path or str
        A folder (then no hub is asked), or a hub name.
    revision : str, optional
        Branch, tag or commit on the hub.
    trusted : bool
        Whether code that comes with it runs; see :func:`cotune.models.loading.check_code`.

    Raises
    ------
    InputError
        If the tokenizer cannot be loaded, or its template not be applied.
    """
    if asked != "auto":
        return PLAIN if asked == "plain" else ChosenFormat("chat", "format: chat")
    if isinstance(model, Path) and not _has_template(model):
        return ChosenFormat("plain", "its tokenizer has no chat template")
    return _told(model, revision, trusted)


@cache
def _told(model: Path | str, revision: str | None, trusted: bool) -> ChosenFormat:
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    from cotune.models.chat import ChatTemplate

    options = hub_options(model, revision, trusted=trusted)
    with loading(model):
        config = AutoConfig.from_pretrained(str(model), **options)
        tokenizer = AutoTokenizer.from_pretrained(str(model), **options)
    if not tokenizer.chat_template:
        return ChosenFormat("plain", "its tokenizer has no chat template")
    if config.is_encoder_decoder:
        return ChosenFormat("plain", "it is an encoder-decoder model")
    ends = {tokenizer.eos_token_id, *_listed(config.eos_token_id)}
    plain = hub_options(model, revision)
    with suppress(OSError):  # not every checkpoint has one
        ends |= set(_listed(GenerationConfig.from_pretrained(str(model), **plain).eos_token_id))
    chat = ChatTemplate(tokenizer)
    name = tokenizer.convert_ids_to_tokens(chat.end)
    if chat.end not in ends:
        return ChosenFormat("plain", f"its answers do not end with {name}, as the turns of its template do")
    return ChosenFormat("chat", f"its answers end with {name}, as the turns of its template do")


def chat_fingerprint(model: Path | str) -> dict[str, Any]:
    """Return what the chats put to a model depend on beside what its own fingerprint covers."""
    template = model / _TEMPLATE if isinstance(model, Path) else None
    digest = None
    if template is not None and template.is_file():
        digest = sha256(template.read_bytes()).hexdigest()
    return {"version": _FORMAT, "template": digest}


def _has_template(folder: Path) -> bool:
    if (folder / _TEMPLATE).is_file():
        return True
    with suppress(OSError, ValueError, TypeError):
        settings = parse_json((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        return bool(settings.get("chat_template"))
    return False


def _listed(tokens: Any) -> list[int]:
    return [] if tokens is None else list(tokens) if isinstance(tokens, list | tuple) else [int(tokens)]
