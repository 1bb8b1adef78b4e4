"""The names of :mod:`cotune.answering` under the place that scripts import them from."""

from cotune.answering import *  # noqa: F403
