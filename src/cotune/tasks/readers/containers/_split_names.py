"""The names that people give to splits."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {name: split for split, names in _NAMES.items() for name in names}
_SHARD = re.compile(r"[-_.]\d+[-_]of[-_]\d+$")


def without_number(stem: str) -> str:
    """Return a file's name without the number of its part: "train" for "train-00000-of-00002"."""
    return _SHARD.sub("", stem)


def split_of(name: str) -> str | None:
    """Return the split that a name stands for, if any: "dev" is validation."""
    return _SPLIT_OF.get(name.lower())


def task_and_split(stem: str) -> tuple[str, str] | None:
    """Part a file's name such as "boolq_dev" or "dev.boolq" into task and split, if it names one."""
    for pattern, order in ((r"(.+)[-_.]([^-_.]+)", 1), (r"([^-_.]+)[-_.](.+)", -1)):
        found = re.fullmatch(pattern, stem)
        if found:
            task, name = found.groups()[::order]
            if name.lower() in _SPLIT_OF:
                return task, _SPLIT_OF[name.lower()]
    return None


def by_split(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Choose the names that are splits, one each, and return those that are left.

    A split's own name goes before others ("validation" before "dev"), whole names before longer ones
    ("test" before "test_matched"), the first before later ones. "eval" beside a test split is a validation
    split, if there is no other.

    Examples
    --------
    >>> by_split(["train_sft", "dev", "extra"])
    ({'train': 'train_sft', 'validation': 'dev'}, ['extra'])
    """
    names = list(names)
    found: dict[str, str] = {}
    for whole in (True, False):
        for split, known in _NAMES.items():
            for name in sorted(names, key=lambda name: known.index(name) if name in known else len(known)):
                if split not in found and _is(name, split, whole=whole):
                    found[split] = name
    rest = [name for name in names if name not in found.values()]
    spare = next((name for name in rest if name.lower() in ("eval", "evaluation")), None)
    if spare and "validation" not in found:
        found["validation"] = spare
        rest.remove(spare)
    return {split: found[split] for split in _NAMES if split in found}, rest


def _is(name: str, split: str, *, whole: bool) -> bool:
    if whole:
        return split_of(name) == split
    return _SPLIT_OF.get(re.split(r"[-_.]", name.lower())[0]) == split
