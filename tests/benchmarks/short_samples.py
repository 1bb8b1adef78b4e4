"""Small tasks for the benchmarks, and files of them."""

from __future__ import annotations

import json

import numpy as np

from cotune.lab.toy_language import TOY_CHECKPOINT

TOY_MODEL = str(TOY_CHECKPOINT)


def toy(*names, train=40, validation=4, test=6, **options):
    """Return a reader of toy tasks as a study file has it."""
    caps = {"train": train, "validation": validation, "test": test}
    return {"reader": "toy_language", "include": list(names), "max_examples": caps, **options}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_gguf(path, width=8, vocabulary=("a", "b", "c", "ab", "Ġ", "<|end|>")):
    """Write a Llama of one block with random weights."""
    from gguf import GGUFWriter, TokenType

    writer = GGUFWriter(path, "llama")
    writer.add_context_length(32)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(width)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(width)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(list(vocabulary))
    writer.add_token_types([TokenType.NORMAL] * (len(vocabulary) - 1) + [TokenType.CONTROL])
    writer.add_token_merges(["a b"])
    for special in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id):
        special(len(vocabulary) - 1)
    draw = np.random.default_rng(0)
    square = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes = {f"blk.0.{name}.weight": (width, width) for name in square}
    shapes |= {f"{name}.weight": (width,) for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm")}
    shapes |= {f"{name}.weight": (len(vocabulary), width) for name in ("token_embd", "output")}
    for name, shape in shapes.items():
        writer.add_tensor(name, draw.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
