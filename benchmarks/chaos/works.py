"""The commands that are put through it, small enough for hundreds of runs, and what each has to come to."""

from __future__ import annotations

import csv
import gc
import hashlib
import importlib
import json
import math
import os
import pkgutil
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import cotune
from cotune.lab.toy_language import TOY_CHECKPOINT

_LOADED = (
    "peft",
    "pyarrow.parquet",
    "torch._dynamo",
    "torch.testing",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
    "accelerate.tracking",
    "sqlite3",
    "_strptime",
)
"""What commands load late, beside all of cotune: a fork of a process that has it begins at once."""
_NOT_LOADED = ("__main__", "_ray", "gguf")
"""Modules of cotune by a part of their names: those that need what studies here have no use for."""

_RESAMPLES = 5

Files = Mapping[str, str]


@dataclass(frozen=True)
class Work:
    """A command in a folder of its own.

    Parameters
    ----------
    name : str
        What it is.
    files : mapping of str to mapping
        The YAML files that it reads, by name.
    arguments : sequence of str
        The command.
    kept : str
        The folder that it leaves.
    """

    name: str
    files: Mapping[str, Mapping[str, Any]]
    arguments: Sequence[str]
    kept: str

    def write(self, folder: Path) -> Path:
        """Make a folder with what the command reads."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).write_text(yaml.safe_dump(dict(content), sort_keys=False))
        return folder

    def left(self, folder: Path) -> dict[str, str]:
        """Return the hash of every file that stands in the folder after the command, by its place."""
        given = {*self.files, OUTPUT}
        return {
            path.relative_to(folder).as_posix(): _digest(path)
            for path in sorted(folder.rglob("*"))
            if path.relative_to(folder).as_posix() not in given
        }


def _digest(path: Path) -> str:
    """Hash what a file says, but for what it says of time and of memory."""
    if not path.is_file():
        return "folder"
    said = timeless(path)
    if said is None:  # a page is of what its files say, and of how long it took
        content = b"page" if path.suffix == ".html" else path.read_bytes()
    else:
        content = said.encode()
    return hashlib.sha256(content).hexdigest()


def timeless(path: Path) -> str | None:
    """Return what a table or a file of JSON says but for time and memory; None of others and damaged ones."""
    try:
        if path.suffix == ".csv":
            rows = list(csv.reader(path.read_text().splitlines()))
            timed = {at for at, name in enumerate(rows[0]) if "seconds" in name}
            return repr([[c for at, c in enumerate(row) if at not in timed] for row in rows])
        return repr(_timeless(json.loads(path.read_bytes()))) if path.suffix == ".json" else None
    except (OSError, ValueError, IndexError):
        return None


def same_but_for_rounding(text: str, other: str | None) -> bool:
    """Whether two texts agree in their words, and nearly in their numbers."""
    if other is None or _NUMBER.sub("", text) != _NUMBER.sub("", other):
        return False
    pairs = zip(_NUMBER.findall(text), _NUMBER.findall(other), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=1e-4, abs_tol=1e-5) for a, b in pairs)


_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def _timeless(content: Any) -> Any:
    if isinstance(content, list):
        return [_timeless(item) for item in content]
    if isinstance(content, dict):
        return {key: _timeless(item) for key, item in content.items() if "seconds" not in key}
    return unmeasured(content) if isinstance(content, str) else content


def unmeasured(text: str) -> str:
    """Take out of a text how long things took and how much memory: no two runs agree in that."""
    return _MEASURED.sub("", text)


_MEASURED = re.compile(r"\b\d[\d.,]*\s(?:ms|s|min|h|kB|MB|GB|KiB|MiB|GiB)\b")
OUTPUT = "output.txt"
_EXAMPLES = {"train": 24, "validation": 4, "test": 4}
_MODEL = {"model": str(TOY_CHECKPOINT), "precision": "fp32"}
_ALONE = {"workers": 0}


def _toy(*tasks: str, **examples: int) -> dict[str, Any]:
    return {"reader": "toy_language", "include": list(tasks), "max_examples": {**_EXAMPLES, **examples}}


GROUPS = Work(
    "groups",
    {
        "study.yaml": {
            "name": "planted",
            "learner": {"kind": "planted", "tasks": 6, "groups": 2, "noise": 0.1},
            "affinity": {"estimator": "higher_order", "subset_size": 3, "subsets": 12},
            "comparison": {"budgets": [4], "seeds": 2},
            "executor": _ALONE,
        }
    },
    ("run", "study.yaml", "--json"),
    "study",
)
TUNE = Work(
    "tune",
    {"task.yaml": _toy("weighted")},
    (
        "tune task.yaml --out model --method lora --steps 4 --shots 1 --draws 1 --seed 1 --set precision=fp32"
        f" --model {TOY_CHECKPOINT}"
    ).split(),
    "model",
)
RETENTION = Work(
    "retention",
    {
        "study.yaml": {
            "name": "keep it",
            "kind": "retention",
            **_MODEL,
            "tasks": [_toy("weighted", test=6), _toy("copy", "max", train=8, validation=1)],
            "targets": "weighted",
            "methods": [
                {"name": "lora"},
                {"name": "promot", "prompt_length": 4, "prompt_steps": 2, "prompt_learning_rate": 0.05},
            ],
            "steps": 3,
            "checkpoint_every": 2,
            "keep": True,
            "training": {"batch_size": 4, "tasks_per_batch": 1},
            "in_context": {"shots": [1], "draws": 1},
            "seeds": 1,
            "executor": _ALONE,
        }
    },
    ("run", "study.yaml", "--json"),
    "study",
)
TRANSFER = Work(
    "transfer",
    {
        "study.yaml": {
            "name": "move on",
            "kind": "transfer",
            **_MODEL,
            "tasks": [
                _toy("first", "greater", validation=2),
                _toy("reverse", "less", train=8, validation=1, test=3),
            ],
            "held_out": ["reverse", "less"],
            "method": {"name": "full"},
            "steps": 2,
            "checkpoints": [1],
            "training": {"batch_size": 4, "tasks_per_batch": 2},
            "schemes": ["proportional", "uniform"],
            "seeds": 1,
            "seen_examples": 3,
            "transfer": {"examples": [0, 2], "draws": 1, "steps": 1, "training": {"learning_rate": 0.01}},
            "along": 2,
            "in_context": {"shots": [1], "draws": 1},
            "executor": _ALONE,
        }
    },
    ("run", "study.yaml", "--json"),
    "study",
)
WARM = Work(
    "groups of a model",
    {
        "study.yaml": {
            "name": "warm",
            "learner": {
                "kind": "language_model",
                **_MODEL,
                "method": {"name": "lora", "r": 2},
                "warm_start": {"steps": 2},
                "training": {"batch_size": 4, "tasks_per_batch": 1},
            },
            "tasks": [_toy("copy", "max", "less", "first", train=8, validation=2, test=2)],
            "affinity": {"estimator": "adaptive", "subset_size": 2, "runs_per_task": 2, "steps_per_task": 1},
            "comparison": {"budgets": [1], "seeds": 1, "arms": ["grouped", "joint"]},
            "executor": _ALONE,
        }
    },
    ("run", "study.yaml", "--json"),
    "study",
)
"""With what only studies of models leave: a warm start, what adaptive rounds remember, adapters."""
WORKS = (GROUPS, TUNE, RETENTION, TRANSFER)


def load() -> None:
    """Load what the commands load, and make sure that a fork of this process can go on."""
    import torch

    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    torch.set_num_threads(1)  # threads do not outlive a fork
    own = (module.name for module in pkgutil.walk_packages(cotune.__path__, "cotune."))
    for module in (*_LOADED, *(name for name in own if not any(part in name for part in _NOT_LOADED))):
        importlib.import_module(module)
    from cotune.models import LanguageModel
    from cotune.report import page
    from cotune.studies.grouping import _grouping

    # What is put together when the first model is loaded.
    LanguageModel.load(TOY_CHECKPOINT, precision="fp32")
    templates = page._environment()
    for name in templates.list_templates():
        templates.get_template(name)
    # How often groups come back is no file operation: as many resamples as tell that it is kept are enough.
    _grouping.group_tasks.__kwdefaults__["resamples"] = _RESAMPLES
    gc.collect()
    gc.freeze()  # else the first collection of each fork copies all that is loaded


def begin(
    arguments: Sequence[str], folder: Path, before: Callable[[], object] | None = None, *, alone: bool = False
) -> int:
    """Begin a command in a fork that works in a folder; return its process.

    Parameters
    ----------
    arguments : sequence of str
        The command.
    folder : Path
        Where; what is said there goes into ``output.txt``.
    before : callable, optional
        Called in the fork, before the command.
    alone : bool
        Whether it leads a group of processes of its own, as a command of a shell does.
    """
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        if alone:
            os.setsid()
        os.chdir(folder)
        output = os.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        from cotune.cli import _interrupt
        from cotune.cli.main import main

        _interrupt.listen()
        if before is not None:
            before()
        status = main(list(arguments))
        sys.stdout.flush()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        status = 99
    os._exit(status)


def end(child: int) -> int:
    """Wait for a command; return its status, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def finish(arguments: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run a command to its end; return its status and what it said."""
    status = end(begin(arguments, folder))
    return status, (folder / OUTPUT).read_text(errors="replace")


def runs_done(output: str) -> list[str]:
    """Return the keys of the runs that a command with ``--json`` says it did."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [line["key"] for line in lines if line.get("event") == "run"]


def kill(child: int) -> None:
    """Kill a command, if it has not ended yet."""
    os.kill(child, signal.SIGKILL)
