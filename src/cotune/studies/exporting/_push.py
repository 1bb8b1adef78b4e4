"""To a hub, for those who ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cotune.exceptions import InputError


def open_repository(name: str, *, public: bool) -> None:
    """Make a repository on the hub, or see that it is there; private unless it is to be public.

    Raises
    ------
    InputError
        If the hub cannot be reached, or does not let this user.
    """
    from huggingface_hub import HfApi

    with _told(name, "nothing was exported"):
        HfApi().create_repo(name, private=not public, exist_ok=True)


def push(folder: Path, name: str) -> str:
    """Push a folder into a repository; return its address.

    Raises
    ------
    InputError
        If the hub does not take it.
    """
    from huggingface_hub import HfApi

    with _told(name, f"{folder} holds what was exported"):
        HfApi().upload_folder(repo_id=name, folder_path=str(folder), commit_message="Export by cotune")
    return f"{HfApi().endpoint}/{name}"


@contextmanager
def _told(name: str, otherwise: str) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    # The bases of the first are what the HTTP library beneath raises where no hub answers, whichever that is.
    expected: tuple[type, ...] = (*HfHubHTTPError.__bases__, HFValidationError, OfflineModeIsEnabled, OSError)
    try:
        yield
    except Exception as error:
        if not isinstance(error, expected):
            raise
        reason = next(
            (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        raise InputError(f"The hub does not take {name}: {reason.rstrip('.')}; {otherwise}.") from error
