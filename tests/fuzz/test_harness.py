"""The harness notices every kind of fault, blames the right case and keeps its input."""

from __future__ import annotations

from pathlib import Path

import harness
import pytest
from fault_suite import FAULTS, SIZE, WANTED

pytestmark = pytest.mark.slow


def test_every_fault_is_noticed_and_blamed_on_its_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "HANG_SECONDS", 3.0)
    monkeypatch.setattr(harness, "MOST_MEMORY", SIZE)
    report = harness.fuzz("faults", tmp_path, cases=len(FAULTS), save=tmp_path / "kept")
    assert report.cases == len(FAULTS)
    noticed = {seed: finding.kind for seed, finding in report.findings}
    assert [noticed.get(seed, "") for seed in range(len(FAULTS))] == list(WANTED)
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept == sorted(f"faults-{seed}" for seed, kind in enumerate(WANTED) if kind)
    assert str(report).startswith(
        f"faults: {len(FAULTS)} cases, 3 traceback, 1 hang, 2 memory, 1 accepted, 0 lost"
    )
