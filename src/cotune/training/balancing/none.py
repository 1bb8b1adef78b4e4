"""No balancing: every target token counts the same."""

from __future__ import annotations

from cotune.training.balancing._balancing import Balancing


class NoBalancing(Balancing):
    """A step goes along the gradient of its batch's mean loss per target token."""
