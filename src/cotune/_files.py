"""Files that are whole or not at all, under names that are safe, and taken away only where they are ours.

A reader, or a killed process, never leaves half a file behind.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import os
import re
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from cotune._neutral import csv_cell
from cotune._storage import writing
from cotune.exceptions import InputError

_LONGEST = 200  # bytes: file systems take 255, and temporary names are longer
_UNDER_WAY = ".new"
# The dot, the name, eight letters of tempfile's, the ending.
_LEFT = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.new", re.DOTALL)
# Names of devices on Windows, with any ending.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Return what files or folders beside one another are called, one for each of a user's names.

    Letters, digits, spaces and ``_.-~`` stand for themselves, all else is percent-encoded. A name that
    cannot stay so (empty, ``..``, too long, a device, one that differs from another by case alone) ends in
    its hash. No two are the same, on file systems that pass over case neither.
    """
    plain = {name: quote(name, safe=" ", errors="surrogatepass") for name in names}
    folded = Counter(text.lower() for text in plain.values())
    return {
        name: text if _stays(text) and (folded[text.lower()] == 1 or text.islower()) else _hashed(name, text)
        for name, text in plain.items()
    }


def _stays(text: str) -> bool:
    """Whether a quoted name can be a file's."""
    # Temporary files begin with a dot, and Windows cuts dots and spaces off the end.
    device = text.partition(".")[0].strip().lower() in _DEVICES
    return 0 < len(text) <= _LONGEST and text[0] != "." and text[-1] not in ". " and not device


def _hashed(name: str, text: str) -> str:
    # No quoted name holds an equals sign.
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{text[:64].replace('.', '_').strip()}={digest}"


def inside(path: Path, folder: Path) -> Path:
    """Return a path as it is, if it lies within a folder with all links followed.

    Raises
    ------
    InputError
        If it is the folder itself, or a link or ``..`` leads out of its place.
    """
    place, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    within = path != folder and path.is_relative_to(folder)
    if not within or place != home / path.relative_to(folder):
        raise InputError(
            f"{path} leads to {place}, and nothing there is replaced or taken away: within {folder} there "
            "must be no links to elsewhere; put a folder in the link's place."
        )
    return path


def remove_folder(path: Path, within: Path, *, ignore_errors: bool = False) -> None:
    """Take a folder away with all it holds, if it is there.

    Parameters
    ----------
    path : Path
        The folder.
    within : Path
        The folder, of a study for one, that must hold it; see :func:`inside`.
    ignore_errors : bool
        Leave what cannot be removed.

    Raises
    ------
    InputError
        If it lies elsewhere; nothing is removed then.
    """
    if os.path.lexists(path):
        with writing(path):
            shutil.rmtree(inside(path, within), ignore_errors=ignore_errors)


def write_text(path: Path, text: str) -> None:
    """Replace a file's content atomically."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file's content atomically."""
    with new_file(path) as fresh, fresh.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Fill a temporary file; it takes its name, replacing what was there, when the block ends well."""
    with writing(path), _under_way(path, _make_file) as fresh:
        try:
            yield fresh
            _set_modes(fresh)
            os.replace(fresh, path)
        finally:
            with suppress(OSError):  # what cannot be taken away is left, and swept up later
                fresh.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a temporary folder; it takes its name, replacing what was there, when the block ends well."""
    with writing(path), _under_way(path, _make_folder) as fresh:
        try:
            yield fresh
            _set_modes(fresh)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            os.replace(fresh, path)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def _under_way(path: Path, make: Callable[[Path], tuple[int, str]]) -> Iterator[Path]:
    """Make what is filled before it takes a path's name, and hold it: a killed process lets go of it.

    What earlier processes left that were killed on the way to the same name is taken away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep_beside(path)
    while True:
        handle, name = make(path)
        # Another process may have taken it for left over before it was held.
        if _hold(handle) is not False and _is_open(handle, name):
            break
        os.close(handle)
    try:
        yield Path(name)
    finally:
        os.close(handle)


def _make_file(path: Path) -> tuple[int, str]:
    return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_UNDER_WAY)


def _make_folder(path: Path) -> tuple[int, str]:
    name = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=_UNDER_WAY)
    return os.open(name, os.O_RDONLY), name


def _sweep_beside(path: Path) -> None:
    names: list[str] = []
    with suppress(OSError):  # where one may write, and not look
        names = os.listdir(path.parent)
    for name in names:
        found = _LEFT.fullmatch(name)
        if found is None or found[1] != path.name:
            continue
        place = path.parent / name
        with suppress(OSError):
            handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                if _hold(handle):
                    _take_away(place)
            finally:
                os.close(handle)


def _hold(handle: int) -> bool | None:
    """Hold an open file or folder: False if another process does, None where that cannot be told."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_open(handle: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), os.stat(name))
    return False


def leftovers(folder: Path) -> list[Path]:
    """Return what killed processes left in a folder, or in those in it, of files and folders under way."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        under_way = [name for name in (*folders, *files) if _LEFT.fullmatch(name)]
        found += [Path(place, name) for name in under_way]
        folders[:] = [name for name in folders if name not in under_way]
    return sorted(found)


def sweep(folder: Path) -> int:
    """Take away what killed processes left in a folder that is held by this one; return how many there were.

    What cannot be taken away is left.
    """
    found = leftovers(folder)
    for path in found:
        _take_away(path)
    return len(found)


def _take_away(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def folder_bytes(folder: Path) -> int:
    """Return what the files of a folder, and of those in it, take."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _set_modes(path: Path) -> None:
    """Give a file, or a folder and all in it, the modes that the umask says.

    Temporary files are their owner's alone, and so are those that safetensors writes.
    """
    mask = os.umask(0)
    os.umask(mask)
    for place in (path, *path.rglob("*")):
        if not place.is_symlink():
            mode = place.stat().st_mode
            # A folder for a group hands its group on to what is in it.
            special = stat.S_IMODE(mode) & ~0o777
            place.chmod(special | ((0o777 if stat.S_ISDIR(mode) else 0o666) & ~mask))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV, the same bytes for the same values; see :func:`cotune._neutral.csv_cell`."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    # Of a table of runs most cells are empty, and there may be a million of them.
    writer.writerows([csv_cell(value) if value else value for value in row] for row in (header, *rows))
    return stream.getvalue()
