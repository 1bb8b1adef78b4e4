"""Valid study files, task files, tables and adapters, and the functions that the commands read them with."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from chaos.mutations import NASTY, changed_bytes, changed_table, changed_text, changed_tree

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "cases"


TASK = {
    "Definition": ["Say whether it rains."],
    "Categories": ["Weather"],
    "Positive Examples": [{"input": "wet", "output": "yes", "explanation": "it is"}],
    "Instances": [
        {"id": str(n), "input": f"street {n}", "output": ["yes" if n % 2 else "no"]} for n in range(8)
    ],
}
INDUCTION = {
    "metadata": {"num_examples": 6},
    "examples": {str(n): {"input": f"word {n}", "output": f"drow {n}"} for n in range(1, 7)},
}
ROWS = [
    {"question": f"q {n}", "answer": ["yes", "no"][n % 2], "label": n % 2, "score": n / 7} for n in range(8)
]
CHATS = [
    {"messages": [{"role": "user", "content": f"ask {n}"}, {"role": "assistant", "content": "say"}]}
    for n in range(6)
]
CHOICES = [{"question": f"q {n}", "choices": ["a", "b", "c"], "answer": n % 3} for n in range(8)]
TABLES = {
    "wide": "run,alpha,beta,gamma,delta\n"
    + "".join(
        f"{n},{'' if n % 4 == 0 else 0.5 + n / 90},{'' if n % 4 == 1 else 0.6 - n / 80},"
        f"{'' if n % 4 == 2 else 0.4 + n / 70},{'' if n % 4 == 3 else 0.3}\n"
        for n in range(12)
    ),
    "matrix": "task,alpha,beta,gamma\nalpha,1,0.2,-0.1\nbeta,0.3,1,0.4\ngamma,-0.2,0.1,1\n",
    "long": "run,task,score\n" + "".join(f"{n // 2},{'abc'[(n + n // 2) % 3]},{n / 31}\n" for n in range(24)),
    "pairs": "source,target,affinity\n"
    + "".join(f"{a},{b},0.{i}{j}\n" for i, a in enumerate("abc") for j, b in enumerate("abc")),
    "subsets": "subset,alpha,beta,gamma\n"
    + "".join(f"{s},0.5,0.6,0.7\n" for s in ("alpha+beta", "beta", "gamma+alpha", "gamma")),
}
ADAPTER = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "base",
    "r": 2,
    "lora_alpha": 4,
    "lora_dropout": 0.0,
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "target_modules": ["q_proj", "v_proj"],
    "modules_to_save": None,
    "rank_pattern": {},
    "alpha_pattern": {},
    "layers_pattern": None,
    "layers_to_transform": None,
    "use_dora": False,
    "use_rslora": False,
    "revision": None,
}
TUNED = {
    "base": "base",
    "base_fingerprint": "hub:base@x",
    "config": {"in_context": {"shots": [0]}},
    "target": {"name": "t"},
}
SETTINGS = ["training.batch_size=16", "method={name: lora, r: 8}", "tasks.0.path=x", "seed=1", "a.b.c=[1, 2]"]
WEIGHTS = "alpha,2\nbeta,0.5\ngamma,1\n"


@cache
def study_samples() -> tuple[Any, ...]:
    """Return what the study files of the examples hold, with tasks that are read in no time."""
    found = [
        yaml.safe_load(file.read_text(encoding="utf-8"))
        for file in sorted((ROOT / "examples").glob("*.yaml"))
    ]
    tables = [
        {"reader": "jsonl", "path": "rows.jsonl", "template": "{{ question }} ||| {{ answer }}"},
        {
            "reader": "jsonl",
            "path": "rows.jsonl",
            "input": "{{ question }}",
            "target": "{{ label }}",
            "labels": ["no", "yes"],
        },
        {"reader": "natural_instructions", "path": "tasks", "metric": "nll", "max_examples": {"train": 4}},
        {"reader": "instruction_induction", "path": "induction"},
        {"reader": "auto", "path": "rows.csv", "instructions": ["Say it.", "Tell it."]},
    ]
    lab = {
        "name": "small",
        "tasks": tables,
        "learner": {"kind": "language_model", "model": "model"},
        "affinity": {"estimator": "pairwise"},
    }
    return (*found, lab, {**lab, "tasks": tables[0]}, {**lab, "tasks": tables[2:4]})


@cache
def table_samples() -> tuple[bytes, ...]:
    """Return score tables: those made here, and those of users that lie beside the repository."""
    there = sorted((SHARED / "tables").glob("*.csv")) if SHARED.is_dir() else []
    small = [file.read_bytes() for file in there if file.stat().st_size < 20_000]
    return (*(text.encode() for text in TABLES.values()), *small)


@cache
def data_samples() -> tuple[tuple[str, Any], ...]:
    """Return task files: what they are called, and rows or bytes."""
    there = (
        [file for file in sorted((SHARED / "tasks").rglob("*")) if file.is_file()] if SHARED.is_dir() else []
    )
    return (
        ("task.json", TASK),
        ("induction.json", INDUCTION),
        ("rows.json", ROWS),
        ("rows.jsonl", ROWS),
        ("chats.jsonl", CHATS),
        ("choices.jsonl", CHOICES),
        ("splits.json", {"train": ROWS, "test": ROWS[:2]}),
        ("columns.json", {key: [row[key] for row in ROWS] for key in ROWS[0]}),
        ("rows.csv", b"question,answer\n" + b"".join(f"q {n},a {n}\n".encode() for n in range(8))),
        ("rows.tsv", b"question\tanswer\n" + b"".join(f"q {n}\ta {n}\n".encode() for n in range(8))),
        *((file.name, file.read_bytes()) for file in there if file.stat().st_size < 20_000),
    )


def study_case(draw: random.Random, folder: Path) -> Callable[[], object]:
    """Write a study file, and return what reads it and its tasks."""
    from cotune.studies import Study

    file = folder / "study.yaml"
    tree = draw.choice(study_samples())
    if draw.random() < 0.7:
        text = yaml.safe_dump(changed_tree(draw, tree), allow_unicode=True, sort_keys=False)
        content = text.encode("utf-8", errors="surrogatepass")
    else:
        content = yaml.safe_dump(tree, sort_keys=False).encode()
    file.write_bytes(changed_bytes(draw, content) if draw.random() < 0.4 else content)
    _write_tasks(folder)

    def read() -> None:
        study = Study.load(file)
        repr(study.config)
        study.config.plain()
        if any(
            not hasattr(reader, "path") or "natural-instructions" in str(reader.path)
            for reader in study.config.tasks
        ):
            return
        for reader in study.config.tasks:
            for task in reader.read(base=folder, seed=0):
                assert task.name

    return read


def _write_tasks(folder: Path) -> None:
    for place, name, content in (("tasks", "rain.json", TASK), ("induction", "words.json", INDUCTION)):
        (folder / place).mkdir(exist_ok=True)
        (folder / place / name).write_text(json.dumps(content))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "rows.csv").write_bytes(b"question,answer\n" + b"a,b\n" * 6)


def task_case(draw: random.Random, folder: Path) -> Callable[[], object]:
    """Write a file of tasks, and return what reads it."""
    import cotune

    name, sample = draw.choice(data_samples())
    if not isinstance(sample, bytes):
        sample = changed_tree(draw, sample) if draw.random() < 0.8 else sample
        lines = name.endswith(".jsonl") and isinstance(sample, list)
        text = "".join(json.dumps(row) + "\n" for row in sample) if lines else json.dumps(sample)
        content = text.encode()
        content = changed_bytes(draw, content) if draw.random() < 0.3 else content
    elif name.endswith(".csv"):
        content = changed_table(draw, sample)
    else:
        content = changed_bytes(draw, sample)
    file = folder / name
    file.write_bytes(content)
    options: dict[str, Any] = {}
    if draw.random() < 0.3:
        asked = {
            "template": "{{ question }} ||| {{ answer }}",
            "choices": ["yes", "no"],
            "instruction": "Say.",
        }
        key = draw.choice(list(asked))
        options = {key: asked[key]} if draw.random() < 0.5 else asked
        options = {
            key: draw.choice(NASTY)
            if draw.random() < 0.2
            else changed_text(draw, value)
            if isinstance(value, str) and draw.random() < 0.3
            else value
            for key, value in options.items()
        }
    if draw.random() < 0.1:
        file = folder / "tasks.yaml"
        file.write_text(
            yaml.safe_dump({"tasks": changed_tree(draw, [{"path": name, **options}])}), errors="replace"
        )
        options = {}

    def read() -> None:
        for task in cotune.read_tasks(file, table_options=options):
            repr(task)
            assert task.fingerprint

    return read


def table_case(draw: random.Random, folder: Path) -> Callable[[], object]:
    """Write a table, and return what reads and now and then groups it."""
    from cotune.affinity import read_table
    from cotune.studies.grouping import group

    file = folder / draw.choice(["table.csv", "table.csv", "table.tsv", "table.txt", "table.parquet"])
    sample = draw.choice(table_samples())
    file.write_bytes(changed_table(draw, sample) if draw.random() < 0.8 else changed_bytes(draw, sample))
    options: dict[str, Any] = {}
    if draw.random() < 0.3:
        asked = {
            "lower_is_better": True,
            "kind": "score table",
            "metric": "x",
            "subset_column": "run",
            "decimal": "comma",
        }
        asked |= {"tasks": ["alpha"], "leave_out": ["run"]}
        options = {key: asked[key] for key in draw.sample(list(asked), draw.randrange(1, 3))}
    whole = draw.random() < 0.02

    def read() -> None:
        table = read_table(file, **options)
        repr(table)
        if whole and len(table.tasks) <= 6:
            group(table, resamples=0)

    return read


def adapter_case(draw: random.Random, folder: Path) -> Callable[[], object]:
    """Write an adapter's folder, and return what finds it and now and then puts it on its base."""
    from cotune.evaluation.saved_model import find_saved_model, open_saved_model

    base, weights, model = adapter_base()
    config = changed_tree(draw, ADAPTER | {"base_model_name_or_path": str(base)})
    record = changed_tree(draw, TUNED | {"base": str(base)}) if draw.random() < 0.3 else None
    content = json.dumps(config).encode()
    (folder / "adapter_config.json").write_bytes(
        changed_bytes(draw, content) if draw.random() < 0.2 else content
    )
    if record is not None:
        (folder / "tune.json").write_text(json.dumps(record))
    tensors = weights if draw.random() < 0.6 else changed_bytes(draw, weights)
    name = "adapter_model.safetensors" if draw.random() < 0.95 else "adapter_model.bin"
    (folder / name).write_bytes(tensors)
    whole = draw.random() < 0.25

    def read() -> None:
        saved = find_saved_model(str(folder))
        if whole and saved.base == base:
            try:
                open_saved_model(saved, model)
            finally:
                _bare(model)

    return read


