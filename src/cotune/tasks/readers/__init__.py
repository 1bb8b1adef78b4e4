"""Readers: from files and data sets to tasks, one reader a format."""

from cotune._registry import Registry
from cotune.tasks.readers._base import Fractions, MaxExamples, ReaderConfig, Source
from cotune.tasks.readers._builtin import BUILTIN_TEMPLATES, BuiltinTemplate
from cotune.tasks.readers._instructions import read_instructions
from cotune.tasks.readers._templated import is_template
from cotune.tasks.readers.auto import AutoReader, reader_of
from cotune.tasks.readers.huggingface import HuggingFaceReader
from cotune.tasks.readers.instruction_induction import InstructionInductionReader
from cotune.tasks.readers.jsonl import JsonLinesReader
from cotune.tasks.readers.natural_instructions import NaturalInstructionsReader
from cotune.tasks.readers.templates import TemplateOptions

READERS: Registry[ReaderConfig] = Registry(
    ReaderConfig,
    key="reader",
    group="cotune.readers",
    default="auto",
    classes={
        "auto": AutoReader,
        "huggingface": HuggingFaceReader,
        "instruction_induction": InstructionInductionReader,
        "jsonl": JsonLinesReader,
        "natural_instructions": NaturalInstructionsReader,
    },
)
"""Every reader by the name that study files use."""

__all__ = [
    "BUILTIN_TEMPLATES",
    "READERS",
    "AutoReader",
    "BuiltinTemplate",
    "Fractions",
    "HuggingFaceReader",
    "InstructionInductionReader",
    "JsonLinesReader",
    "MaxExamples",
    "NaturalInstructionsReader",
    "ReaderConfig",
    "Source",
    "TemplateOptions",
    "is_template",
    "read_instructions",
    "reader_of",
]
