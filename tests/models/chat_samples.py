"""Chat templates in the styles of real models, small, and tokenizers that know their tokens.

Each marks what the assistant says by ``{% generation %}``, as templates for training do, so that the tokens
that are learned can be compared with those that the template itself means.
"""

from __future__ import annotations

from functools import cache

from tokenizer_samples import byte_level, legacy_llama, metaspace, with_ends
from tokenizers import models
from transformers import PreTrainedTokenizerFast

OWN_SYSTEM = "You are a helpful assistant."

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '<|im_start|>assistant\\n' }}{% generation %}{{ message['content'] + '<|im_end|>' }}"
    "{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""As Qwen's and SmolLM2's: a system text of its own, where none is given."""

LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}"
    "{% else %}{% set loop_messages = messages %}{% set system = '' %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.first else '') + message['content'].strip() + ' [/INST]' }}"
    "{% else %}{% generation %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endgeneration %}"
    "{% endif %}{% endfor %}"
)
"""As Llama 2's: no prompt of its own to answer after, blanks on both sides of an answer, the usual end."""

LLAMA3 = (
    "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{{ bos_token + '<|start_header_id|>system<|end_header_id|>\\n\\nToday: ' + date_string + '\\n\\n' }}"
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% set messages = messages[1:] %}"
    "{% endif %}{{ '<|eot_id|>' }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] | trim + '<|eot_id|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
"""As Llama 3's: the date, and an end of turns that is not that of texts."""

GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '<start_of_turn>model\\n' }}"
    "{% generation %}{{ message['content'] | trim + '<end_of_turn>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ '<start_of_turn>user\\n' + message['content'] | trim + '<end_of_turn>\\n' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
"""As Gemma's: no place for a system text, a name of its own for the assistant."""

THINKING = CHATML.replace(
    "{% generation %}{{ message['content']",
    "{% generation %}{{ ('<think>\\n\\n</think>\\n\\n' if loop.last else '') + message['content']",
)
"""As Qwen 3's: the last answer follows a thought, empty where there is none."""

_STYLES = {
    "ChatML": (CHATML, byte_level, ("<|im_start|>", "<|im_end|>"), "<|im_end|>"),
    "Llama 2": (LLAMA2, lambda: with_ends(legacy_llama(), "<s> $A"), (), "</s>"),
    "Llama 3": (
        LLAMA3,
        lambda: with_ends(byte_level(digits=True), "<s> $A"),
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|>",
    ),
    "Gemma": (
        GEMMA,
        lambda: with_ends(
            metaspace(models.BPE(unk_token="<unk>", byte_fallback=False), "never", split=False), "<s> $A"
        ),
        ("<start_of_turn>", "<end_of_turn>"),
        "</s>",
    ),
    "thinking": (THINKING, byte_level, ("<|im_start|>", "<|im_end|>"), "<|im_end|>"),
}
STYLES = ("ChatML", "Llama 2", "Llama 3", "Gemma")


@cache
def chat_tokenizer(style: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a template of a style."""
    template, make, tokens, end = _STYLES[style]
    inner = make()
    inner.add_special_tokens(list(tokens))
    bos = {"bos_token": "<s>"} if "<s>" in inner.get_vocab() else {}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", eos_token=end, **bos
    )
    tokenizer.chat_template = template
    return tokenizer
