"""Penultimate features in the plane, coloured by collection: PCA, t-SNE and UMAP."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.inference import Findings
from benchmarks.evaluation.plotting import COLOURS, new_figure, put_legend, save

MOST_POINTS = 3000
"""More photos than this are drawn from at random: t-SNE takes a minute for so many."""

LEGEND = 10
"""Collections with a colour of their own; smaller ones share one."""

Features = NDArray[np.float32]


def draw_projections(findings: Findings, folder: Path) -> list[str]:
    """Draws the test photos' features of the lead member, one file per method.

    Fewer than three photos have no picture.
    """
    features = findings.test.features
    collections = np.array([photo.collection for photo in findings.test.photos])
    seed = findings.evaluation.settings.seed
    if len(features) > MOST_POINTS:
        rows = np.random.default_rng(seed).choice(len(features), MOST_POINTS, replace=False)
        features, collections = features[rows], collections[rows]
    names = []
    for method in METHODS if len(features) > 2 else ():
        points = project(method, features, seed)
        figure, axes = new_figure(5.8, 4.2)
        scatter(axes[0, 0], points, collections)
        axes[0, 0].set_title(f"{method} of {findings.evaluation.lead}, {len(points)} test photos")
        name = method.lower().replace("-", "")
        names.append(save(figure, folder, f"features-{name}.png"))
    return names


METHODS = ("PCA", "t-SNE", "UMAP")


def project(method: str, features: Features, seed: int) -> Features:
    """`[N, 2]` coordinates of `[N, features]`, N at least 3, by one of `METHODS`.

    t-SNE and UMAP take as many neighbours as there can be of few photos, and begin with the first
    fifty principal components, which hold what neighbours are told by.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    photos = len(features)
    most = 2 if method == "PCA" else min(50, *features.shape)
    points: Features = PCA(n_components=most, random_state=seed).fit_transform(features)
    if method == "t-SNE":
        perplexity = min(30.0, max(1.0, (photos - 1) / 3))
        points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)
    if method == "UMAP":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it notes that a seed costs it its threads
            from umap import UMAP

            points = UMAP(
                n_neighbors=max(2, min(15, photos - 1)),
                # The spectral layout asks for more photos than dimensions, with some to spare.
                init="spectral" if photos > 10 else "random",
                random_state=seed,
                n_jobs=1,
            ).fit_transform(points)
    return points


def scatter(axes: Any, points: Features, collections: NDArray[np.str_]) -> None:
    """Draws points in the colour of their collection, with a legend of at most `LEGEND` lines."""
    ranked = [name for name, _ in Counter(collections.tolist()).most_common()]
    groups = [(name or "no collection", np.asarray(collections == name)) for name in ranked]
    if len(groups) > LEGEND:
        rest = np.isin(collections, ranked[LEGEND - 1 :])
        groups = [*groups[: LEGEND - 1], (f"{len(ranked) - LEGEND + 1} others", rest)]
    size = float(np.clip(3000 / len(points), 6, 30))
    for number, (name, mask) in enumerate(groups):
        axes.scatter(
            points[mask, 0], points[mask, 1], s=size, alpha=0.75, linewidths=0,
            color=COLOURS[number % len(COLOURS)], label=f"{name} ({mask.sum()})",
        )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    put_legend(axes)
