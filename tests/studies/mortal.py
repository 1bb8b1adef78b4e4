"""Workers that die, in a module that loads little: every replacement reads it again."""

import gc
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import squares

from cotune.exceptions import InputError


@dataclass
class Mortal(squares.SquaresWorker):
    """Dies over a number of 13, and over 7 unless it died of it before."""

    folder: Path = Path()

    def outcomes(self, job):
        for run in job.runs:
            mark = self.folder / str(run.number)
            if run.number == 13 or (run.number == 7 and not mark.exists()):
                with mark.open("a") as deaths:
                    deaths.write("x")
                os.kill(os.getpid(), signal.SIGKILL)
        return super().outcomes(job)


class MortalStudy(squares.SquaresStudy):
    """Squares by workers that die."""

    def worker(self):
        return Mortal(folder=self.path.parent)


class Refusing(squares.SquaresWorker):
    """Cannot begin."""

    def start(self):
        raise InputError("There is no model to be had.")


def echo_or_die(job):
    """Give back what it is given, or die over it."""
    if job == "die":
        os._exit(3)
    if job == "die in the middle of a word":
        connection = next(found for found in gc.get_objects() if isinstance(found, Connection))
        os.write(connection.fileno(), b"\x00\x10\x00\x00" + b"x" * 1000)  # a thousand of a million bytes
        os.kill(os.getpid(), signal.SIGTERM)
    return job
