"""The tiny checkpoints of all tests as loaded models, and small tasks over words."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from cotune.models import LanguageModel
from cotune.tasks import Example, Task, format_prompt, format_target
from cotune.training.language_model import LanguageModelConfig, LanguageModelLearner

WORDS = ["red", "green", "blue", "one", "two", "three", "four", "five", "six", "seven"]
RULES: dict[str, tuple[str, Callable[[list[str]], str]]] = {
    "copy": ("Copy the words you are given, once, exactly.", " ".join),
    "last": ("Write the last word.", lambda words: words[-1]),
    "swap": ("Write the words backwards.", lambda words: " ".join(words[::-1])),
}
RECIPE = {
    "precision": "fp32",
    "max_target_tokens": 24,
    "training": {"batch_size": 4, "tasks_per_batch": 2, "learning_rate": 0.02},
}


@pytest.fixture(scope="session")
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def causal(tiny_causal: Path, one_thread: None) -> LanguageModel:
    return LanguageModel.load(tiny_causal, precision="fp32", device="cpu")


@pytest.fixture(scope="session")
def seq2seq(tiny_seq2seq: Path, one_thread: None) -> LanguageModel:
    return LanguageModel.load(tiny_seq2seq, precision="fp32", device="cpu")


@pytest.fixture(scope="session", params=["causal", "seq2seq"])
def model(request) -> LanguageModel:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def encode():
    """Encode pairs of input and target under one instruction."""

    def encode_pairs(model: LanguageModel, pairs, instruction: str = RULES["copy"][0]):
        render = partial(format_prompt, instruction)
        return [model.encoder.encode(render, text, format_target(target)) for text, target in pairs]

    return encode_pairs


def examples_of(rule: Callable[[list[str]], str], seed: str, n: int, choices=()) -> tuple[Example, ...]:
    draw = random.Random(seed)
    drawn = (draw.sample(WORDS, 3) for _ in range(n))
    return tuple(Example(" ".join(words), (rule(words),), tuple(choices)) for words in drawn)


def task_of(name: str, *, metric: str = "nll", sizes=(12, 4, 5), choices=(), category: str = "words") -> Task:
    """Make a task over three words by the name of its rule."""
    instruction, rule = RULES[name]
    splits = {
        split: examples_of(rule, f"{name}/{split}", size, choices)
        for split, size in zip(("train", "validation", "test"), sizes, strict=True)
    }
    return Task(name, instruction, splits, metric, category)


@pytest.fixture(scope="session")
def make_task():
    return task_of


@pytest.fixture(scope="session")
def learner_of(tiny_causal: Path, tiny_seq2seq: Path, one_thread: None):
    """Make a learner of tasks on one of the tiny models; options replace those of the recipe."""
    folders = {"causal": tiny_causal, "seq2seq": tiny_seq2seq}

    def make(kind: str, tasks, **options) -> LanguageModelLearner:
        recipe = RECIPE
        if options.get("method", {}).get("name") == "prompt":  # it has a learning rate of its own
            recipe = {**RECIPE, "training": {"batch_size": 4}}
        config = LanguageModelConfig(model=str(folders[kind]), **{**recipe, **options})
        return LanguageModelLearner(config, tasks)

    return make


@pytest.fixture
def no_network(monkeypatch):
    """Let every attempt to reach another machine fail."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
