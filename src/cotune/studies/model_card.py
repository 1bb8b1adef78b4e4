"""What the cards of trained models have in common: front matter, how a folder is loaded, the licence."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cotune._files import write_text
from cotune._neutral import visible
from cotune.evaluation.adapter_files import ADAPTER
from cotune.evaluation.saved_model import FIRST
from cotune.tasks import SPLITS

CARD = "README.md"
"""The file that hubs show of a model."""

_CONFIG = "config.json"

_LIBRARIES = ("cotune", "torch", "transformers", "peft")

PLACE = "<the input>"
"""What stands for every input where a prompt is shown."""

_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")

LICENCE = (
    "## Licence\n\nNot known: it follows from the licences of the base model and of the data. Say which it "
    "is before you publish the model."
)


def versions() -> dict[str, str]:
    """Return the versions of the libraries that models are trained with."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


class CardScore(NamedTuple):
    """A test score that the front matter tells."""

    task: str
    metric: str
    value: float


def write_card(folder: Path, sections: Iterable[str]) -> None:
    """Write a card of Markdown sections into a model's folder."""
    write_text(folder / CARD, _harmless("\n\n".join(sections)) + "\n")


def _harmless(text: str) -> str:
    """Return Markdown in which names are no tags and no control characters; what is code stays as it is."""
    parts = _CODE.split(visible(text))
    return "".join(part if at % 2 else _TAG.sub("&lt;", part) for at, part in enumerate(parts))


def holds_model(folder: Path) -> bool:
    """Whether a folder has what transformers or PEFT load, at its top or in folders of its own."""
    return any(next(folder.glob(f"**/{name}"), None) for name in (ADAPTER, _CONFIG))


def front_matter(
    folder: Path, base: str, *, name: str, tags: Sequence[str], scores: Sequence[CardScore]
) -> str:
    """Return the YAML that a hub reads.

    Parameters
    ----------
    folder : Path
        Holds the model.
    base : str
        The pretrained model: a folder or a hub name.
    name : str
        What the model is called.
    tags : sequence of str
        Beside ``cotune``.
    scores : sequence of CardScore
        On test examples.
    """
    from huggingface_hub import EvalResult, ModelCardData

    data = ModelCardData(
        # The hub takes only its own names for a base.
        base_model=None if Path(base).is_dir() else base,
        library_name="transformers" if (folder / _CONFIG).is_file() else "peft",
        license="unknown",
        tags=["cotune", *tags],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type=score.task,
                dataset_name=score.task,
                dataset_split="test",
                metric_type=score.metric,
                metric_value=round(score.value, 4),
            )
            for score in scores
        ]
        or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def loading_code(folder: Path, base: str, *, seq2seq: bool) -> str:
    """Return the lines of Python that load what lies in a folder, without cotune."""
    return "\n".join(_code(folder, base, "AutoModelForSeq2SeqLM" if seq2seq else "AutoModelForCausalLM"))


def loading_section(folder: Path, base: str, *, seq2seq: bool) -> str:
    """Return how what lies in a folder is loaded, without cotune."""
    code = loading_code(folder, base, seq2seq=seq2seq)
    libraries = f"transformers{' and PEFT' if 'peft' in code else ''}"
    return f"## Loading\n\nIn this folder, with {libraries} alone:\n\n```python\n{code}\n```"


def data_table(rows: Iterable[tuple[str, Mapping[str, int], str]]) -> Iterator[str]:
    """Yield the lines of a table of tasks: name, examples by split, fingerprint."""
    yield f"| task | {' | '.join(SPLITS)} | fingerprint |"
    yield "|---" * (2 + len(SPLITS)) + "|"
    for name, examples, fingerprint in rows:
        sizes = " | ".join(str(examples[split]) for split in SPLITS)
        yield f"| {name} | {sizes} | `{fingerprint[:16]}` |"


def _code(folder: Path, base: str, auto: str) -> Iterator[str]:
    parted = (folder / "weights").is_dir()
    weights = "./weights" if parted else "./"
    adapted, whole = ((folder / weights / name).is_file() for name in (ADAPTER, _CONFIG))
    own = next((folder / name for name in ("prompt", FIRST) if (folder / name).is_dir()), folder)
    prompts = _prompts(own) if parted else [] if adapted or whole else _prompts(folder)
    if adapted or prompts:
        yield "from peft import PeftModel"
    yield f"from transformers import {auto}, AutoTokenizer"
    yield ""
    yield 'tokenizer = AutoTokenizer.from_pretrained("./")'
    yield f"model = {auto}.from_pretrained({json.dumps(weights if whole else base)})"
    if adapted:
        yield f'model = PeftModel.from_pretrained(model, "{weights}"){".merge_and_unload()" * parted}'
    if len(prompts) > 1:
        yield f"# One of {len(prompts)}, each for the inputs of the task that it is called by."
    elif prompts:
        yield "# For inputs of the task; all others are better off without this line."
    if prompts:
        place = prompts[0].relative_to(folder).as_posix()
        yield f"model = PeftModel.from_pretrained(model, {json.dumps(f'./{place}')})"


def _prompts(folder: Path) -> list[Path]:
    """Return where soft prompts or prefixes lie: in the folder, or in one for each task."""
    return [folder] if (folder / ADAPTER).is_file() else sorted(p.parent for p in folder.glob(f"*/{ADAPTER}"))


def is_seq2seq(folder: Path) -> bool:
    """Whether what a folder holds is, or stands on, an encoder-decoder model."""
    for name, key, value in ((ADAPTER, "task_type", "SEQ_2_SEQ_LM"), (_CONFIG, "is_encoder_decoder", True)):
        for file in sorted(folder.glob(f"**/{name}")):
            return bool(json.loads(file.read_text(encoding="utf-8")).get(key) == value)
    return False
