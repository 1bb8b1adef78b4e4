"""A start of a cluster that a signal, or an error, ends takes away what it had begun.

With processes that sleep in place of Ray's; with those of a real cluster in ``test_ray_studies.py``.
"""

import signal
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import psutil
import pytest

from cotune.studies.engine._ray_cluster import _starting

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


class Ray:
    """What of Ray a start asks."""

    def __init__(self):
        self._private = SimpleNamespace(worker=SimpleNamespace(_global_node=None))
        self.shut_down = 0

    def shutdown(self):
        self.shut_down += 1

    def has_started(self):
        self._private.worker._global_node = "a node"


@pytest.fixture
def begin_family():
    """Give what begins a process that has a child, and returns both."""
    every = []

    def begin():
        parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
        family = [psutil.Process(parent.pid), psutil.Process(int(parent.stdout.readline()))]
        every.extend(family)
        return family

    yield begin
    for process in every:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def start(ray, *steps):
    with _starting(ray):
        for step in steps:
            step()


@pytest.fixture
def others(begin_family):
    return begin_family()


@pytest.fixture
def raising():
    """Let both signals raise, as a command does."""

    def interrupted(number, frame):
        raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    yield interrupted
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_start_at_once_and_all_that_it_began(number, raising, others, begin_family):
    ray, begun, went_on = Ray(), [], []
    with pytest.raises(KeyboardInterrupt):
        start(
            ray,
            lambda: begun.extend(begin_family()),
            lambda: signal.signal(signal.SIGTERM, lambda *_: None),  # as Ray puts its own answer there
            lambda: signal.raise_signal(number),
            lambda: went_on.append(True),
        )
    assert begun
    assert not went_on
    assert not any(process.is_running() for process in begun)
    assert all(process.is_running() for process in others)
    assert ray.shut_down == 1
    assert signal.getsignal(number) is raising


def test_an_error_takes_away_what_was_begun(begin_family):
    begun = []
    with pytest.raises(ZeroDivisionError):
        start(Ray(), lambda: begun.extend(begin_family()), lambda: 1 / 0)
    assert begun
    assert not any(process.is_running() for process in begun)


def test_the_connection_is_not_cut_short(raising, others):
    ray, went_on = Ray(), []
    with pytest.raises(KeyboardInterrupt):
        start(ray, ray.has_started, lambda: signal.raise_signal(signal.SIGTERM), lambda: went_on.append(True))
    assert went_on
    assert ray.shut_down == 0  # by whoever holds the connection, as ever
    assert all(process.is_running() for process in others)


def test_who_lets_signals_be_keeps_their_default():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with _starting(Ray()):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
