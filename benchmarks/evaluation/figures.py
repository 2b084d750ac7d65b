"""The figures of an evaluation as files: charts, projections, saliency, confused pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.evaluation.confused_pairs import draw_pairs
from benchmarks.evaluation.inference import Findings, Progress
from benchmarks.evaluation.plotting import COLOURS, OURS, PAPERS, new_figure, put_legend, save, tidy
from benchmarks.evaluation.projections import draw_projections
from benchmarks.evaluation.saliency import draw_saliency
from benchmarks.evaluation.schema import Accuracy, Evaluation
from benchmarks.evaluation.tables import widest
from benchmarks.results.paper_baselines import OBJECTS, PAPER_MODELS


def draw_figures(
    findings: Findings, folder: Path, progress: Progress | None = None
) -> tuple[str, ...]:
    """Draws every figure that the findings can fill.

    Returns:
        Names of the files that were written, in the order of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    steps = (draw_charts, draw_projections, draw_saliency, draw_pairs)
    names: list[str] = []
    for done, draw in enumerate(steps, start=1):
        names += draw(findings, folder)
        if progress is not None:
            progress("drawing figures", done, len(steps))
    return tuple(names)


def draw_charts(findings: Findings, folder: Path) -> list[str]:
    """Accuracy by photos per object, by parameters, and by latency where it was measured."""
    evaluation, members = findings.evaluation, findings.evaluation.members
    names = [_by_photos(evaluation, folder), _by_parameters(evaluation, folder)]
    times = {m.name: m.latency_ms for m in members if m.latency_ms is not None}
    if times:
        figure, axes = new_figure(5.8, 3.9)
        threads = f"{evaluation.settings.threads} thread" + "s" * (evaluation.settings.threads > 1)
        _mark_models(axes[0, 0], evaluation, times)
        axes[0, 0].set_xlim(left=0)
        tidy(axes[0, 0], x=f"ms per photo, torch on this CPU, {threads}")
        put_legend(axes[0, 0])
        names.append(save(figure, folder, "accuracy-by-latency.png"))
    return names


def _errors(accuracy: Accuracy) -> tuple[float, tuple[list[float], list[float]]]:
    value = 100 * (accuracy.value or 0.0)
    low, high = (100 * bound for bound in widest(accuracy))
    return value, ([max(0.0, value - low)], [max(0.0, high - value)])


def _by_photos(evaluation: Evaluation, folder: Path) -> str:
    figure, axes = new_figure(9, 2.9, 1, 2)
    titles = {
        "register": "photos of the object in the register",
        "training": "training photos of the object",
    }
    for chart, (basis, title) in zip(axes[0], titles.items(), strict=True):
        groups = [group for group in evaluation.by_photos if group.basis == basis]
        for x, group in enumerate(groups):
            value, errors = _errors(group.top1)
            chart.errorbar(x, value, yerr=errors, fmt="o", color=OURS, capsize=3)
            chart.annotate(f"n={group.top1.photos}", (x, 1), ha="center", fontsize=7, color=PAPERS)
        chart.set_xticks(range(len(groups)), [group.label for group in groups])
        chart.set_xlim(-0.6, len(groups) - 0.4)
        chart.set_ylim(0, 103)
        tidy(chart, x=title)
    return save(figure, folder, "accuracy-by-photos.png")


def _by_parameters(evaluation: Evaluation, folder: Path) -> str:
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
    _mark_models(chart, evaluation, {m.name: m.parameters / 1e6 for m in evaluation.members})
    chart.plot([], [], "s", color=PAPERS, markersize=4, label="the paper, on its own photos")
    chart.set_xscale("log")
    chart.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    chart.xaxis.set_major_formatter("{x:g}")
    chart.minorticks_off()
    tidy(chart, x="parameters, millions, head included")
    put_legend(chart)
    return save(figure, folder, "accuracy-by-parameters.png")


def _mark_models(axes: Any, evaluation: Evaluation, positions: dict[str, float]) -> None:
    """Marks every model at its position; the ensemble costs what its members cost together."""
    for number, row in enumerate(evaluation.rows):
        value, errors = _errors(row.top1)
        axes.errorbar(
            positions.get(row.model, sum(positions.values())), value, yerr=errors,
            fmt="D" if row.model not in positions else "o",
            color=COLOURS[number % len(COLOURS)], capsize=3, label=row.model,
        )  # fmt: skip
