"""What a file says of the model, and how it becomes one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt, PrivateAttr, SerializerFunctionWrapHandler, model_serializer

from cotune._config import Config
from cotune._places import named
from cotune.models.fingerprint import locate_model, model_fingerprint
from cotune.models.formats import FormatName, chat_fingerprint, choose_format
from cotune.models.loading import check_code
from cotune.models.precision import Number, Precision
from cotune.tasks import Task

if TYPE_CHECKING:
    from cotune.models._language_model import LanguageModel
    from cotune.models.encoding import Encoder
    from cotune.models.formats import ChosenFormat
    from cotune.models.precision import ChosenPrecision


_TRUST = "trust_remote_code"


class ModelConfig(Config):
    """Which pretrained model, and how it reads."""

    model: str
    """Folder of a transformers checkpoint (relative to the study file), the model that comes with cotune
    (toy_language), or a name on the hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    trust_remote_code: bool = False
    """Whether code that comes with the model runs, which may do all that you can: only with a revision that
    is a commit (40 hexadecimal digits), or the hash of a folder's Python files, which the refusal tells."""
    precision: Precision = "auto"
    """Type of the frozen weights; "auto" takes bf16 where it is measured to be faster than fp32. "int8" and
    "nf4" quantise them to 8 and 4 bits through bitsandbytes (extra quantized), for adapters alone."""
    profile: Literal["auto", "plain", "sentinel"] = "auto"
    """What the model's family adds to prompts and targets: "sentinel" for models pretrained on span
    corruption alone (T5 v1.1, mT5), "plain" for all others; by default told from the checkpoint."""
    format: FormatName = "plain"
    """How tasks are put to the model: "plain" as one text, "chat" as turns by the tokenizer's chat template,
    "auto" as a chat where there is a template and the model ends its answers as the template ends turns."""
    max_prompt_tokens: PositiveInt = 512
    """A longer prompt has its example's input cut at the end."""
    max_target_tokens: PositiveInt = 128
    """An example with a longer target is dropped; also the most tokens generated."""
    # What "auto" was found to mean. It goes where the configuration goes, to copies and to other processes: a
    # second measurement might say otherwise, and runs would not be what their keys say.
    _chosen: ChosenPrecision | None = PrivateAttr(default=None)
    _fixed: bool = PrivateAttr(default=False)

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
            self._located(base),
            revision=self.revision,
            trusted=self.trust_remote_code,
            max_prompt_tokens=self.max_prompt_tokens,
            max_target_tokens=self.max_target_tokens,
            profile=self.profile,
            format=self.chosen_format(base),
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

        return LanguageModel.load(
            self._located(base),
            encoder or self.encoder(base),
            revision=self.revision,
            trusted=self.trust_remote_code,
            precision=self.resolved_precision(base),
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

        trusted = self.trust_remote_code
        return LanguageModel.skeleton(self._located(base), encoder, revision=self.revision, trusted=trusted)

    def _located(self, base: Path) -> Path | str:
        """Return where the model is, once its code is what the file says may run."""
        location = locate_model(self.model, base)
        if self.trust_remote_code:
            check_code(location, self.revision)
        return location

    @model_serializer(mode="wrap")
    def _without_trust(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Runs of before there was trust, and all that need none, keep their keys.
        content: dict[str, Any] = plain(self)
        return content if self.trust_remote_code else {k: v for k, v in content.items() if k != _TRUST}

    @property
    def measured_on(self) -> str | None:
        """The device on which "auto" was measured; None where a type is given, or nothing is measured yet."""
        return None if self.precision != "auto" or self._chosen is None else self._chosen.device

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Come to another process: what "auto" meant where keys were made, it means on any device there."""
        super().__setstate__(state)
        self._fixed = self._chosen is not None

    def chosen_precision(self, base: Path) -> ChosenPrecision | None:
        """Return what "auto" means here, measured when it is asked for first; None where a type is given.

        Parameters
        ----------
        base : Path
            Folder that a relative model path starts from.
        """
        from cotune.models.precision import choose_precision, default_device, layer_shape

        if self.precision != "auto":
            return None
        # Remembered for a machine of another kind, it would say nothing of this one.
        elsewhere = not self._fixed and self._chosen is not None and self._chosen.device != default_device()
        if self._chosen is None or elsewhere:
            shape = layer_shape(locate_model(self.model, base), self.revision)
            self._chosen = choose_precision(shape=shape)
        return self._chosen

    def files_read(self, base: Path) -> Sequence[Path]:
        """Return the files of a checkpoint in a local folder, as absolute paths; none of another.

        Parameters
        ----------
        base : Path
            Folder that a relative model path starts from.
        """
        folder = named(base, self.model)
        files = [file for file in folder.glob("[!.]*") if file.is_file()] if folder.is_dir() else []
        return [*files, folder / "additional_chat_templates"] if files else []

    def chosen_format(self, base: Path) -> ChosenFormat:
        """Return how tasks are put to the model, and why.

        Parameters
        ----------
        base : Path
            Folder that a relative model path starts from.

        Raises
        ------
        InputError
            If that is to be told from the model and its tokenizer cannot be loaded.
        """
        location = self._located(base) if self.format == "auto" else locate_model(self.model, base)
        return choose_format(self.format, location, self.revision, trusted=self.trust_remote_code)

    def reads(self, task: Task, base: Path) -> Task:
        """Return what the model can see of a task: who said what of a conversation, if it is put as a chat.

        Parameters
        ----------
        task : Task
            As it was read.
        base : Path
            Folder that a relative model path starts from.
        """
        turned = task.without_turns
        return task if turned is task or self.chosen_format(base).chat else turned

    def recall_precision(self, chosen: ChosenPrecision | None) -> None:
        """Let "auto" mean what it meant before, if that is known."""
        self._chosen = chosen or self._chosen

    def resolved_precision(self, base: Path) -> Number:
        """Return the type of the frozen weights; see :meth:`chosen_precision`."""
        chosen = self.chosen_precision(base)
        if chosen is not None:
            return chosen.precision
        assert self.precision != "auto"
        return self.precision

    def __eq__(self, other: object) -> bool:
        """Whether all options are equal; what was measured is not one."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = Config.__hash__

    def fingerprint(self, base: Path) -> dict[str, Any]:
        """Return all of the model that a run's results depend on, as plain JSON types."""
        location = locate_model(self.model, base)
        # Runs that put tasks as texts keep the keys of before there were chats.
        chat = {"chat": chat_fingerprint(location)} if self.chosen_format(base).chat else {}
        return {
            "model": model_fingerprint(location, self.revision),
            "precision": self.resolved_precision(base),
            "profile": self.profile,
            "max_prompt_tokens": self.max_prompt_tokens,
            "max_target_tokens": self.max_target_tokens,
            **chat,
            **({"code": self.revision} if self.trust_remote_code else {}),
        }

    def reading(self, base: Path) -> dict[str, Any]:
        """Return the options by which another process reads the model in the same way."""
        options = {
            key: value
            for key, value in self.fingerprint(base).items()
            if key not in ("model", "chat", "code")
        }
        return options | {"format": self.chosen_format(base).format}
