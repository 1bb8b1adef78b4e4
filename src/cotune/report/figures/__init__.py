"""Geometry and colours of the figures; the templates only write them down."""
