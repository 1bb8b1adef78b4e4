"""Entry point of ``cotune``: commands, and what happens to errors."""

from __future__ import annotations

import sys
import traceback

import typer

from cotune.cli.commands import bench, demo, evaluate, group, instructions, study, tune
from cotune.exceptions import CotuneError, InputError

app = typer.Typer(
    name="cotune",
    help="Which tasks should be trained together, and what instruction tuning does to a language model.",
    epilog="Add --debug to any command for a traceback when it fails.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("plan")(study.plan)
app.command("run")(study.run)
app.command("status")(study.status)
app.command("report")(study.report)
app.command("tune")(tune.tune)
app.command("eval")(evaluate.evaluate)
app.command("group")(group.group)
app.command("instructions")(instructions.instructions)
app.command("demo")(demo.demo)
app.add_typer(bench.app, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        from cotune import __version__

        print(f"cotune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    # Eager: it is told before a command is asked for.
    version: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_print_version, is_eager=True
    ),
) -> None:
    pass


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        0, or 2 for the user's mistakes, 1 for failures that are not, 130 when interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        app(arguments, standalone_mode=False)
    except InputError as error:
        return _failed(str(error), 2, debug)
    except CotuneError as error:
        return _failed(str(error), 1, debug)
    except typer.exceptions.TyperException as error:
        return _failed(error.format_message(), error.exit_code, debug)
    except (typer.Abort, KeyboardInterrupt):
        print("Interrupted; what was finished is kept, and the same command goes on.", file=sys.stderr)
        return 130
    except typer.Exit as error:
        return int(error.exit_code)
    except Exception as error:
        name = type(error).__name__
        return _failed(f"{name}: {error} (an error of cotune's; --debug shows where)", 1, debug)
    return 0


def _failed(sentence: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {sentence}", file=sys.stderr)
    return status


def run_and_exit() -> None:
    """Run the command line and leave the process with its status."""
    sys.exit(main())
