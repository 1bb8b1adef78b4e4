"""The page of the commands, read from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any


def commands_page() -> str:
    """Return the page: usage, arguments and options of every command, in the words of ``--help``."""
    import typer.main

    from cotune.cli._app import app

    group: Any = typer.main.get_command(app)
    parts = [
        f"# Commands\n\n{group.help}\n\nThis page is made from the commands: it says what `--help` says.\n"
    ]
    context = group.make_context("cotune", [], resilient_parsing=True)
    own = [p for p in group.params if p.param_type_name == "option"]
    parts.append(_table("Options of `cotune`", own, context))
    parts.append(f"{_prose(group.epilog or '')}\n")
    for name, command in _commands(group, "cotune"):
        parts += [f"## `{name}`\n", f"{_prose(command.help or '')}\n"]
        if not hasattr(command, "commands"):
            context = command.make_context(command.name, [], resilient_parsing=True)
            usage = " ".join([name, *command.collect_usage_pieces(context)])
            parts += [f"```text\n{usage}\n```\n", *_tables(command, context)]
    return "\n".join(parts)


def _commands(group: Any, above: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if not command.hidden:
            yield f"{above} {name}", command
            if hasattr(command, "commands"):
                yield from _commands(command, f"{above} {name}")


def _tables(command: Any, context: Any) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    if arguments:
        yield _table("Arguments", arguments, context)
    if options:
        yield _table("Options", options, context)


def _table(title: str, parameters: list[Any], context: Any) -> str:
    rows = [f"| {_name(p, context)} | {_cell(p.help or '')} | {_default(p)} |" for p in parameters]
    return "\n".join([f"| {title} | what | default |", "|---|---|---|", *rows, ""])


def _name(parameter: Any, context: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`" + (" …" if parameter.nargs == -1 else "")
    names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    value = "" if parameter.is_flag else _cell(parameter.metavar or str(parameter.display_type(context)))
    return f"{names} {value.lower()}".strip()


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    shown = parameter.default
    if callable(shown) or shown in (None, (), [], False):
        return ""
    return (
        f"`{_cell(str(shown).lower() if isinstance(shown, bool) else str(getattr(shown, 'value', shown)))}`"
    )


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", r"\|").replace("<", "&lt;").strip()


def _prose(text: str) -> str:
    return text.replace("\b\n", "").replace("<", "&lt;").strip()
