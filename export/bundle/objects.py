"""The objects of a bundle one by one, with all that the bundle holds of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_assets.bundle import Bundle
from mobile_assets.errors import InputError
from mobile_assets.identification.gallery import Gallery, QuantisedRows, read_gallery
from mobile_assets.identification.references import ReferencePicture, read_references
from mobile_assets.labels import Label, LabelMap


@dataclass(frozen=True, eq=False)
class BundleObject:
    """One object.

    Attributes:
        label: Its label; the index is that of the bundle that it was read from.
        direction: One row.
        rows: Embeddings of its photos, `[photos, D]`.
        photos: `[photos, 32]` uint8, SHA-256 of each photo's file.
        unseen: Whether neither the network nor its head was trained on it.
        class_index: In the classifiers of the bundle that is rebuilt; None where they lack it.
        references: Its pictures with their files' contents.
    """

    label: Label
    direction: QuantisedRows
    rows: QuantisedRows
    photos: NDArray[np.uint8]
    unseen: bool
    class_index: int | None
    references: tuple[tuple[ReferencePicture, bytes], ...] = ()

    def changes(self, other: BundleObject) -> tuple[str, ...]:
        """What of `label`, `photos`, `direction` and `references` is not alike."""
        labels = [one.label.model_copy(update={"index": 0}) for one in (self, other)]
        pictures = [[picture for picture, _ in one.references] for one in (self, other)]
        alike = {
            "label": labels[0] == labels[1],
            "photos": np.array_equal(self.photos, other.photos)
            and np.array_equal(self.rows.values, other.rows.values),
            "direction": np.array_equal(self.direction.values, other.direction.values),
            "references": pictures[0] == pictures[1],
        }
        return tuple(name for name, same in alike.items() if not same)


def read_objects(bundle: Bundle) -> dict[str, BundleObject]:
    """The objects of a bundle by their ids.

    Raises:
        InputError: It has no gallery.
        DamagedError: Its gallery or references are damaged.
    """
    gallery, references = read_gallery(bundle), read_references(bundle)
    if gallery is None:
        raise InputError(
            f"{bundle.folder} has no gallery, so nothing is known of its objects but their labels. "
            "Export it again from a run with --head embedding, with --photos and without "
            "--no-gallery."
        )
    unseen = frozenset(gallery.unseen_objects)
    pictures = {} if references is None else references.by_object
    objects = {}
    for label in bundle.labels.labels:
        first, end = np.searchsorted(gallery.row_objects, [label.index, label.index + 1])
        here = np.arange(first, end)
        listed = pictures.get(label.object_id, ())
        objects[label.object_id] = BundleObject(
            label=label,
            direction=gallery.directions.take(np.array([label.index])),
            rows=gallery.embeddings.take(here),
            photos=gallery.row_photos[here],
            unseen=label.index in unseen,
            class_index=label.index,
            references=tuple(
                (picture, references.content(picture))
                for picture in listed
                if references is not None
            ),
        )
    return objects


def label_map(objects: Mapping[str, BundleObject]) -> LabelMap:
    """The labels in the sorted order of their ids, numbered anew."""
    return LabelMap(
        tuple(
            objects[object_id].label.model_copy(update={"index": index})
            for index, object_id in enumerate(sorted(objects))
        )
    )


def gallery_of(objects: Sequence[BundleObject]) -> Gallery:
    """The gallery of objects in class order; of none of their photos where one has none."""
    with_rows = all(len(one.rows) for one in objects)
    rows = [one.rows if with_rows else one.rows.take(np.zeros(0, np.intp)) for one in objects]
    counts = [len(one) for one in rows]
    photos = [one.photos[:count] for one, count in zip(objects, counts, strict=True)]
    return Gallery(
        embeddings=_joined(rows),
        row_objects=np.repeat(np.arange(len(objects), dtype=np.int32), counts),
        row_photos=np.concatenate(photos),
        directions=_joined([one.direction for one in objects]),
        unseen_objects=tuple(i for i, one in enumerate(objects) if one.unseen),
    )


def _joined(parts: Sequence[QuantisedRows]) -> QuantisedRows:
    return QuantisedRows(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.scales for part in parts]),
    )
