"""Processes that keep the other cores busy while a plan is measured, as workers will."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_BUSY = """
import os, sys
import numpy as np
a = np.random.default_rng(0).random((256, 256), dtype=np.float32)
print(flush=True)
while os.getppid() == int(sys.argv[1]):
    a = a @ a
    a /= a.max()
"""


@contextmanager
def company(others: int, threads: int = 1) -> Iterator[None]:
    """Let other processes multiply matrices as long as the block lasts; they end with this process too.

    Two hardware threads of a core share its arithmetic: work takes up to twice the processor time when the
    other thread is busy, so that a probe that runs alone says too little.

    Parameters
    ----------
    others : int
        How many; 0 or less for none.
    threads : int
        Of numerical libraries, in each.
    """
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(variables, str(threads))}
    command = [sys.executable, "-c", _BUSY, str(os.getpid())]
    started = []
    try:
        for _ in range(others):
            started.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()  # says that it begins
        yield
    finally:
        for process in started:
            process.kill()
            process.communicate()
