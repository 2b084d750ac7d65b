"""The figures of an evaluation as files: charts, projections, saliency, confused pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.evaluation.plotting import COLOURS, OURS, PAPERS, new_figure, save, tidy
from benchmarks.evaluation.schema import Accuracy, Evaluation
from benchmarks.evaluation.tables import widest
from benchmarks.results.paper_baselines import OBJECTS, PAPER_MODELS

if TYPE_CHECKING:
    from benchmarks.evaluation.findings import Findings, Progress


def draw_figures(
    findings: Findings, folder: Path, progress: Progress | None = None
) -> tuple[str, ...]:
    """Draws every figure that the findings can fill.

    Returns:
        Names of the files that were written, in the order of the page.
    """
    from benchmarks.evaluation.confused_pairs import draw_pairs
    from benchmarks.evaluation.projections import draw_projections
    from benchmarks.evaluation.saliency import draw_saliency

    folder.mkdir(parents=True, exist_ok=True)
    evaluation = findings.evaluation
    steps: tuple[Callable[[], Sequence[str]], ...] = (
        lambda: draw_accuracy_by_photos(evaluation, folder),
        lambda: draw_accuracy_by_parameters(evaluation, folder),
        lambda: draw_accuracy_by_latency(evaluation, folder),
        lambda: draw_projections(findings, folder),
        lambda: draw_saliency(findings, folder),
        lambda: draw_pairs(findings, folder),
    )
    names: list[str] = []
    for done, step in enumerate(steps, start=1):
        names += step()
        if progress is not None:
            progress("drawing figures", done, len(steps))
    return tuple(names)


def _errors(accuracy: Accuracy) -> tuple[float, tuple[list[float], list[float]]]:
    value = 100 * (accuracy.value or 0.0)
    low, high = (100 * bound for bound in widest(accuracy))
    return value, ([max(0.0, value - low)], [max(0.0, high - value)])


def draw_accuracy_by_photos(evaluation: Evaluation, folder: Path) -> list[str]:
    """Top-1 accuracy of objects with few and with many photos."""
    figure, axes = new_figure(9, 2.9, 1, 2)
    for column, (basis, words) in enumerate(
        (
            ("register", "photos of the object in the register"),
            ("training", "training photos of the object"),
        )
    ):
        chart = axes[0, column]
        groups = [group for group in evaluation.by_photos if group.basis == basis]
        for x, group in enumerate(groups):
            value, errors = _errors(group.top1)
            chart.errorbar(x, value, yerr=errors, fmt="o", color=OURS, capsize=3)
            chart.annotate(f"n={group.top1.photos}", (x, 1), ha="center", fontsize=7, color=PAPERS)
        chart.set_xticks(range(len(groups)), [group.label for group in groups])
        chart.set_xlim(-0.6, len(groups) - 0.4)
        chart.set_ylim(0, 103)
        tidy(chart, x=words)
    return [save(figure, folder, "accuracy-by-photos.png")]


def draw_accuracy_by_parameters(evaluation: Evaluation, folder: Path) -> list[str]:
    """Accuracy against the size of the network, beside the paper's models."""
    from matplotlib.ticker import LogLocator

    threshold = min(max(evaluation.min_photos, min(OBJECTS)), max(OBJECTS))
    figure, axes = new_figure(5.8, 3.9)
    chart = axes[0, 0]
    for model in PAPER_MODELS:
        x, y = model.parameters(threshold) / 1e6, 100 * model.accuracy[threshold]
        chart.plot(x, y, "s", color=PAPERS, markersize=4, alpha=0.7)
        chart.annotate(
            model.name.replace("EfficientNet-", ""), (x, y), (4, -9), fontsize=7, color=PAPERS,
            textcoords="offset points",
        )  # fmt: skip
    sizes = {member.name: float(member.parameters) for member in evaluation.members}
    _place(chart, evaluation, {name: size / 1e6 for name, size in sizes.items()})
    chart.plot([], [], "s", color=PAPERS, markersize=4, label="the paper, on its own photos")
    chart.set_xscale("log")
    chart.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    chart.xaxis.set_major_formatter("{x:g}")
    chart.minorticks_off()
    tidy(chart, x="parameters, millions, head included")
    _legend(chart)
    return [save(figure, folder, "accuracy-by-parameters.png")]


def draw_accuracy_by_latency(evaluation: Evaluation, folder: Path) -> list[str]:
    """Accuracy against the time for one photo; nothing where no time was measured."""
    times = {m.name: m.latency_ms for m in evaluation.members if m.latency_ms is not None}
    if not times:
        return []
    figure, axes = new_figure(5.8, 3.9)
    chart = axes[0, 0]
    _place(chart, evaluation, times)
    chart.set_xlim(left=0)
    threads = evaluation.settings.threads
    tidy(chart, x=f"ms per photo, torch on this CPU, {threads} thread{'s' if threads > 1 else ''}")
    _legend(chart)
    return [save(figure, folder, "accuracy-by-latency.png")]


def _place(axes: Any, evaluation: Evaluation, positions: dict[str, float]) -> None:
    """Marks every model at its position; the ensemble costs what its members cost together."""
    for number, row in enumerate(evaluation.rows):
        x = positions.get(row.model, sum(positions.values()))
        value, errors = _errors(row.top1)
        axes.errorbar(
            x, value, yerr=errors, fmt="D" if row.model not in positions else "o",
            color=COLOURS[number % len(COLOURS)], capsize=3, label=row.model,
        )  # fmt: skip


def _legend(axes: Any) -> None:
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
