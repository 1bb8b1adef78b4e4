"""What becomes of runs whose worker died: done again so many times, then given up with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from cotune.exceptions import RunError
from cotune.findings.wording import count
from cotune.studies.engine._runs import RunRecord, RunT
from cotune.studies.engine._worker import Job

_MOST_IN_A_ROW = 50
"""So many deaths without a run that ends between them, and the command ends: nothing comes of going on."""


class Deaths:
    """Counts the workers that died; every executor whose workers can asks it what to do next.

    Parameters
    ----------
    note : callable, optional
        Is told each death in a sentence.
    """

    def __init__(self, note: Callable[[str], None] = lambda _: None) -> None:
        self._note = note
        self._of_run: Counter[str] = Counter()
        self._workers = self._in_a_row = 0
        self._given_up: set[str] = set()

    def died(self, job: Job[RunT], why: str, most: int = 1) -> tuple[list[Job[RunT]], list[RunRecord]]:
        """Say what becomes of a job whose worker died.

        Parameters
        ----------
        job : Job
            What it was doing.
        why : str
            What ended it, to follow the words "A worker".
        most : int
            How often a run is done again.

        Returns
        -------
        again : list of Job
            To be done, behind all others: where memory is short, the smaller ones are better company. Runs
            that were done together are done alone, so that one too large takes no other along.
        given_up : list of RunRecord
            Of the runs that failed by it.

        Raises
        ------
        RunError
            If workers die one after another and nothing comes of any.
        """
        self._workers += 1
        self._in_a_row += 1
        if self._in_a_row > _MOST_IN_A_ROW:
            raise RunError(
                f"{self._in_a_row} workers after another died without finishing a run, the last {why}; "
                "finished runs are kept, and the same command goes on (try fewer executor.workers)."
            )
        self._of_run.update(job.keys)
        last = {key for key in job.keys if self._of_run[key] > most}
        again = [
            Job((run,), (key,), job.save_to)
            for run, key in zip(job.runs, job.keys, strict=True)
            if key not in last
        ]
        self._given_up |= last
        given_up = [
            RunRecord.of(key, run, error=_reason(self._of_run[key], why))
            for run, key in zip(job.runs, job.keys, strict=True)
            if key in last
        ]
        if again:
            what = "its run is" if len(again) == 1 else f"its {count(len(again), 'run')} are, each alone,"
            self._note(f"A worker {why}; {what} done again.")
        return again, given_up

    def ended(self) -> None:
        """Take note that a worker finished a job."""
        self._in_a_row = 0

    def sentences(self) -> list[str]:
        """Say how many died and what became of their runs; nothing where none did."""
        if not self._workers:
            return []
        again = len(self._of_run.keys() - self._given_up)
        parts = [f"{count(again, 'run')} done again"] if again else []
        parts += [f"{count(len(self._given_up), 'run')} given up as failed"] if self._given_up else []
        return [f"{count(self._workers, 'worker')} died: {' and '.join(parts)}"]


def _reason(times: int, why: str) -> str:
    often = {1: "", 2: " twice"}.get(times, f" {times} times")
    return (
        f"The worker that did the run died{often}, the last {why}; fewer executor.workers need less memory, "
        "and --retry-failed tries it again."
    )
