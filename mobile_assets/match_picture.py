"""Matched points drawn for the eye: photo and reference picture side by side, joined by lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mobile_assets.local_features import Match

DRAWN = 40
"""Pairs that are drawn at the most; more hide the pictures."""

GAP = 8
"""Pixels between the two pictures."""

LINE, POINT = "#f2b300", "#d4145a"
"""Colours that stand out from stone, clay, metal and skin."""


@dataclass(frozen=True)
class SideBySide:
    """Where a photo and a reference picture stand, at the same height, the photo on the left.

    Attributes:
        photo_width: Width of the photo in pixels of the page.
        reference_width: Of the reference picture.
        height: Of both.
    """

    photo_width: int
    reference_width: int
    height: int

    @classmethod
    def of(cls, photo: tuple[int, int], reference: tuple[int, int], height: int) -> SideBySide:
        """The widths that keep the proportions of pictures of these sizes (width, height)."""
        left, right = (max(1, round(height * size[0] / size[1])) for size in (photo, reference))
        return cls(left, right, height)

    @property
    def width(self) -> int:
        """Of both pictures with the gap between them."""
        return self.photo_width + GAP + self.reference_width

    def lines(self, match: Match) -> list[tuple[float, float, float, float]]:
        """X and y in the photo, then in the reference, in pixels from the top left of both.

        Of more than `DRAWN` pairs some are left out, spread evenly over the list.
        """
        rows = np.unique(np.linspace(0, max(0, match.inliers - 1), DRAWN).astype(int))
        rows = rows[: match.inliers]
        ours = match.points_photo[rows] * (self.photo_width, self.height)
        theirs = match.points_reference[rows] * (self.reference_width, self.height)
        theirs[:, 0] += self.photo_width + GAP
        return [
            (float(x), float(y), float(u), float(v))
            for (x, y), (u, v) in zip(ours, theirs, strict=True)
        ]


def svg(match: Match, place: SideBySide) -> str:
    """An SVG element to lay over both pictures on an HTML page; numbers only, no outside text."""
    shapes = "".join(
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{u:.1f}" y2="{v:.1f}" stroke="{LINE}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{POINT}"/>'
        f'<circle cx="{u:.1f}" cy="{v:.1f}" r="2.5" fill="{POINT}"/>'
        for x, y, u, v in place.lines(match)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {place.width} {place.height}" '
        f'width="{place.width}" height="{place.height}" role="img" '
        f'aria-label="{match.inliers} points in common">{shapes}</svg>'
    )


def draw(photo: Image.Image, reference: Image.Image, match: Match, *, height: int) -> Image.Image:
    """Both pictures beside each other with the matched points joined.

    Args:
        height: Of the drawing in pixels.
    """
    place = SideBySide.of(photo.size, reference.size, height)
    drawing = Image.new("RGB", (place.width, height), "white")
    drawing.paste(photo.convert("RGB").resize((place.photo_width, height)), (0, 0))
    right = reference.convert("RGB").resize((place.reference_width, height))
    drawing.paste(right, (place.photo_width + GAP, 0))
    pen = ImageDraw.Draw(drawing)
    for x, y, u, v in place.lines(match):
        pen.line((x, y, u, v), fill=LINE)
        for centre_x, centre_y in ((x, y), (u, v)):
            box = (centre_x - 2, centre_y - 2, centre_x + 2, centre_y + 2)
            pen.ellipse(box, fill=POINT)
    return drawing
