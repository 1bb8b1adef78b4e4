"""A cheaper learner in the place of another, where only the order of its scores is used."""

from __future__ import annotations

from typing import Annotated, Protocol, Self, runtime_checkable

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from cotune._config import Config
from cotune.training.learner import Learner


class Proxy(Config):
    """What of the learner is another while affinity is estimated."""

    adapt_from: PositiveInt | Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """The lowest layer that the adapter is on, or the least share of the layers below it; see ``learner``."""
    cache_bytes: NonNegativeInt | None = None
    """Most bytes of what is computed once below it; see ``learner``."""
    model: str | None = None
    """Another model, smaller as a rule: a folder, or a name on the hub."""
    revision: str | None = None
    """Its branch, tag or commit on the hub."""

    @model_validator(mode="after")
    def _is_another(self) -> Self:
        if self.adapt_from is None and self.model is None:
            raise ValueError(
                "proxy needs adapt_from or model: it is what the proxy has other than the learner."
            )
        if self.revision is not None and self.model is None:
            raise ValueError("proxy.revision is of proxy.model; give that too.")
        return self

    @property
    def sentence(self) -> str:
        """What it means for the affinity, in one sentence."""
        named = [] if self.model is None else [f"the model {self.model}"]
        if self.adapt_from is not None:
            upper = (
                f"the layers from {self.adapt_from} up"
                if isinstance(self.adapt_from, int)
                else f"the layers above the lower {self.adapt_from:.0%}"
            )
            named.append(f"an adapter on {upper}")
        return (
            f"Affinity is estimated by a proxy, {' with '.join(named)}; its scores are not those of the "
            "models that groups are compared by."
        )


@runtime_checkable
class ProxiedLearner(Learner, Protocol):
    """A learner that a cheaper one can stand in for."""

    def proxied(self, proxy: Proxy) -> Self:
        """Return what stands in for it; both share what is loaded, where the model is the same.

        Raises
        ------
        InputError
            If the options do not go together.
        """
        ...
