"""The command in a process of its own that stops at a named place and says so, in its workers as well.

``HOLD=PLACE python held.py COMMAND...``: the place is ``module:function``, which then never returns; ``import
NAME``, where the import of a module never ends; ``swallow module:function``, a function that takes an
exception for nothing; or ``-`` for none.
"""

import importlib
import os
import sys
import time


def wait(*_arguments, **_options):
    print("HERE", file=sys.stderr, flush=True)
    while True:
        time.sleep(0.01)


def swallow(*_arguments, **_options):
    try:
        wait()
    except BaseException:
        print("SWALLOWED", file=sys.stderr, flush=True)
    while True:
        time.sleep(0.01)


class Importing:
    """Finds no module, and is stuck over one."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            wait()


def hold(place):
    if place.startswith("import "):
        sys.meta_path.insert(0, Importing(place.removeprefix("import ")))
    elif place != "-":
        module, _, name = place.removeprefix("swallow ").partition(":")
        *within, name = name.split(".")
        found = importlib.import_module(module)
        for step in within:
            found = getattr(found, step)
        setattr(found, name, swallow if place.startswith("swallow ") else wait)


hold(os.environ["HOLD"])  # in workers too: they read this file again

if __name__ == "__main__":
    from cotune.cli.main import run_and_exit

    run_and_exit()
