"""A kind of study whose runs cost nothing: numbers are squared. All that a kind needs, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from cotune._files import write_text
from cotune.exceptions import InputError, RunError
from cotune.studies.engine import (
    Costs,
    Job,
    Runner,
    StagePlan,
    Standing,
    Study,
    StudyConfig,
    StudyResult,
    Usage,
    Worker,
    cell,
    csv_text,
    key_of,
    write_artefact_record,
)


class SquaresConfig(StudyConfig):
    """What the file says."""

    kind: Literal["squares"] = "squares"
    numbers: tuple[int, ...]
    again: bool = False


@dataclass(frozen=True, slots=True)
class SquareRun:
    """Square a number."""

    kind: ClassVar[str] = "square"
    number: int

    @property
    def size(self) -> int:
        return self.number


@dataclass
class SquaresWorker(Worker[SquareRun]):
    """Squares numbers; three is too many."""

    exponent: int = 0
    done: list[int] = field(default_factory=list)

    def start(self) -> None:
        self.exponent = 2

    def outcomes(self, job: Job[SquareRun]) -> Sequence[Mapping[str, Any]]:
        if any(run.number == 3 for run in job.runs):
            raise RunError("The number 3 was not squared.")
        if job.save_to is not None:
            job.save_to.mkdir(parents=True)
            write_artefact_record(job.save_to, {"run": job.keys[0]})
        return [{"payload": {"square": run.number**self.exponent}} for run in job.runs]


@dataclass(kw_only=True)
class SquaresResult(StudyResult):
    """The squares found."""

    squares: Mapping[int, int] = field(default_factory=dict)

    def sentences(self) -> Sequence[str]:
        return [f"{number} squared is {square}" for number, square in self.squares.items()]

    def to_dict(self) -> dict[str, Any]:
        return {"squares": [list(pair) for pair in self.squares.items()]}


@dataclass(frozen=True)
class SquaresStudy(Study[SquaresConfig, SquareRun]):
    """Square numbers, and the largest square again."""

    config_class: ClassVar[type[SquaresConfig]] = SquaresConfig

    @property
    def _runs(self) -> list[SquareRun]:
        return [SquareRun(number) for number in self.config.numbers]

    def check(self) -> dict[str, tuple[str, ...]]:
        if any(number > 99 for number in self.config.numbers):
            raise InputError(f"{self.path}: numbers: must be at most 99.")
        return {"squares": ("negative numbers lose their sign",)} if min(self.config.numbers) < 0 else {}

    def key(self, run: SquareRun) -> str:
        return key_of(run, exponent=2)

    def batches(self, runs: Sequence[SquareRun]) -> list[Sequence[SquareRun]]:
        return [runs[at : at + 2] for at in range(0, len(runs), 2)]

    def worker(self) -> SquaresWorker:
        return SquaresWorker()

    def costs(self, *, measure: bool) -> Costs:
        seconds = 2.0 * len(self._runs) if measure else None
        usage = Usage(process_bytes=100, kept_bytes=7, in_flight_bytes=10) if measure else None
        stage = StagePlan("squaring", len(self._runs), 0, None, seconds)
        return Costs(0, (stage,), usage, ("Nothing is assumed.",))

    def _largest(self, found: Mapping[SquareRun, Any]) -> list[SquareRun] | None:
        """Known when all squares are."""
        if not self.config.again or len(found) < len(self._runs):
            return None
        good = {run: record.payload["square"] for run, record in found.items() if record.payload}
        return [SquareRun(max(good.values()))]

    def standing(self, runner: Runner[SquareRun]) -> Standing[SquareRun]:
        found = runner.get("squaring", self._runs)
        stages: dict[str, list[SquareRun] | None] = {"squaring": self._runs}
        if self.config.again:
            stages["again"] = self._largest(found)
        return Standing(stages, {"known": len(found)}, [f"{len(found)} squares are known"])

    def follow(self, runner: Runner[SquareRun], notes: Mapping[str, tuple[str, ...]]) -> SquaresResult:
        result = SquaresResult(notes=notes, stages=runner.stages)
        found = runner.get("squaring", self._runs)
        again = self._largest(found)
        if again is not None:
            kept: Mapping[SquareRun, Path] = dict.fromkeys(again, self.folder / "largest")
            found |= runner.get("again", again, kept)
        squares = {run.number: r.payload["square"] for run, r in found.items() if r.payload is not None}
        result.squares = dict(sorted(squares.items()))
        table = csv_text(["number", "square"], ([n, cell(s)] for n, s in result.squares.items()))
        write_text(self.folder / "squares.csv", table)
        result.report = self.folder / "report.html"
        write_text(result.report, "<br>".join(result.sentences()))
        return result
