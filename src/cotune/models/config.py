"""What a file says of the model, and how it becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from cotune._config import Config
from cotune.models.fingerprint import locate_model, model_fingerprint

if TYPE_CHECKING:
    from cotune.models._language_model import LanguageModel
    from cotune.models.encoding import Encoder


class ModelConfig(Config):
    """Which pretrained model, and how it reads."""

    model: str
    """Folder of a transformers checkpoint (relative to the study file), or a name on the hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Type of the frozen weights; "auto" takes bf16 where the hardware multiplies it natively."""
    profile: Literal["auto", "plain", "sentinel"] = "auto"
    """What the model's family adds to prompts and targets: "sentinel" for models pretrained on span
    corruption alone (T5 v1.1, mT5), "plain" for all others; by default told from the checkpoint."""
    max_prompt_tokens: PositiveInt = 512
    """A longer prompt has its example's input cut at the end."""
    max_target_tokens: PositiveInt = 128
    """An example with a longer target is dropped; also the most tokens generated."""

    def encoder(self, base: Path) -> Encoder:
        """Load the tokenizer with the limits of prompts and targets; needs no weights.

        Parameters
        ----------
        base : Path
            Folder that a relative model path starts from.

        Raises
        ------
        InputError
            If the model does not exist or cannot be read.
        """
        from cotune.models.encoding import load_encoder

        return load_encoder(
            locate_model(self.model, base),
            revision=self.revision,
            max_prompt_tokens=self.max_prompt_tokens,
            max_target_tokens=self.max_target_tokens,
            profile=self.profile,
        )

    def load(self, base: Path, encoder: Encoder | None = None) -> LanguageModel:
        """Load the model.

        Parameters
        ----------
        base : Path
            Folder that a relative model path starts from.
        encoder : Encoder, optional
            From :meth:`encoder`, where it is loaded already.

        Raises
        ------
        InputError
            If the model does not exist or cannot be read.
        """
        from cotune.models._language_model import LanguageModel

        location = locate_model(self.model, base)
        return LanguageModel.load(
            location, encoder or self.encoder(base), revision=self.revision, precision=self.precision
        )

    def skeleton(self, base: Path, encoder: Encoder) -> LanguageModel:
        """Return the model without its numbers, to count what would be trained; takes no memory.

        Parameters
        ----------
        base : Path
            Folder that a relative model path starts from.
        encoder : Encoder
            From :meth:`encoder`.

        Raises
        ------
        InputError
            If the model does not exist or cannot be read.
        """
        from cotune.models._language_model import LanguageModel

        return LanguageModel.skeleton(locate_model(self.model, base), encoder, revision=self.revision)

    def fingerprint(self, base: Path) -> dict[str, Any]:
        """Return all of the model that a run's results depend on, as plain JSON types."""
        from cotune.models.precision import resolve_precision

        return {
            "model": model_fingerprint(locate_model(self.model, base), self.revision),
            "precision": resolve_precision(self.precision),
            "profile": self.profile,
            "max_prompt_tokens": self.max_prompt_tokens,
            "max_target_tokens": self.max_target_tokens,
        }
