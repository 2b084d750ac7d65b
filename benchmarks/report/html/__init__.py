"""The report: one HTML file with the numbers, the pictures and how they were made."""

from __future__ import annotations

from benchmarks.report.html.page import render_report

__all__ = ["render_report"]
