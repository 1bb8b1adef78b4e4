"""Refuse every connection but to this machine, in this process and in all Python processes that it starts.

Python tells of a connection before it makes it, whichever library asks, and what listens cannot be taken away
again. Children are told by the folder ``blocked``, which stands in their ``PYTHONPATH``.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Any

_WATCHED = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}
_HERE = Path(__file__).parent / "blocked"
_OWN = "TESTS_OWN_ADDRESSES"
"""Variable that tells children what was found out."""
_installed = False
_own: set[str] = set()


class NetworkError(OSError):
    """A test asked for something that is not on this machine."""


def block() -> None:
    """Refuse from now on, for good; once a process."""
    global _installed
    if not _installed:
        _installed = True
        _own.update(os.environ[_OWN].split() if _OWN in os.environ else _own_addresses())
        sys.addaudithook(_refuse)


def block_children() -> None:
    """Let Python processes that are started from here on refuse as well."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ[_OWN] = " ".join(sorted(_own))
    if str(_HERE) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in (str(_HERE), *paths) if path)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _WATCHED:
        return
    place = arguments[0] if event.startswith("socket.get") else arguments[1]
    # A path is a socket of this machine, and None one that is connected already.
    host = (
        place[0] if isinstance(place, tuple) and place else place if event.startswith("socket.get") else None
    )
    if not _is_here(host):
        raise NetworkError(errno.EACCES, f"no test may reach beyond this machine; one asked for {host}")


def _is_here(host: Any) -> bool:
    text = host.decode(errors="replace") if isinstance(host, bytes) else host
    if text is None or text in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(text).partition("%")[0])
    except ValueError:
        return str(text) == os.uname().nodename
    return address.is_loopback or address.is_unspecified or str(address) in _own


def _own_addresses() -> set[str]:
    """Return the addresses of this machine: what spreads over processes, as Ray, calls itself by them."""
    found = set()
    for family, far in ((socket.AF_INET, "198.51.100.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))  # sends nothing: it tells by which address it would
            found.add(probe.getsockname()[0])
    return found
