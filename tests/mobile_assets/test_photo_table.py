"""The contract of decoding, format by property, each case with pixels computed another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from photo_case import Case
from photo_cases_other import jpeg_cases, other_cases
from photo_cases_png import png_cases
from photo_cases_tiff import tiff_cases

from mobile_assets.photos import decode

CASES = [*tiff_cases(), *png_cases(), *jpeg_cases(), *other_cases()]


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pixels_are_those_of_the_contract(case: Case, tmp_path: Path) -> None:
    (tmp_path / "photo.bin").write_bytes(case.content())
    pixels = np.asarray(decode(tmp_path / "photo.bin")).astype(float)
    assert pixels.shape == case.wanted.shape
    # Lossy files are compared by nearly all of their pixels: edges ring.
    differences = np.abs(pixels - np.rint(case.wanted))
    assert np.quantile(differences, 0.95 if case.limit > 3 else 1) <= case.limit
