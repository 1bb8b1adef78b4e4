"""Adapters of strangers: their configuration and weights are checked before PEFT sees them.

PEFT makes what a configuration says: matrices of any rank, modules of any name, patterns that are tried on
every module. What needs code, other files or for ever is refused here, in a sentence.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotune._json import parse_json
from cotune.exceptions import InputError

if TYPE_CHECKING:
    import torch

ADAPTER = "adapter_config.json"
"""The file in which PEFT says what an adapter is."""
WEIGHTS = "adapter_model.safetensors"

KINDS = (
    *(
        "LORA",
        "ADALORA",
        "LOHA",
        "LOKR",
        "IA3",
        "OFT",
        "BOFT",
        "HRA",
        "LN_TUNING",
        "VERA",
        "FOURIERFT",
        "VBLORA",
    ),
    *("RANDLORA", "SHIRA", "BONE", "MISS", "C3A", "ROAD", "DELORA", "WAVEFT", "TRAINABLE_TOKENS"),
)
"""Adapters on weights that need nothing but their own two files."""

_MOST_BYTES = 4 << 20
_LARGEST = 1_000_000
_MOST_NAMES, _LONGEST = 20_000, 2_000
_SECONDS = 5
_NEEDS = {
    "megatron_config": "which imports a module that the file names",
    "corda_config": "which reads other files",
    "lora_ga_config": "which reads other files",
}
_BEGINNINGS = ("corda", "loftq", "lora_ga")
"""Ways to begin that need what trained the adapter: data, or a base in other numbers."""
_PATTERNS = (
    "target_modules",
    "exclude_modules",
    "modules_to_save",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
)
_WHOLE = ("target_modules", "exclude_modules")
_PLAIN = re.compile(r"[\w.\-]*")


def read_adapter_config(place: Path) -> dict[str, Any]:
    """Return what PEFT wrote of an adapter, once it is nothing that loading could not bear.

    Parameters
    ----------
    place : Path
        The adapter's folder.

    Raises
    ------
    InputError
        If it is no object, or a value has another type or size than adapters have.
    """
    file = place / ADAPTER
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InputError(f"{file} is larger than {_MOST_BYTES >> 20} MiB, which none is.")
        content = parse_json(file.read_bytes())
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{file} cannot be read as JSON ({error}); the folder holds no whole adapter."
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{file} must hold a JSON object; the folder holds no whole adapter.")
    for problem in _problems(content):
        raise InputError(f"{file}: {problem}.")
    return content


def _problems(content: Mapping[str, Any]) -> Iterator[str]:
    kind, base = content.get("peft_type"), content.get("base_model_name_or_path")
    if not isinstance(kind, str):
        yield f"peft_type must name the kind of adapter, such as LORA, got {_shown(kind)}"
    long = any(len(part.encode(errors="replace")) > 255 for part in str(base or "").split("/"))
    if not isinstance(base, str | None) or "\0" in (base or "") or long:
        yield f"base_model_name_or_path must be the name of a model, got {_shown(base)}"
    for key, number in _numbers(content):
        if not math.isfinite(number) or abs(number) > _LARGEST:
            yield f"{key} must be a number of at most {_LARGEST:,}, got {_shown(number)}"
    for key in ("r", "num_virtual_tokens"):
        count: Any = content.get(key)
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            yield f"{key} must be a whole number of at least 1, got {_shown(count)}"
    for key in ("rank_pattern", "alpha_pattern"):
        if not isinstance(content.get(key), dict | None):
            yield f"{key} must be an object of numbers, got {_shown(content[key])}"
        for name, number in (content.get(key) or {}).items():
            if not isinstance(number, int | float) or isinstance(number, bool) or number <= 0:
                yield f"{key}: {_shown(name)} must lead to a number above 0, got {_shown(number)}"
    for key in ("target_modules", "exclude_modules", "modules_to_save", "layers_pattern"):
        names = content.get(key)
        listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not (names is None or listed or (isinstance(names, str) and key != "modules_to_save")):
            yield f"{key} must be a list of names of modules, got {_shown(names)}"
    for key in _PATTERNS:
        names = _listed(content.get(key))
        if len(names) > _MOST_NAMES or any(len(name) > _LONGEST for name in names):
            yield f"{key} has more than {_MOST_NAMES:,} names, or one of more than {_LONGEST:,} characters"
    for key, why in _NEEDS.items():
        if content.get(key):
            yield f"{key} is given, {why}; save the adapter without"
    begins = content.get("init_lora_weights", True)
    if not isinstance(begins, str | bool) or (isinstance(begins, str) and begins.lower() in _BEGINNINGS):
        yield (
            f"init_lora_weights is {_shown(begins)}, which needs what the adapter began with; convert it to "
            "a plain LoRA (save_pretrained, path_initial_model_for_weight_conversion)"
        )


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value if isinstance(value, float) or abs(value) <= _LARGEST else math.inf


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else [name for name in names or () if isinstance(name, str)]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_adapter_weights(place: Path) -> dict[str, torch.Tensor]:
    """Return an adapter's tensors; of the two formats that PEFT writes the one that runs no code.

    Raises
    ------
    InputError
        If they are a pickle, no safetensors, or hold what is no number.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = place / WEIGHTS
    if not file.is_file():
        pickled = any(place.glob("*.bin")) or any(place.glob("*.pt"))
        why = "; a pickle, which may run code, is not read" if pickled else ""
        raise InputError(f"The adapter {place} has no {WEIGHTS}{why}; save it in this format.")
    try:
        tensors: dict[str, torch.Tensor] = load_file(str(file))
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{file} is not readable as safetensors ({str(error).splitlines()[0]}).") from None
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor.float()).all():
            raise InputError(
                f"{file} holds what is no number (NaN or infinite), such as in {name}; train it anew."
            )
    return tensors


