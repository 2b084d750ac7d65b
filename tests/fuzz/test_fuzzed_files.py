"""2,000 damaged manifests, bundles, runs and kept states of trainings."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import fuzz
from materials import write_materials

pytestmark = pytest.mark.slow
CASES = {"manifests": 1000, "bundles": 700, "runs": 240, "checkpoints": 60}


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_materials(tmp_path_factory.mktemp("materials"))


@pytest.mark.parametrize("suite", CASES)
def test_damaged_files(suite: str, materials: Path, tmp_path: Path) -> None:
    report = fuzz(suite, materials, cases=CASES[suite], save=tmp_path / "failures")
    print(report)
    assert report.cases == CASES[suite]
    assert not report.findings, f"{report}\ninputs: {tmp_path / 'failures'}"
