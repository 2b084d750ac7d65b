"""Penultimate features in the plane, coloured by collection: PCA, t-SNE and UMAP."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.plotting import COLOURS, new_figure, save

if TYPE_CHECKING:
    from benchmarks.evaluation.findings import Findings

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
    if len(features) < 3:
        return []
    names = []
    for method, project in (("PCA", pca), ("t-SNE", tsne), ("UMAP", umap)):
        points = project(features, seed)
        figure, axes = new_figure(5.8, 4.2)
        scatter_features(axes[0, 0], points, collections)
        axes[0, 0].set_title(f"{method} of {findings.evaluation.lead}, {len(points)} test photos")
        name = method.lower().replace("-", "")
        names.append(save(figure, folder, f"features-{name}.png"))
    return names


def pca(features: Features, seed: int) -> Features:
    """`[N, 2]` coordinates by principal components."""
    from sklearn.decomposition import PCA

    points: Features = PCA(n_components=2, random_state=seed).fit_transform(features)
    return points


def tsne(features: Features, seed: int) -> Features:
    """`[N, 2]` coordinates by t-SNE; of few photos with as many neighbours as there can be."""
    from sklearn.manifold import TSNE

    points: Features = TSNE(
        perplexity=min(30.0, max(1.0, (len(features) - 1) / 3)), init="pca", random_state=seed
    ).fit_transform(_reduced(features, seed))
    return points


def umap(features: Features, seed: int) -> Features:
    """`[N, 2]` coordinates by UMAP, its graph by spectral layout where there are photos enough."""
    neighbours = min(15, len(features) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it notes that a seed costs it its threads
        from umap import UMAP

        reducer = UMAP(
            n_neighbors=max(2, neighbours),
            # The spectral layout asks for more photos than dimensions, with some to spare.
            init="spectral" if len(features) > 10 else "random",
            random_state=seed,
            n_jobs=1,
        )
        points: Features = reducer.fit_transform(_reduced(features, seed))
    return points


def _reduced(features: Features, seed: int) -> Features:
    """The first fifty principal components, which hold what neighbours are told by."""
    from sklearn.decomposition import PCA

    most = min(50, *features.shape)
    reduced: Features = PCA(n_components=most, random_state=seed).fit_transform(features)
    return reduced


def scatter_features(axes: Any, points: Features, collections: NDArray[np.str_]) -> None:
    """Draws points `[N, 2]`, a colour for each of the largest collections."""
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
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
