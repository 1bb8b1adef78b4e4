"""GGUF files, as local inference engines ship them, made into ordinary checkpoints once."""

from __future__ import annotations

from pathlib import Path

from cotune._files import new_folder
from cotune._packages import explained
from cotune.exceptions import InputError


def convert_gguf(file: Path, folder: Path) -> Path:
    """Dequantise a GGUF file and save model and tokenizer as a float32 transformers checkpoint.

    Parameters
    ----------
    file : Path
        The ``.gguf`` file. Needs the extra ``cotune[gguf]``.
    folder : Path
        Where the checkpoint goes; if it exists it is returned as it is.

    Returns
    -------
    Path
        The folder. It appears whole or not at all.

    Raises
    ------
    InputError
        If the file does not exist or the extra is not installed.
    """
    if folder.is_dir():
        return folder
    if not file.is_file():
        raise InputError(f"The GGUF file {file} does not exist.")
    try:
        import gguf  # noqa: F401
    except ModuleNotFoundError as error:
        raise explained(error, "Reading a GGUF file") from None
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(
        **source,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
        trust_remote_code=False,
    )
    tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
    with new_folder(folder) as fresh:
        model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
    return folder
