"""Entry point of ``cotune``: what happens to errors and interrupts.

Whatever takes time to import is imported where interrupts are listened to.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from cotune._neutral import VisibleStream, visible
from cotune.cli import _interrupt
from cotune.exceptions import CotuneError, InputError


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        0, or 2 for the user's mistakes, 1 for failures that are not, 130 when interrupted, 143 by SIGTERM.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    _interrupt.begin(arguments)
    with _visible_output():
        try:
            status = _run(arguments, debug)
            _interrupt.stop_listening()  # within the block: no interrupt falls between
        except KeyboardInterrupt:
            _interrupt.stop_listening()
            status = None
            if debug:
                traceback.print_exc()
        if status is None or _interrupt.received():
            print(_interrupt.sentence(), file=sys.stderr)
            return _interrupt.status()
        return status


@contextmanager
def _visible_output() -> Iterator[None]:
    """Show control characters of names as they are escaped, whoever prints them."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", VisibleStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _run(arguments: list[str], debug: bool) -> int | None:
    """Run a command and say what went wrong; None if it was interrupted."""
    import typer

    from cotune._packages import explained
    from cotune._storage import refused_by_system
    from cotune.cli._app import app

    try:
        try:
            returned = app(arguments, standalone_mode=False)
        except ModuleNotFoundError as error:
            raise explained(error, _command(arguments)) from error
    except InputError as error:
        return _failed(str(error), 2, debug)
    except CotuneError as error:
        return _failed(str(error), 1, debug)
    except typer.exceptions.TyperException as error:
        return _failed(error.format_message(), error.exit_code, debug)
    except typer.Abort:
        return None
    except typer.Exit as error:
        returned = error.exit_code
    except Exception as error:
        refusal = refused_by_system(error)
        if refusal is not None:
            return _failed(str(refusal), 2, debug)
        name = type(error).__name__
        return _failed(f"{name}: {error} (an error of cotune's; --debug shows where)", 1, debug)
    # Commands return nothing; typer gives back the status it would have left with, 130 for an interrupt.
    return None if returned == 130 else int(returned or 0)


def _command(arguments: list[str]) -> str:
    """Name the command that the arguments call."""
    return " ".join(["cotune", *[word for word in arguments if not word.startswith("-")][:1]])


def _failed(sentence: str, status: int, debug: bool) -> int | None:
    if _interrupt.received():  # an interrupt in the words of another's except clause
        return None
    if debug:
        traceback.print_exc()
    with suppress(OSError):  # a disk that is full may be where it goes
        print(f"error: {visible(sentence, one_line=True)}", file=sys.stderr)
    return status


def run_and_exit() -> None:
    """Run the command line and leave the process with its status."""
    _interrupt.listen()
    sys.exit(main())
