"""The tiny checkpoints of all tests as loaded models and tokenizers."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

import pytest

from cotune.models import Encoder, LanguageModel, load_encoder
from cotune.tasks import format_prompt, format_target

INSTRUCTION = "Copy the word you are given, once, exactly as it stands there."


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


@pytest.fixture(scope="session")
def causal_encoder(tiny_causal: Path) -> Encoder:
    return load_encoder(tiny_causal)


@pytest.fixture(scope="session")
def seq2seq_encoder(tiny_seq2seq: Path) -> Encoder:
    return load_encoder(tiny_seq2seq)


@pytest.fixture(scope="session")
def encode():
    """Encode pairs of input and target under one instruction."""

    def encode_pairs(encoder: Encoder, pairs, instruction: str = INSTRUCTION):
        render = partial(format_prompt, instruction)
        return [encoder.encode(render, text, format_target(target)) for text, target in pairs]

    return encode_pairs


@pytest.fixture
def no_network(monkeypatch):
    """Let every attempt to reach another machine fail."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
