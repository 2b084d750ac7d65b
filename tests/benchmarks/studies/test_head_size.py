"""The cost of the heads at tiny scale."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.studies.head_size import HEADS, HeadSizeStudy, latency_words


def test_latency_is_beside_the_base_heads() -> None:
    words = latency_words((2.0, 4.0, 6.0, 8.0, 10.0), (2.0, 2.0, 2.0, 2.0, 2.0))
    assert words == "6.00 [3.00, 2.00 to 4.00]"


@pytest.mark.slow
def test_cost_of_the_heads_at_tiny_scale(tmp_path: Path) -> None:
    words = ["--table", str(tmp_path / "heads.md"), "--objects", "7", "--rounds", "3"]
    assert HeadSizeStudy.main([*words, "--backbone", "test_efficientnet"]) == 0
    study = HeadSizeStudy.read(tmp_path / "heads.json")
    assert [cost.head for cost in study.heads] == list(HEADS)
    assert all(cost.int8_bytes < cost.float32_bytes for cost in study.heads)
    sizes = {cost.head: cost.float32_bytes for cost in study.heads}
    assert sizes["embedding-128"] < sizes["embedding-512"] < sizes["paper"]
