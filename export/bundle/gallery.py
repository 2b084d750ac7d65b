"""The gallery, the reference pictures and the decision of a bundle that is exported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.bundle.embedded_photos import (
    Embed,
    EmbeddedPhotos,
    ObjectPhoto,
    embed_photos,
    spread,
)
from export.bundle.leave_one_out import score_photos
from export.bundle.references import differing_rows, picture_of, write_references
from export.bundle.tflite_embedding import tflite_embed
from export.bundle.thresholds import NO_OBJECTS, fit_variant, formula_of, write_decision
from export.variants.build_context import BuildContext
from export.variants.embedding import split_network
from export.variants.options import GALLERY_PHOTOS, ExportOptions
from mobile_assets.bundle import AuxiliaryModel
from mobile_assets.identification.decision import Decision
from mobile_assets.identification.gallery import Gallery, QuantisedRows
from mobile_assets.identification.references import ReferencePicture
from train.photo_pixels import PhotoPixels
from train.run import Run

Say = Callable[[str], None]

_NETWORK = "network"


def write_gallery(
    run: Run,
    root: Path,
    folder: Path,
    options: ExportOptions,
    context: BuildContext,
    models: tuple[AuxiliaryModel, ...],
    say: Say,
) -> Gallery | None:
    """Writes gallery, references and decision into a bundle whose models are there.

    Args:
        root: The register's root.
        folder: The bundle's.
        models: The bundle's embedding models.

    Returns:
        The gallery; None where some object has no photo to be recognised by.
    """
    # Pictures are chosen among them and thresholds set on them, however few the gallery keeps.
    photos = _chosen(run, root, max(options.gallery_photos, GALLERY_PHOTOS))
    pixels = PhotoPixels(run.info.preprocessing, root=root, cache=options.cache)
    embedded = embed_photos(photos, {_NETWORK: network_embed(context)}, pixels)
    directions = split_network(context.network).directions.numpy()
    problem = _problem(run, embedded, directions)
    if problem:
        say(f"The bundle has no gallery: {problem}.")
        return None
    gallery = _gallery(run, embedded, directions, most=options.gallery_photos)
    gallery.write(folder)
    if options.references:
        pictures = _reference_pictures(run, embedded, options)
        size, order = options.reference_size, run.labels.index_of
        write_references(folder, pictures, size=size, order=order)
    _write_thresholds(run, gallery, embedded, folder, models, pixels, say)
    return gallery


def network_embed(context: BuildContext) -> Embed:
    """Embeds by the network itself, in torch."""
    import torch

    network = split_network(context.network).embedding

    def embed(photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            rows: NDArray[np.float32] = network(
                torch.from_numpy(photos).permute(0, 3, 1, 2).float()
            ).numpy()
        return rows

    return embed


def _chosen(run: Run, root: Path, most: int) -> list[ObjectPhoto]:
    by_object: dict[str, list[ObjectPhoto]] = defaultdict(list)
    for photo in run.fitted_photos:
        if photo.why_unusable(root) is None:
            made = ObjectPhoto(root / photo.path, photo.sha256, photo.object_id)
            by_object[photo.object_id].append(made)
    return [photo for mine in by_object.values() for photo in spread(mine, most)]


def _problem(run: Run, embedded: EmbeddedPhotos, directions: NDArray[np.float32]) -> str | None:
    lacking = [id_ for id_ in run.labels.object_ids if id_ not in embedded.places]
    lengths = np.linalg.norm(directions, axis=1)
    lacking += [run.labels[int(i)].object_id for i in np.flatnonzero(lengths < 1e-6)]
    if lacking:
        return f"{len(lacking)} objects have no photo that was fitted, first {lacking[0]}"
    return None


def _gallery(
    run: Run, embedded: EmbeddedPhotos, directions: NDArray[np.float32], *, most: int
) -> Gallery:
    index_of = run.labels.index_of
    chosen = [spread(embedded.places[id_], most) for id_ in run.labels.object_ids]
    order = [place for places in chosen for place in places]
    hashes = [np.frombuffer(bytes.fromhex(embedded.photos[i].sha256), np.uint8) for i in order]
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return Gallery(
        embeddings=QuantisedRows.of(embedded.rows[_NETWORK][order]),
        row_objects=np.repeat(np.arange(len(chosen), dtype=np.int32), list(map(len, chosen))),
        row_photos=np.stack(hashes) if hashes else np.zeros((0, 32), dtype=np.uint8),
        directions=QuantisedRows.of(unit),
        unseen_objects=tuple(sorted(index_of[id_] for id_ in run.held_out)),
    )


def _reference_pictures(
    run: Run, embedded: EmbeddedPhotos, options: ExportOptions
) -> Iterator[tuple[ReferencePicture, bytes]]:
    for object_id in run.labels.object_ids:
        places = embedded.places[object_id]
        for row in differing_rows(embedded.rows[_NETWORK][places], options.references):
            made = picture_of(embedded.photos[places[row]], options.reference_size)
            if made is not None:
                yield made


def _write_thresholds(
    run: Run,
    gallery: Gallery,
    embedded: EmbeddedPhotos,
    folder: Path,
    models: tuple[AuxiliaryModel, ...],
    pixels: PhotoPixels,
    say: Say,
) -> None:
    """Fits each embedding model's thresholds to its own embeddings of the held-out objects."""
    place_of = {photo: place for place, photo in enumerate(embedded.photos)}
    held_out = [photo for photo in embedded.photos if photo.object_id in run.held_out]
    embeds = {
        model.name: tflite_embed((folder / model.file).read_bytes())
        for model in models
        if model.format == "tflite"
    }
    if held_out:
        say(f"Setting thresholds on {len(held_out)} photos of {len(run.held_out)} objects.")
    again = embed_photos(held_out, embeds, pixels)
    stored = embedded.rows[_NETWORK][[place_of[photo] for photo in again.photos]]
    objects = np.array([run.labels.index_of[photo.object_id] for photo in again.photos], np.int64)
    formula = formula_of(gallery)
    variants = {}
    for model in models:
        # Core ML runs on Apple systems only: the network in float32 stands in for its package.
        own = again.rows.get(model.name, stored)
        scored = score_photos(gallery, formula, own, objects, stored) if len(objects) else None
        variants[model.name] = fit_variant(scored, formula, why=NO_OBJECTS)
    write_decision(folder, Decision(variants=variants))
