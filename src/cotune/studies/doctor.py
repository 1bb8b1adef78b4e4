"""What is wrong with the folder of a study or of ``cotune tune``, and mending it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cotune._files import leftovers, remove_folder, sweep
from cotune._repr import Brief
from cotune._seals import SUMS, damage, is_sealed, seal
from cotune.evaluation.saved_model import RECORD
from cotune.exceptions import DamageError, InputError, StorageError
from cotune.findings.wording import count
from cotune.studies.engine import (
    Study,
    damaged,
    is_older,
    is_study_folder,
    lacking,
    locked,
    open_store,
    salvage,
    seal_all,
    study_file_of,
    surplus_states,
)

_AGAIN = "the next 'cotune run' does it again"


@dataclass(frozen=True)
class Finding(Brief):
    """Something that is not as it should be.

    Parameters
    ----------
    path : Path
        Where.
    what : str
        What is wrong.
    then : str
        What becomes of it: what was done, or what is to be.
    mended : bool
        Whether it was put right.
    """

    path: Path
    what: str
    then: str
    mended: bool = False

    def sentence(self) -> str:
        """Say it in a line."""
        return f"{self.path} {self.what}: {self.then}"


@dataclass(frozen=True)
class Diagnosis(Brief):
    """What was found in a folder.

    Parameters
    ----------
    folder : Path
        Of the study, or of the model.
    findings : tuple of Finding
        In the order they were looked for.
    """

    folder: Path
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong, or all that was is mended."""
        return all(finding.mended for finding in self.findings)

    def sentences(self) -> Sequence[str]:
        """Say what was found, a line each, and how many of it is mended."""
        if not self.findings:
            return [f"{self.folder}: nothing is wrong"]
        mended = sum(finding.mended for finding in self.findings)
        more = "" if mended == len(self.findings) else "; --fix mends what can be" if not mended else ""
        total = f"{self.folder}: {count(len(self.findings), 'fault')} found, {mended} mended{more}"
        return [*(finding.sentence() for finding in self.findings), total]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        found = [{**vars(finding), "path": str(finding.path)} for finding in self.findings]
        return {"folder": str(self.folder), "healthy": self.healthy, "findings": found}


def examine(place: str | Path, folder: str | Path | None = None, *, fix: bool = False) -> Diagnosis:
    """Look for what is damaged, missing, left over or not cotune's in the folder of a study or a model.

    Parameters
    ----------
    place : str or Path
        A study file or a study's folder, a folder of ``cotune tune``, or one of a model with checksums.
    folder : str or Path, optional
        Of a study file, where its runs are; by default beside it.
    fix : bool
        Whether what can be mended is: what is damaged is taken away, for the next run to do it again, rows
        that are whole are saved, what killed processes left is swept up. Nothing else is touched.

    Returns
    -------
    Diagnosis

    Raises
    ------
    InputError
        If there is no such folder, or a process is at work in it.
    """
    place = Path(place)
    if place.is_dir() and not is_study_folder(place) and not (place / "runs.sqlite").exists():
        return Diagnosis(place, tuple(_of_model(place, fix)))
    if not place.exists() and place.with_name(f"{place.name}.unfinished").is_dir():
        return Diagnosis(place, tuple(_of_model(place, fix)))
    if place.is_dir():
        folder, place = folder or place, study_file_of(place)
    study = Study.load(place, folder)
    if not study.folder.is_dir():
        raise InputError(f"There is no run of the study in {study.folder}; start with 'cotune run'.")
    with ExitStack() as stack:
        _hold(stack, study.folder / ".lock", f"Another process is running the study in {study.folder}.", fix)
        return Diagnosis(study.folder, tuple(_of_study(study, fix)))


def _hold(stack: ExitStack, lock: Path, refusal: str, fix: bool) -> None:
    try:
        stack.enter_context(locked(lock, refusal))
    except StorageError:  # where nothing can be written one may look all the same
        if fix:
            raise


