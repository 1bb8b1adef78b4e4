"""What can be told of a block without running it: commands are parsed, study files read, imports resolved."""

from __future__ import annotations

import ast
import csv
import importlib
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml
from blocks import COMMANDS, PLAIN, PYTHON, ROOT, STUDY, Block, commands

from cotune._config import parse
from cotune.exceptions import InputError
from cotune.studies import KINDS
from cotune.studies.grouping.learners import LEARNERS

MODEL = {"model": "MODEL"}
TASKS = {"path": "data"}
REPLAY = {"text": {"source": "files", "path": "corpus.txt"}}
BASES: dict[str, dict[str, Any]] = {
    "grouping": {"learner": {"kind": "language_model", **MODEL}, "tasks": TASKS},
    "retention": {**MODEL, "tasks": TASKS, "targets": ["a"], "methods": [{"name": "lora"}], "in_context": {}},
    "transfer": {**MODEL, "tasks": TASKS, "held_out": ["a"], "schemes": ["uniform"], "replay": REPLAY},
}
"""What a file of each kind has to say, for a block that is part of one."""


def check(block: Block) -> None:
    """See that a block could be run, as far as that can be told."""
    shown = block.comments.way == "shown"
    if block.language in PYTHON:
        tree = ast.parse(block.text, block.where)
        if not shown:
            check_imports(tree, block.where)
    elif block.language in COMMANDS:
        for typed in commands(block):
            if not shown:
                check_command(typed.words, f"{block.page}:{typed.line}")
    elif block.language in STUDY:
        data = yaml.safe_load(block.text)
        if not shown:
            check_study(data, block)
    elif block.language not in PLAIN:
        check_data(block.language, block.text, block.where)


def check_imports(tree: ast.Module, where: str) -> None:
    """See that what is imported of cotune is there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in (alias.name for alias in node.names if alias.name.split(".")[0] == "cotune"):
                importlib.import_module(name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cotune":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{where}: {node.module} has no {alias.name}"


def check_command(words: list[str], where: str) -> None:
    """See that the command line takes the words, that make has the target, that pip has the extra."""
    match words:
        case ["cotune" | ".venv/bin/cotune", *arguments]:
            parse_arguments(arguments, where)
        case ["make", *targets]:
            known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            assert targets
            assert {*targets} <= {*known}, f"{where}: {targets}"
        case ["pip", "install", *packages]:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            for extras in re.findall(r"cotune\[([\w,]+)\]", " ".join(packages)):
                assert {*extras.split(",")} <= {*project["optional-dependencies"]}, f"{where}: {extras}"


def parse_arguments(arguments: list[str], where: str) -> None:
    """Let the command line parse its arguments, and do nothing."""
    import typer.main
    from typer.exceptions import TyperException

    from cotune.cli._app import app

    command: Any = typer.main.get_command(app)
    context = command.make_context("cotune", [], resilient_parsing=True)
    try:
        while hasattr(command, "commands"):
            name, *arguments = arguments or [""]
            if name in {option for parameter in command.params for option in parameter.opts}:
                return
            assert name in command.commands, f"{where}: no command {name!r}"
            command = command.commands[name]
        command.make_context(command.name, list(arguments), parent=context)
    except TyperException as error:
        raise AssertionError(f"{where}: {error.format_message()}") from error


def check_study(data: Any, block: Block) -> None:
    """Read YAML as a study file, or as keys of one, of its learner or of its tasks."""
    whole = isinstance(data, dict) and "name" in data and {"tasks", "learner"} & {*data}
    refused = []
    for kind, candidate in [(data.get("kind", "grouping"), data)] if whole else _parts(data):
        try:
            config = parse(KINDS[kind].config_class, candidate, block.where)
            config.check(block.where)
            return
        except InputError as error:
            refused.append(error)
    if refused:
        raise refused[0]
    assert block.comments.file, (
        f"{block.where}: neither (part of) a study file, nor a file that a command reads"
    )


def _parts(data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield whole studies that the keys may be part of, with their kinds."""
    for kind, base in BASES.items():
        study = {"name": "a study", "kind": kind, **base}
        if isinstance(data, dict) and {*data} <= {*KINDS[kind].config_class.model_fields}:
            yield kind, {**study, **data}
        if (
            "learner" in base
            and isinstance(data, dict)
            and {*data} <= {*LEARNERS["language_model"].model_fields}
        ):
            yield kind, {**study, "learner": {**base["learner"], **data}}
        entries = data if isinstance(data, list) else [data]
        if all(isinstance(entry, dict) and {"reader", "path"} & {*entry} for entry in entries):
            yield kind, {**study, "tasks": data}


def check_data(language: str, text: str, where: str) -> None:
    """Parse data in its own language."""
    if language == "jsonl":
        assert all(isinstance(json.loads(line), dict) for line in text.splitlines()), where
    elif language == "json":
        json.loads(text)
    elif language in ("csv", "tsv"):
        lines = text.splitlines()
        delimiter = "\t" if language == "tsv" else csv.Sniffer().sniff(lines[0], ",;\t").delimiter
        assert len({len(row) for row in csv.reader(lines, delimiter=delimiter)}) == 1, f"{where}: ragged rows"
    elif language == "toml":
        tomllib.loads(text)
    elif language == "jinja":
        import jinja2

        jinja2.Environment(autoescape=False).parse(text)