def read_prompt(place: Path) -> tuple[dict[str, Any], torch.Tensor]:
    """Return the configuration and the vectors of a soft prompt or prefix.

    Raises
    ------
    InputError
        As :func:`read_adapter_config` and :func:`read_adapter_weights`, and if there are not as many vectors.
    """
    content, tensors = read_adapter_config(place), read_adapter_weights(place)
    vectors, length = tensors.get("prompt_embeddings"), content.get("num_virtual_tokens")
    if vectors is None or vectors.ndim != 2 or not isinstance(length, int) or len(vectors) < length:
        raise InputError(f"{place / WEIGHTS} must hold {length} vectors under the name prompt_embeddings.")
    return content, vectors[:length]


def check_ranks(place: Path, content: Mapping[str, Any], shapes: Iterable[tuple[int, ...]]) -> None:
    """Refuse ranks that no matrix of the adapter has: PEFT makes matrices of them before it reads any.

    Raises
    ------
    InputError
        If one is larger than all sides of its matrices.
    """
    largest = max((side for shape in shapes for side in shape), default=0)
    ranks = [
        content.get("r"),
        content.get("num_virtual_tokens"),
        *(content.get("rank_pattern") or {}).values(),
    ]
    for rank in ranks:
        if isinstance(rank, int) and rank > largest:
            raise InputError(
                f"{place / ADAPTER} says rank {rank:,}, and no matrix of the adapter is larger than "
                f"{largest:,}."
            )


_TRIAL = """
import json, re, sys
patterns, names = json.load(sys.stdin)
forms = ("{}", "(.*[.])?({})$", "(^|.*[.]){}($|[.].*)", "(?:^|.*?[.]){}[.]")
for pattern in patterns:
    whole, *others = [re.compile(form.format(pattern)) for form in forms]
    for name in names:
        whole.fullmatch(name)
        for form in others:
            form.match(name)
"""


def check_patterns(place: Path, content: Mapping[str, Any], names: Iterable[str]) -> None:
    """Try an adapter's regular expressions on the names of the modules, in a process that can be stopped.

    Some take for ever on a name that does not fit, and nothing ends a match in this process.

    Raises
    ------
    InputError
        If one is none, or they take longer than five seconds.
    """
    # Of modules that are listed, the names are compared.
    given = [content[key] for key in _WHOLE if isinstance(content.get(key), str)]
    given += [name for key in _PATTERNS if key not in _WHOLE for name in _listed(content.get(key))]
    given = [pattern for pattern in given if not _PLAIN.fullmatch(pattern)]
    if not given:
        return
    where = f"{place / ADAPTER}: the pattern {_shown(given[0])}"
    try:
        for pattern in given:
            re.compile(pattern)
        asked = json.dumps([given, [*names]])
        tried = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _TRIAL],
            input=asked,
            text=True,
            capture_output=True,
            timeout=_SECONDS,
        )
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"{where} is no regular expression ({error}).") from None
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{where} takes longer than {_SECONDS} s on the names of the model's modules; list them."
        ) from None
    if tried.returncode:
        raise InputError(f"{where} cannot be tried ({tried.stderr.strip().splitlines()[-1][:120]}).")
