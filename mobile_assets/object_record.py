"""What identifies an object besides its photos: the fields of the Object ID standard."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mobile_assets.schema import Record

MAX_FIELD_CHARACTERS = 1000
"""Longest text of one field, so that thousands of records fit on a phone and on its screen."""

Text = Annotated[str, Field(max_length=MAX_FIELD_CHARACTERS)]


class ObjectRecord(Record):
    """Descriptive fields of one object; each is free text, empty where unknown.

    The fields are those of Object ID, the international standard for describing cultural goods,
    which police, customs and insurers ask for. Its title is the label's own `title`. Inventory
    number and place of origin are among the categories that the standard recommends in addition.

    Attributes:
        type: What kind of object it is, such as `mask`.
        materials: Materials and techniques.
        measurements: Size and weight with their units.
        inscriptions: Inscriptions and markings, such as a signature or a maker's mark.
        distinguishing_features: What could identify it: damage, repairs, defects.
        subject: What is pictured or represented.
        date: Date or period.
        maker: Person, company or cultural group.
        inventory_number: The number that is written on the object, where it is not the object id.
        place_of_origin: Where it was made or discovered.
    """

    type: Text = ""
    materials: Text = ""
    measurements: Text = ""
    inscriptions: Text = ""
    distinguishing_features: Text = ""
    subject: Text = ""
    date: Text = ""
    maker: Text = ""
    inventory_number: Text = ""
    place_of_origin: Text = ""

    def as_json(self) -> dict[str, str]:
        """The fields that are known, in the standard's order."""
        return {name: value for name, value in self.model_dump().items() if value}


RECORD_FIELDS = tuple(ObjectRecord.model_fields)
"""Names of the fields, in the standard's order."""
