"""What hidden code of pages calls to lay out what the page's commands read, small enough for a test."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.tasks import SPLITS

SIZES = (40, 6, 8)
TEMPLATE = (
    "{% for turn in messages %}{% if turn['role'] == 'user' %}{{ turn['content'] }}"
    "{% elif turn['role'] == 'system' %}{{ turn['content'] + ' > ' }}"
    "{% else %}{{ ' ' + turn['content'] + ' <pad>' }}{% endif %}{% endfor %}"
)
"""Turns end with a token that ends nothing in the pretraining of the toy language."""


def plant_model(name: str = "MODEL", *, chat: bool = False) -> Path:
    """Lay the model that comes with cotune under a name, such as that of one on the hub, in this folder."""
    folder = Path(name)
    if not folder.exists():
        shutil.copytree(TOY_CHECKPOINT, folder)
    if chat:
        (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return folder


def plant_tasks(
    where: str,
    names: Sequence[str] = ("copy", "max"),
    sizes: tuple[int, int, int] = SIZES,
    keys: str = "input target",
) -> None:
    """Write tasks of the toy language as JSON lines: a file, or a folder with a file for each."""
    train, validation, test = sizes
    tasks = toy_tasks(list(names), train=train, validation=validation, test=test)
    single = Path(where).suffix in (".jsonl", ".json", ".csv")
    assert not single or len(tasks) == 1, "several tasks need a folder"
    given, wanted = keys.split()
    for task in tasks:
        file = Path(where) if single else Path(where, f"{task.name}.jsonl")
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [{given: e.input, wanted: e.targets[0]} for split in SPLITS for e in task[split]]
        if file.suffix == ".csv":
            lines = [f"{given},{wanted}", *(f"{row[given]},{row[wanted]}" for row in rows)]
        else:
            lines = [json.dumps(row) for row in rows]
        text = "[" + ",\n".join(lines) + "]" if file.suffix == ".json" else "\n".join(lines) + "\n"
        file.write_text(text, encoding="utf-8")


def plant_scores(file: str, tasks: str = "abcdef", runs: int = 60, groups: int = 2, size: int = 3) -> None:
    """Write losses of runs on random subsets of tasks that lie in groups, blank for a task not in the run."""
    rng = np.random.default_rng(0)
    n = len(tasks)
    rows = [",".join(tasks)]
    for _ in range(runs):
        subset = rng.choice(n, size, replace=False)
        losses = {t: 5 - sum(o % groups == t % groups for o in subset) + 0.1 * rng.normal() for t in subset}
        rows.append(",".join(f"{losses[task]:.4f}" if task in losses else "" for task in range(n)))
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("\n".join(rows) + "\n", encoding="utf-8")


def plant_study(file: str, **content: Any) -> None:
    """Write a study of planted tasks, which trains nothing, or of what is given."""
    planted = {"name": "planted", "learner": {"kind": "planted"}, "affinity": {"estimator": "higher_order"}}
    planted |= {"comparison": {"budgets": [2], "seeds": 2}}
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    study = {**(content or planted), "executor": {"workers": 0}}
    Path(file).write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")


def shorten(file: str, **changes: Any) -> None:
    """Change keys of a study file, mappings key by key, so that it runs in seconds and in this process."""
    path = Path(file)
    study = _merged(yaml.safe_load(path.read_text(encoding="utf-8")), {"executor": {"workers": 0}, **changes})
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def plant_example(stem: str) -> None:
    """Lay one of the shipped examples where the page's commands look for it."""
    Path("examples").mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parents[2] / "examples" / f"{stem}.yaml", "examples")


def plant_asset(name: str, file: str) -> None:
    """Lay a file of ``assets`` where the page's commands look for it, unless they made it themselves."""
    if not Path(file).exists():
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(__file__).with_name("assets") / name, file)


def plant_instructions(file: str, name: str, n: int = 40) -> None:
    """Write a task of the toy language as a file of Natural Instructions."""
    (task,) = toy_tasks([name], train=n)
    rows = [
        {"id": f"{name}-{i}", "input": e.input, "output": [e.targets[0]]} for i, e in enumerate(task["train"])
    ]
    content = {"Definition": [f"Do {name}."], "Categories": ["Toy"], "Instances": rows}
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(json.dumps(content), encoding="utf-8")


def elsewhere() -> None:
    """Go on in a new, empty folder: the page begins with something else."""
    at = Path.cwd()
    home = Path(f"{at}-next")
    home.mkdir()
    os.chdir(home)
