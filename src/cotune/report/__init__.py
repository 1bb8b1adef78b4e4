"""Draws what a study found: one HTML file without scripts or remote resources."""

from cotune.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
