"""LoRA (Hu et al. 2022) through PEFT."""

from cotune.training.methods.lora._lora import Lora

__all__ = ["Lora"]
