"""Small real models and tokenizers for all tests, and the real data and model for those marked ``real``."""

from __future__ import annotations

import sys
from pathlib import Path

import no_network
import pytest
from hypothesis import settings

# Before anything is imported that might ask for something.
no_network.block()
no_network.block_children()

# No test depends on how busy the machine is.
settings.register_profile("cotune", deadline=None)
settings.load_profile("cotune")

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
SMOLLM2 = ROOT / ".cache" / "smollm2"

TEXT = [
    "Copy the word you are given, once, exactly as it stands there.",
    "Write the word backwards, letter by letter, from the last to the first.",
    "Input: apple banana cherry damson elder fig grape",
    "Output: red green blue one two three four five six seven eight nine ten",
]


def _tokenizer():
    """Train a byte-level BPE on a few sentences: small, fast, and able to encode any text."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(TEXT, vocab_size=320, special_tokens=["<pad>", "</s>"], show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, pad_token="<pad>", eos_token="</s>")


def pytest_terminal_summary(terminalreporter):
    """Say how much of the documentation is run, wherever that is tested."""
    if "documents/test_blocks.py" in " ".join(_reported(terminalreporter)):
        sys.path.insert(0, str(ROOT / "tests" / "documents"))
        from blocks import summary

        terminalreporter.write_line(summary())


def _reported(reporter):
    return {
        report.nodeid
        for reports in reporter.stats.values()
        for report in reports
        if hasattr(report, "nodeid")
    }


@pytest.fixture(scope="session")
def tiny_causal(tmp_path_factory) -> Path:
    """Folder of a decoder-only checkpoint with random weights, two layers, width 32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "causal"
    tokenizer = _tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_seq2seq(tmp_path_factory) -> Path:
    """Folder of an encoder-decoder checkpoint (T5) with random weights, two layers, width 32."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("models") / "seq2seq"
    tokenizer = _tokenizer()
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_sentinel(tiny_seq2seq, tmp_path_factory) -> Path:
    """Folder of the same checkpoint with 20 sentinels in its vocabulary, as masked spans need them."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "sentinel"
    tokens = [f"<extra_id_{i}>" for i in range(20)]
    inner = Tokenizer.from_str(AutoTokenizer.from_pretrained(tiny_seq2seq).backend_tokenizer.to_str())
    inner.add_special_tokens([AddedToken(token, lstrip=True, rstrip=True) for token in tokens])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", additional_special_tokens=tokens
    )
    tokenizer.save_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_seq2seq)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data sets that lies beside the repository."""
    if not DATA.is_dir():
        pytest.fail(f"The real data folder {DATA} is missing; these tests read it and cannot do without.")
    return DATA


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a checkpoint; the tests cannot fetch it, since they reach no network."""
    if not (SMOLLM2 / "config.json").is_file():
        pytest.fail(f"There is no model in {SMOLLM2}; `make .cache/smollm2` fetches and converts it.")
    return SMOLLM2
