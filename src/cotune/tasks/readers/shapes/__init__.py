"""Shapes: how the rows of instruction data are laid out, each known by its fields."""

from cotune.tasks.readers.shapes._base import Shape
from cotune.tasks.readers.shapes._closed import are_numbers, closed_set
from cotune.tasks.readers.shapes._recognise import recognise, template_name

__all__ = ["Shape", "are_numbers", "closed_set", "recognise", "template_name"]
