"""Random models loud enough for prompts to matter, and writing with them token by token."""

import torch

WORDS = ["apple", "banana", "cherry", "damson", "elder", "fig", "grape"]
PAIRS = [(" ".join(WORDS[: 1 + i]), " ".join(WORDS[i::-1])) for i in range(len(WORDS))]
OTHER = "Write the word backwards, letter by letter, from the last to the first."


def louder(base, factor=16):
    """Multiply the matrices between embedding and output, so that random weights tell prompts apart."""
    with torch.no_grad():
        tied = base.get_input_embeddings().weight
        for parameter in base.parameters():
            if parameter.ndim > 1 and parameter is not tied:
                parameter.mul_(factor)
    return base


def next_token(model, prompt, written):
    """Return the likeliest token after what is written, from a forward pass without a cache."""
    if model.seq2seq:
        decoder = torch.tensor([[model.base.config.decoder_start_token_id, *written]])
        inputs = {"input_ids": torch.tensor([prompt.prompt]), "decoder_input_ids": decoder}
    else:
        inputs = {"input_ids": torch.tensor([[*prompt.prompt, *written]])}
    with torch.inference_mode():
        return int(model.base(**inputs).logits[0, -1].argmax())


def write(model, prompt, n_tokens):
    written: list[int] = []
    while len(written) < n_tokens and model.tokenizer.eos_token_id not in written:
        written.append(next_token(model, prompt, written))
    return written


def tiny(architecture, encoder, **sizes):
    """Make a random model of another architecture, with weights large enough for attention to matter."""
    import transformers

    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=len(encoder.tokenizer), bos_token_id=1, eos_token_id=1, **sizes
    )
    torch.manual_seed(0)
    base = transformers.AutoModelForCausalLM.from_config(config).eval()
    return louder(base, 8)


ARCHITECTURES = {
    # Positions by distance (ALiBi), absolute positions counted by the model, recurrence, windows.
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "OPT": {
        "hidden_size": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 32,
    },
    "GPTNeo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 64,
    },
    "Mistral": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "sliding_window": 64,
    },
}
