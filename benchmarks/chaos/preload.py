"""Loads what commands load, in the process that workers are forks of."""

from chaos.works import load

load()
