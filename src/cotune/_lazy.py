"""Packages whose names are loaded on first use, and with each what it alone needs."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take the name for true; typing alone takes longer than all of this

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def on_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package.

    Parameters
    ----------
    package : str
        Its name.
    homes : mapping of str to str
        The module within the package of each name. No name may be that of a module beside it, which would
        take its place once imported.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        except ModuleNotFoundError as error:
            from cotune._packages import explained

            raise explained(error, f"{package}.{name}") from error

    return load
