"""What differs between two bundles: objects that are new, gone or changed."""

from __future__ import annotations

from typing import Any

from export.bundle.merge import same_model
from export.bundle.objects import read_objects
from mobile_assets.bundle import Bundle
from mobile_assets.identification.gallery import GALLERY_FILE
from mobile_assets.schema import Record


class ChangedObject(Record):
    """An object that both bundles have, and what of it differs.

    Attributes:
        changes: Of `label`, `photos`, `direction` and `references`.
    """

    object_id: str
    changes: tuple[str, ...]


class BundleDifference(Record):
    """What differs between two bundles.

    Attributes:
        same_model: Whether their embedding models are the same files; if not, photos and
            directions are not compared.
        same_register: Whether they are of one register.
        serials: Their serial numbers.
        objects: How many objects each has.
        new: Ids of objects that only the second has.
        gone: Ids of objects that only the first has.
        changed: Objects that both have.
    """

    same_model: bool
    same_register: bool
    serials: tuple[int, int]
    objects: tuple[int, int]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    changed: tuple[ChangedObject, ...]

    @property
    def empty(self) -> bool:
        """Whether the two have the same objects."""
        return not (self.new or self.gone or self.changed)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return self.model_dump(mode="json")


def difference(first: Bundle, second: Bundle) -> BundleDifference:
    """Compares two bundles, the older one first.

    Raises:
        DamagedError: A gallery or references are damaged.
    """
    same = same_model(first.info, second.info)
    before, after = first.labels.index_of, second.labels.index_of
    whole = same and all(
        bundle.contents is not None and GALLERY_FILE in bundle.contents
        for bundle in (first, second)
    )
    objects = (read_objects(first), read_objects(second)) if whole else None
    changed = []
    for object_id in sorted(before.keys() & after.keys()):
        changes = (
            _label_changes(first, second, object_id)
            if objects is None
            else objects[0][object_id].changes(objects[1][object_id])
        )
        if changes:
            changed.append(ChangedObject(object_id=object_id, changes=changes))
    return BundleDifference(
        same_model=same,
        same_register=first.info.register_id == second.info.register_id,
        serials=(first.info.serial, second.info.serial),
        objects=(len(before), len(after)),
        new=tuple(sorted(after.keys() - before.keys())),
        gone=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(changed),
    )


def _label_changes(first: Bundle, second: Bundle, object_id: str) -> tuple[str, ...]:
    labels = [
        bundle.labels[bundle.labels.index_of[object_id]].model_copy(update={"index": 0})
        for bundle in (first, second)
    ]
    return () if labels[0] == labels[1] else ("label",)