_HOME = tempfile.TemporaryDirectory(prefix="chaos-base-")


@cache
def adapter_base() -> tuple[Path, bytes, Any]:
    """Return a base of two layers, the weights of an adapter on it, and the loaded base."""
    import torch
    from safetensors.torch import save
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from cotune.models import LanguageModel

    base = Path(_HOME.name).resolve()
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        ["some words to begin with"], vocab_size=280, special_tokens=["</s>"], show_progress=False
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, pad_token="</s>", eos_token="</s>")
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), eos_token_id=0, bos_token_id=None, **shape)
    )
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    place = "base_model.model.model.layers.{}.self_attn.{}_proj.lora_{}.weight"
    tensors = {
        place.format(layer, name, side): torch.zeros((2, 16) if side == "A" else (16, 2))
        for layer in range(2)
        for name in "qv"
        for side in "AB"
    }
    return base, save(tensors), LanguageModel.load(base, precision="fp32")


def _bare(model: Any) -> None:
    """Take every adapter's layers out of a model again."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.base.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent, _, child = name.rpartition(".")
            setattr(model.base.get_submodule(parent), child, module.get_base_layer())


def setting_case(draw: random.Random, folder: Path) -> Callable[[], object]:
    """Return what reads options of the command line, weights of tasks and instructions."""
    from cotune.cli._settings import nested, numbers
    from cotune.cli._weights import read_weights
    from cotune.tasks.readers._instructions import read_instructions

    which = draw.randrange(4)
    if which == 0:
        return partial(
            nested, [changed_text(draw, draw.choice(SETTINGS)) for _ in range(draw.randrange(1, 3))]
        )
    if which == 1:
        return partial(numbers, changed_text(draw, "0,1,4"), "--shots")
    file = folder / "file.csv"
    if which == 2:
        file.write_bytes(changed_table(draw, WEIGHTS.encode()))
        return partial(read_weights, [str(file)])
    file.write_bytes(
        changed_bytes(draw, yaml.safe_dump(changed_tree(draw, {"a": ["Do it.", "Say it."]})).encode())
    )
    return partial(read_instructions, file)


KINDS: dict[str, tuple[Callable[[random.Random, Path], Callable[[], object]], float]] = {
    "tables": (table_case, 0.35),
    "task files": (task_case, 0.3),
    "study files": (study_case, 0.2),
    "adapter folders": (adapter_case, 0.08),
    "options": (setting_case, 0.07),
}
"""What a case writes and reads, and its share of all cases."""