def _of_study(study: Study[Any, Any], fix: bool) -> Iterator[Finding]:
    home, folder = study.home, study.folder
    try:
        home.check()
    except DamageError:
        if fix:
            home.name(study._machine)
        written = f"written anew for {study.path}"
        yield Finding(
            folder / "study.json",
            "does not say whose the folder is",
            written if fix else f"--fix has it {written}",
            fix,
        )
    yield from _left_over(folder, fix)
    if home.store.exists():
        yield from _of_store(study, fix)
    for fault in damaged(folder, study.owns):
        if fix:
            fault.take_away(folder, study.builds_upon(fault.unit))
        yield Finding(fault.path, f"is damaged, {fault.why}", f"{'taken away, ' * fix}{_AGAIN}", fix)
    if home.store.exists() and not (fix is False and is_older(home.store)):
        with suppress(DamageError), open_store(home.store, writable=False) as store:
            for missing in lacking(study, store):
                yield Finding(missing, "is missing", _AGAIN, mended=fix)
            for state in surplus_states(study, store):
                if fix:
                    remove_folder(state, folder)
                yield Finding(state, "is the state of a run that is done", "taken away" * fix or "--fix", fix)
    yield from _foreign(study)


def _left_over(folder: Path, fix: bool) -> Iterator[Finding]:
    found = leftovers(folder)
    if fix:
        sweep(folder)
    for path in found:
        then = "taken away" if fix else "the next run takes it away"
        yield Finding(path, "was left by a process that was killed", then, fix)


def _of_store(study: Study[Any, Any], fix: bool) -> Iterator[Finding]:
    path = study.home.store
    if is_older(path):
        if fix:
            seal_all(study.folder, study.owns)
        then = "it and all artefacts get them, as they are" if fix else "the next run gives them, as it is"
        yield Finding(path, "has no checksums: it is of an older version", then, fix)
    try:
        with open_store(path, writable=fix) as store:
            numbers = store.unsound()
            if fix:
                store.drop(numbers)
        for number in numbers:
            then = f"{'taken away, ' * fix}{_AGAIN}"
            yield Finding(path, f"is damaged in row {number}", then, fix)
    except DamageError as error:
        what = str(error).removeprefix(f"{path} ").partition(";")[0].partition(":")[0]
        if not fix:
            yield Finding(path, what, "--fix saves the rows that are whole, and the others are done again")
            return
        saved, kept = salvage(path)
        rows = count(saved, "row")
        yield Finding(path, what, f"{rows} saved, others are done again; the old file is {kept.name}", True)


def _foreign(study: Study[Any, Any]) -> Iterator[Finding]:
    for path in sorted(set(study.folder.iterdir()) - set(leftovers(study.folder))):
        if not study.owns(path.name):
            yield Finding(path, "is not cotune's", "it is left alone", mended=True)


def _of_model(folder: Path, fix: bool) -> Iterator[Finding]:
    """Look at a model that was tuned by one command, and at what it goes on from if it was interrupted."""
    unfinished = folder if folder.suffix == ".unfinished" else folder.with_name(f"{folder.name}.unfinished")
    if not unfinished.is_dir() and not (folder / RECORD).is_file() and not is_sealed(folder):
        raise InputError(
            f"{folder} is the folder of no study and of no model of 'cotune tune'; give a study file (YAML) "
            "or such a folder."
        )
    if unfinished.is_dir():
        with ExitStack() as stack:
            _hold(stack, unfinished / ".lock", f"Another process is tuning a model for {folder}.", fix)
            yield from _left_over(unfinished, fix)
            for fault in damaged(unfinished):
                if fix:
                    fault.take_away(unfinished)
                then = f"{'taken away, ' * fix}the same 'cotune tune' does it again"
                yield Finding(fault.path, f"is damaged, {fault.why}", then, fix)
    if folder == unfinished or not folder.is_dir():
        return
    if not is_sealed(folder):
        if fix:
            seal(folder)
        then = "written, of the files as they are" if fix else "--fix writes them, of the files as they are"
        yield Finding(folder, f"has no checksums ({SUMS})", then, fix)
        return
    found = damage(folder)
    if found:
        yield Finding(
            folder,
            f"is damaged, {found}",
            "the same 'cotune tune' tunes the model again and replaces it"
            if (folder / RECORD).is_file()
            else "copy it anew from where it is whole",
        )
