"""Colours and conventions that all charts of an evaluation share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

OURS, PAPERS, SOFT = "#b0402c", "#77716a", "#d9d3c8"

COLOURS = (
    "#2f6f9f", "#b0402c", "#2a8f86", "#b97a12", "#7d5a9a",
    "#57534c", "#6f9a3c", "#c46a8f", "#3d7ab8", "#a3672b",
)  # fmt: skip


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """A figure and its axes, `[rows, columns]`, without a window or global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def save(figure: Any, folder: Path, name: str) -> str:
    """Writes a PNG and gives its name."""
    figure.savefig(folder / name, dpi=150, facecolor="white")
    return name


def put_legend(axes: Any) -> None:
    """Puts the legend right of a chart."""
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))


def tidy(axes: Any, *, x: str) -> None:
    """The look of charts of top-1."""
    axes.set_xlabel(x)
    axes.set_ylabel("top-1, %")
    axes.grid(axis="y", color=SOFT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
