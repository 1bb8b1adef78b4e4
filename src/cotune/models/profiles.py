"""Profiles: what a family of models adds to a prompt, and where its answer stands in what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cotune._repr import Brief

ProfileName = Literal["auto", "plain", "sentinel"]


@dataclass(frozen=True, slots=True)
class Profile(Brief):
    """How prompts and targets are dressed for a family of models.

    Parameters
    ----------
    prompt_end : str
        Follows every prompt.
    opening, closing : str
        Tokens that stand around every target; empty for none.
    """

    prompt_end: str = ""
    opening: str = ""
    closing: str = ""

    def prompt(self, text: str) -> str:
        """Return a prompt as the model reads it."""
        return text + self.prompt_end

    def target(self, text: str) -> str:
        """Return a target as the model writes it."""
        return " ".join(part for part in (self.opening, text, self.closing) if part)

    def renamed(self, names: Mapping[str, str]) -> Profile:
        """Return the profile with its tokens under other names."""
        parts = [self.prompt_end, self.opening, self.closing]
        for old, new in names.items():
            parts = [part.replace(old, new) for part in parts]
        return Profile(*parts)


PROFILES: dict[str, Profile] = {
    "plain": Profile(),
    "sentinel": Profile(" <extra_id_0>", "<extra_id_0>", "<extra_id_1>"),
}
"""Models pretrained on span corruption fill a sentinel in (ProMoT, appendix A.1): their answer stands between
the first two. All others are plain."""

_SPAN_CORRUPTION = ("t5", "mt5", "umt5")


def choose_profile(config: Any, tokenizer: Any) -> Literal["plain", "sentinel"]:
    """Tell which profile a checkpoint needs.

    Parameters
    ----------
    config : PretrainedConfig
        The T5 family's configurations name ``task_specific_params`` where the model was trained on tasks
        besides span corruption (T5, Flan-T5); those models answer without sentinels.
    tokenizer : PreTrainedTokenizerBase
        Has to know the sentinel ``<extra_id_0>``.
    """
    corrupts_spans = config.model_type in _SPAN_CORRUPTION and not getattr(
        config, "task_specific_params", None
    )
    knows_sentinels = PROFILES["sentinel"].opening in tokenizer.get_vocab()
    return "sentinel" if corrupts_spans and knows_sentinels else "plain"
