"""One root for every error cotune raises on purpose.

Each message is one sentence that says what is wrong, where, and what would be valid.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping


class CotuneError(Exception):
    """Root of all errors raised by cotune."""


class InputError(CotuneError, ValueError):
    """Something the user gave is not usable; the command line exits with status 2."""


class PackageError(InputError, ModuleNotFoundError):
    """A package is not installed that an extra of cotune brings.

    Parameters
    ----------
    sentence : str
        What needs it, and how to install it.
    name : str
        The module that is missing.
    """

    def __init__(self, sentence: str, name: str) -> None:
        super().__init__(sentence)
        self.name = name


class StorageError(InputError):
    """A disk refuses what is asked of it: it is full, may only be read, reports an error; names the path."""


class DamageError(InputError):
    """A file that cotune wrote is no longer what was written; names the file, and how to go on."""


class RunError(CotuneError, RuntimeError):
    """A run failed on its own account (a diverging loss, a dead worker); other runs go on."""


class SettingError(InputError):
    """An input that a setting makes usable, which the sentence names in the words of who asked.

    Parameters
    ----------
    sentence : str
        With ``{name}`` for every setting: ``leave_out=['step']`` in Python, ``--leave-out step`` on the
        command line.
    **settings : tuple of (str, value)
        The parameter and the value to give; None where the value is the reader's to choose.
    """

    def __init__(self, sentence: str, **settings: tuple[str, object]) -> None:
        self._sentence, self._settings = sentence, settings
        super().__init__(self._filled({name: _in_python(*setting) for name, setting in settings.items()}))

    def on_command_line(self) -> str:
        """Return the sentence with options instead of parameters."""
        return self._filled({name: _as_option(*setting) for name, setting in self._settings.items()})

    def _filled(self, words: Mapping[str, str]) -> str:
        filled = self._sentence
        for name, text in words.items():
            filled = filled.replace(f"{{{name}}}", text)
        return filled


def _in_python(name: str, value: object) -> str:
    if name in _REPEATED and value is not None:
        value = [value]
    return name if value is None else f"{name}={value!r}"


def _as_option(name: str, value: object) -> str:
    option = "--" + _REPEATED.get(name, name).replace("_", "-")
    return option if value is None else f"{option} {shlex.quote(str(value))}"


_REPEATED = {"tasks": "task", "leave_out": "leave_out"}
"""Parameters that take several values, and the options that are given once for each."""
