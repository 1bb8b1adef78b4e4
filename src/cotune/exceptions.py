"""One root for every error cotune raises on purpose.

Each message is one sentence that says what is wrong, where, and what would be valid.
"""


class CotuneError(Exception):
    """Root of all errors raised by cotune."""


class InputError(CotuneError, ValueError):
    """Something the user gave is not usable; the command line exits with status 2."""


class RunError(CotuneError, RuntimeError):
    """A run failed on its own account (a diverging loss, a dead worker); other runs go on."""
