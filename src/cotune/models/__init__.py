"""Models: loading, encoding and batching for causal and encoder-decoder language models.

The names are loaded on first use: only some of them need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cotune.models._language_model import LanguageModel
    from cotune.models.encoding import Encoded, Encoder, load_encoder
    from cotune.models.fingerprint import locate_model, model_fingerprint
    from cotune.models.gguf import convert_gguf
    from cotune.models.precision import Precision, resolve_precision
    from cotune.models.profiles import PROFILES, Profile, ProfileName
    from cotune.models.sampling import Sampling
    from cotune.models.soft_prompt import PromptInit, SoftPrompts

_HOMES = {
    "Encoded": "cotune.models.encoding",
    "Encoder": "cotune.models.encoding",
    "LanguageModel": "cotune.models._language_model",
    "PROFILES": "cotune.models.profiles",
    "Precision": "cotune.models.precision",
    "Profile": "cotune.models.profiles",
    "ProfileName": "cotune.models.profiles",
    "PromptInit": "cotune.models.soft_prompt",
    "Sampling": "cotune.models.sampling",
    "SoftPrompts": "cotune.models.soft_prompt",
    "convert_gguf": "cotune.models.gguf",
    "load_encoder": "cotune.models.encoding",
    "locate_model": "cotune.models.fingerprint",
    "model_fingerprint": "cotune.models.fingerprint",
    "resolve_precision": "cotune.models.precision",
}

__all__ = [
    "PROFILES",
    "Encoded",
    "Encoder",
    "LanguageModel",
    "Precision",
    "Profile",
    "ProfileName",
    "PromptInit",
    "Sampling",
    "SoftPrompts",
    "convert_gguf",
    "load_encoder",
    "locate_model",
    "model_fingerprint",
    "resolve_precision",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
