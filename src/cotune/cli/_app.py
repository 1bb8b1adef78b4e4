"""The commands by their names."""

from __future__ import annotations

import typer

from cotune.cli._options import HELP, show_help
from cotune.cli.commands import (
    bench,
    demo,
    doctor,
    evaluate,
    export,
    group,
    init,
    instructions,
    preview,
    schema,
    study,
    tune,
)

app = typer.Typer(
    name="cotune",
    help="Which tasks should be trained together, and what instruction tuning does to a language model.",
    epilog="Add --debug to any command for a traceback when it fails.",
    invoke_without_command=True,
    context_settings=HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("init")(init.init)
app.command("preview")(preview.preview)
app.command("plan")(study.plan)
app.command("run")(study.run)
app.command("status")(study.status)
app.command("report")(study.report)
app.command("doctor")(doctor.doctor)
app.command("tune")(tune.tune)
app.command("eval")(evaluate.evaluate)
app.command("export")(export.export)
app.command("group")(group.group)
app.command("instructions")(instructions.instructions)
app.command("schema")(schema.schema)
app.command("demo")(demo.demo)
app.add_typer(bench.app, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        from cotune import __version__

        print(f"cotune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    # Eager: it is told before a command is asked for.
    version: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_print_version, is_eager=True
    ),
) -> None:
    show_help(context)
