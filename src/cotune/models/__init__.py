"""Models: loading, encoding and batching for causal and encoder-decoder language models.

The names are loaded on first use: only some of them need torch.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cotune._lazy import on_first_use

if TYPE_CHECKING:
    from cotune.models._language_model import LanguageModel
    from cotune.models.encoding import Encoded, Encoder, load_encoder
    from cotune.models.fingerprint import locate_model, model_fingerprint
    from cotune.models.gguf import convert_gguf
    from cotune.models.precision import Precision, resolve_precision
    from cotune.models.profiles import PROFILES, Profile, ProfileName
    from cotune.models.sampling import Sampling
    from cotune.models.soft_prompt import PromptInit, SoftPrompts

# PEFT imports it wherever it is installed, and it then warns of kernels that nobody asked for.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

_HOMES = {
    "Encoded": "encoding",
    "Encoder": "encoding",
    "LanguageModel": "_language_model",
    "PROFILES": "profiles",
    "Precision": "precision",
    "Profile": "profiles",
    "ProfileName": "profiles",
    "PromptInit": "soft_prompt",
    "Sampling": "sampling",
    "SoftPrompts": "soft_prompt",
    "convert_gguf": "gguf",
    "load_encoder": "encoding",
    "locate_model": "fingerprint",
    "model_fingerprint": "fingerprint",
    "resolve_precision": "precision",
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

if not TYPE_CHECKING:  # a type checker would take any name for one of them
    __getattr__ = on_first_use(__name__, _HOMES)
