"""Exported forms against their network: pooling, verdicts, and a small trial."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import object_picture
from patterns import draw_photos, write_run

from benchmarks.results.schema import Results
from benchmarks.studies.export_parity import (
    CommandCost,
    ExportParityStudy,
    VariantCounts,
    exported,
    pooled,
    rows_of,
)
from mobile_assets.errors import InputError


def row(variant: str, seed: int = 0, **changes: object) -> VariantCounts:
    values: dict[str, object] = {
        "backbone": "lite0",
        "min_photos": 3,
        "seed": seed,
        "variant": variant,
        "runtime": "litert",
        "photos": 1000,
        "right": 800,
        "same": 990,
        "lost": 6,
        "won": 4,
        "mean_drift": 0.01,
        "bytes": 400,
    }
    return VariantCounts.model_validate(values | changes)


def published(*rows: VariantCounts) -> ExportParityStudy:
    whole = [row("tflite-float32", seed, bytes=1600, same=1000) for seed in (0, 1)]
    return ExportParityStudy(
        created="2026-01-01",
        host={},
        versions={},
        commands=(
            CommandCost(
                kind="export",
                backbone="tf_efficientnet_lite0",
                what="seed 0, min 3",
                finished="2026-01-01",
                seconds=250,
                peak_mib=1024,
            ),
        ),
        rows=(*whole, *rows),
    )


def test_seeds_are_put_together_photo_by_photo() -> None:
    study = published(row("tflite-int8"), row("tflite-int8", 1, photos=500, same=450, lost=9))
    _, int8 = pooled(study.rows)
    assert (int8.variant, int8.sum("photos"), int8.sum("lost"), int8.sum("won")) == (
        "tflite-int8", 1500, 15, 8
    )  # fmt: skip
    assert int8.agreement.value == pytest.approx(96.0)
    assert int8.drop.value == pytest.approx(100 * 7 / 1500)
    assert int8.drop.bounds[0] < 0 < int8.drop.bounds[1]
    assert int8.size == pytest.approx(0.25)


def verdicts(changed: VariantCounts) -> dict[str, bool | None]:
    return {target.what: target.met for target in published(changed).all_targets()}


def test_verdicts_follow_the_numbers() -> None:
    good = verdicts(row("tflite-int8"))
    where = "lite0, min 3, tflite-int8 on litert"
    assert good[f"{where}: agreement in per cent"] is True
    assert good[f"{where}: drop in points"] is True
    assert good[f"{where}: size by float32's"] is True
    assert good[f"{where}: time by float32's, one thread"] is None
    assert good["slowest export of tf_efficientnet_lite0, seconds"] is False
    assert good["largest export of tf_efficientnet_lite0, GiB"] is True
    assert good["slowest benchmark of tf_efficientnet_lite0, seconds"] is None
    worse = row("tflite-int8", same=984, lost=10, won=4, bytes=500, latency_ratio=(0.7, 0.6, 0.8))
    bad = verdicts(worse)
    assert not any(bad[what] for what in bad if what.startswith(where))
    # Weights alone are asked to be closer than what is integer throughout.
    close = verdicts(row("tflite-float16"))
    assert close["lite0, min 3, tflite-float16 on litert: agreement in per cent"] is False


def test_the_page_says_what_was_measured() -> None:
    text = published(row("tflite-int8"), row("tflite-int8", 1)).page()
    assert "lite0, seeds 0 and 1." in text
    assert "| tflite-int8 | litert | 2,000 | 80.00 % |" in text
    assert "| export | tf_efficientnet_lite0 | seed 0, min 3 | 2026-01-01 | 250 | 1.00 |" in text


@pytest.mark.slow
def test_a_small_trial_end_to_end(tmp_path: Path) -> None:
    """Real runs of a tiny network, exported and benchmarked by the commands themselves."""
    seed = tmp_path / "seed0"
    draw_photos(seed / "register")
    for number in range(10):
        folder = seed / "left-over" / ("north" if number < 6 else "south") / f"OBJ-{number}"
        folder.mkdir(parents=True)
        object_picture(number, 9).save(folder / "new.png")
    for minimum in (3, 4, 5, 6):
        write_run(seed / "register", seed / f"min{minimum}" / "discriminant")
    table = tmp_path / "parity.md"
    words = ["--runs", str(tmp_path), "--variants", "tflite-float32,tflite-int8,coreml-float16"]
    assert ExportParityStudy.main([*words, "--table", str(table)]) == 0
    made = ExportParityStudy.read(table.with_suffix(".json"))
    results = Results.read(seed / "parity" / "results.json")
    assert made.rows == tuple(rows_of(results, seed))
    for counts in made.rows:
        flips = (sum(counts.by_object.lost), sum(counts.by_object.won))
        assert flips == (counts.lost, counts.won)
    assert len(made.commands) == 5
    assert all(cost.seconds > 0 and cost.peak_mib > 50 for cost in made.commands)
    assert table.read_text(encoding="utf-8") == made.page()


def test_a_missing_run_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"benchmarks\.studies\.eth80"):
        exported(tmp_path / "seed0", 3, variants=None)
