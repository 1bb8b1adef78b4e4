"""Budgets of a comparison: steps a task, or as many as help."""

from __future__ import annotations

from typing import Literal, TypeAlias

from cotune.findings.wording import count

CONVERGED: Literal["converged"] = "converged"

Budget: TypeAlias = int | Literal["converged"]
"""Training steps a task; ``"converged"`` where every model trains until its validation loss stops falling."""


def budget_order(budget: Budget) -> tuple[bool, int]:
    """Sort budgets by their steps, that which has no number last."""
    return (True, 0) if budget == CONVERGED else (False, int(budget))


def budget_words(budget: Budget) -> str:
    """Text of a budget after "at": ``"16 steps a task"``, ``"convergence"``."""
    return "convergence" if budget == CONVERGED else f"{count(int(budget), 'step')} a task"
