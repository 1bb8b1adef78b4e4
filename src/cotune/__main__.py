"""``python -m cotune`` is the command ``cotune``."""

from cotune.cli.main import run_and_exit

if __name__ == "__main__":
    run_and_exit()
