"""3,000 damaged photos, and the real command line on one batch of fifty."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import fuzz
from materials import write_materials

pytestmark = pytest.mark.slow
CASES = 3000


def test_damaged_photos(tmp_path: Path) -> None:
    materials = write_materials(tmp_path / "materials")
    report = fuzz("photos", materials, cases=CASES, save=tmp_path / "failures")
    print(report)
    assert report.cases == CASES
    assert not report.findings, f"{report}\ninputs: {tmp_path / 'failures'}"
