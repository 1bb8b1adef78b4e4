"""Packages that an installation may lack, and how to come by them.

``pip install cotune`` brings what groups tables and draws their page; an extra brings the rest.
"""

from __future__ import annotations

from cotune.exceptions import PackageError

EXTRAS = {
    "models": frozenset(
        {
            "accelerate",
            "datasets",
            "fsspec",
            "huggingface_hub",
            "nltk",
            "peft",
            "pyarrow",
            "regex",
            "rouge_score",
            "sacrebleu",
            "safetensors",
            "tokenizers",
            "torch",
            "transformers",
            "yaml",
        }
    ),
    "gguf": frozenset({"gguf"}),
    "ray": frozenset({"ray", "psutil"}),
}
"""The modules that each extra brings, by the names they are imported by."""


def explained(error: ModuleNotFoundError, what: str) -> ModuleNotFoundError:
    """Return the error that says how to install a module, or the error itself where no extra brings it.

    Parameters
    ----------
    error : ModuleNotFoundError
        Of the module that is missing.
    what : str
        What needs it: a command or a name of the library.
    """
    name = error.name or ""
    for extra, modules in EXTRAS.items():
        if name.partition(".")[0] in modules:
            return PackageError(
                f"{what} needs packages that are not installed ({name} is missing): "
                f"pip install 'cotune[{extra}]'.",
                name,
            )
    return error
