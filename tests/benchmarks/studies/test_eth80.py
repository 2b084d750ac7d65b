"""The ETH-80 benchmark: the draw, a small trial of it all, and the published page."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import object_picture, tiny_weights
from filelock import FileLock

from benchmarks.pipeline.sweep import _with_defaults
from benchmarks.results.cluster_bootstrap import (
    Estimate,
    Tally,
    accuracy_ratio,
    drawn_shares,
    error_ratio,
    interval,
    share_of,
    tally,
)
from benchmarks.studies.eth80 import OBJECTS_BY_PHOTOS, draw, main
from benchmarks.studies.eth80_page import Published, page, verdicts
from benchmarks.studies.recipe_runs import Scored, pooled
from benchmarks.studies.study_statistics import Asked
from train.recipes import PAPER
from train.register import Photo

ROOT = Path(__file__).parents[3] / "benchmarks/studies"
VIEWS = [Photo(f"o{n:03}", f"o{n:03}/{v:02}.jpg") for n in range(400) for v in range(20)]


def test_draw_follows_table_2a_and_leaves_the_rest() -> None:
    drawn, left = draw(VIEWS, seed=0)
    assert sorted((*drawn, *left)) == sorted(VIEWS)
    sizes = Counter(Counter(photo.object_id for photo in drawn).values())
    total = sum(OBJECTS_BY_PHOTOS.values())
    for count, objects in OBJECTS_BY_PHOTOS.items():
        assert sizes[count] / 400 == pytest.approx(objects / total, abs=0.07)
    assert draw(VIEWS, seed=0) == (drawn, left)
    assert draw(VIEWS, seed=1) != (drawn, left)


def test_numbers_are_the_papers() -> None:
    table = Path(__file__).parents[4] / "shared/paper/table2a_photos_per_object.csv"
    if not table.is_file():
        pytest.skip("the paper's tables are not beside the project")
    rows = [int(row["objects"]) for row in csv.DictReader(table.open())]
    assert list(OBJECTS_BY_PHOTOS.values()) == rows


# --- intervals and verdicts -----------------------------------------------------------------------


def test_tally_adds_an_object_of_several_test_sets() -> None:
    found = tally([(("a", "b"), (4, 2), (3, 0)), (("b", "c"), (5, 1), (5, 1))])
    assert found.tested.tolist() == [4, 7, 1]
    assert found.right.tolist() == [3, 5, 1]
    assert found.share == pytest.approx(9 / 12)


def test_interval_is_as_wide_as_whole_objects_make_it() -> None:
    """40 objects of 30 photos, each all right or all wrong: as good as 40 photos, not 1,200."""
    right = np.repeat([30.0, 0.0], 20)
    together = interval(drawn_shares(Tally(np.full(40, 30.0), right)))
    assert together is not None
    spread = 1.96 * np.sqrt(0.5 * 0.5 / 40)
    assert together == pytest.approx((0.5 - spread, 0.5 + spread), abs=0.03)


def test_ratios_are_drawn_together() -> None:
    tested = np.full(40, 10.0)
    hard = np.tile([1.0, 9.0], 20)
    ours, theirs = Tally(tested, 10 - hard / 3), Tally(tested, 10 - hard)
    ratio = error_ratio(ours, theirs)
    assert ratio.value == pytest.approx(1 / 3)
    # Always a third, whichever objects are drawn.
    assert ratio.bounds == pytest.approx((1 / 3, 1 / 3))
    assert accuracy_ratio(ours, ours).bounds == (1.0, 1.0)
    with pytest.raises(ValueError, match="not measured on the same photos"):
        error_ratio(ours, Tally(tested + 1, hard))


def test_ratio_to_no_error_is_infinite_and_none_to_none_undefined() -> None:
    tested = np.full(4, 5.0)
    none, some = Tally(tested, tested), Tally(tested, tested - 1)
    assert error_ratio(some, none).text() == "∞ (∞ to ∞)"
    assert error_ratio(none, none) == Estimate(None)
    assert Asked("errors", 0.5, error_ratio(none, none)).line().endswith("**not measured**\n")


@pytest.mark.parametrize(
    ("value", "bounds", "least", "verdict"),
    [
        (0.4, (0.3, 0.44), False, "**met, by the whole interval**"),
        (0.4, (0.3, 0.5), False, "**met, not by the whole interval**"),
        (0.5, (0.4, 0.6), False, "**not met, within the interval**"),
        (0.5, (0.46, 0.6), False, "**not met**"),
        (2.5, (2.1, 3.0), True, "**not met**"),
        (3.5, None, True, "**met**"),
    ],
)
def test_verdict(
    value: float, bounds: tuple[float, float] | None, least: bool, verdict: str
) -> None:
    asked = Asked("what", 3.2 if least else 0.45, Estimate(value, bounds), least)
    assert verdict in asked.line()


# --- a small trial --------------------------------------------------------------------------------


def small_photos(root: Path) -> Path:
    for number in range(5):
        folder = root / ("even" if number % 2 == 0 else "odd") / f"OBJ-{number}"
        folder.mkdir(parents=True)
        for view in range(16):
            object_picture(number, view).save(folder / f"{view:02}.png")
    return root


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """The words of a small trial, and its folder."""
    root = tmp_path_factory.mktemp("eth80")
    words = ["--photos", str(small_photos(root / "photos")), "--out", str(root / "out")]
    words += ["--seeds", "0,1", "--thresholds", "3", "--backbone", "test_efficientnet"]
    words += ["--weights", str(tiny_weights(root)), "--input-size", "64", "--epochs", "1"]
    return [*words, "--variants", "tflite-float32", "--latency-runs", "2"], root / "out"


def test_only_trains_and_stops_and_a_busy_run_is_left_to_its_process(
    trial: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words, out = trial
    assert main([*words, "--only", "probe", "--seeds", "1"]) == 0
    assert sorted(p.name for p in (out / "seed1/min3").iterdir()) == [".probe.lock", "probe"]
    assert not (out / "seed0").exists()
    # Held as another process would hold it: training waits for it.
    import threading

    done: list[int] = []
    worker = threading.Thread(
        target=lambda: done.append(main([*words, "--only", "probe,paper", "--seeds", "1"]))
    )
    with FileLock(out / "seed1/min3/.probe.lock"):
        worker.start()
        worker.join(timeout=1.0)
        for _ in range(600):  # a minute, where the free one is waiting behind the busy one
            if (out / "seed1/min3/paper/run.json").is_file():
                break
            worker.join(timeout=0.1)
        assert (out / "seed1/min3/paper/run.json").is_file()
        assert not done
    worker.join()
    assert done == [0]
    said = capsys.readouterr().err
    assert "seed 1 min3 probe: another process trains it" in said
    assert said.index("paper: trained in") < said.index("probe: trained before, kept")


def test_trial_writes_a_page_that_its_rows_regenerate(
    trial: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words, out = trial
    assert main(words) == 0
    published = Published.read(out / "eth80.json")
    text = (out / "eth80.md").read_text(encoding="utf-8")
    assert page(published) == text
    assert {(row.seed, row.recipe) for row in published.runs} == {
        (seed, recipe) for seed in (0, 1) for recipe in ("field", "probe", "paper")
    }
    assert published.results is not None
    assert "tflite-float32" in text
    assert (out / "seed0/min3/bundle/bundle.json").is_file()
    assert not (out / "seed1/min3/bundle").exists()
    assert all(sum(row.tested) == published.draws[row.seed].left for row in published.runs)
    # The report's own count of the same run is the same.
    ours = next(r for r in published.runs if (r.seed, r.recipe) == (0, "field"))
    row = next(r for r in published.results.rows if r.variant == "torch-float32")
    assert row.top1 == pytest.approx(sum(ours.top1) / sum(ours.tested))
    capsys.readouterr()
    assert main(words) == 0
    said = capsys.readouterr().err
    assert said.count("trained before, kept") == 6
    assert "measured before, kept" in said
    assert "trained in" not in said


def test_a_run_of_before_a_setting_was_added_is_kept() -> None:
    before = {k: v for k, v in PAPER.settings().items() if k != "split"}
    assert _with_defaults(before)["split"] == "stratified"
    assert _with_defaults(PAPER.settings()) == PAPER.settings()


def test_scored_refuses_counts_that_do_not_fit(trial: tuple[list[str], Path]) -> None:
    kept = trial[1] / "seed0/min3/field.scored.json"
    value = json.loads(kept.read_text(encoding="utf-8"))
    value["top1"] = value["top1"].rsplit(" ", 1)[0]
    with pytest.raises(ValueError, match="not one count for each object"):
        Scored.model_validate(value)


# --- the published page ---------------------------------------------------------------------------


def test_published_page_is_regenerated_from_its_rows() -> None:
    published = Published.read(ROOT / "eth80.json")
    assert page(published) == (ROOT / "eth80.md").read_text(encoding="utf-8")
    assert published.thresholds == (3, 4, 5, 6)
    assert len(published.draws) >= 3
    assert len(verdicts(published)) == 13
    # A number that is changed by hand would be seen.
    first = published.runs[0]
    changed = first.model_copy(update={"top1": (first.top1[0] - 1, *first.top1[1:])})
    other = published.model_copy(update={"runs": (changed, *published.runs[1:])})
    assert page(other) != page(published)


def test_published_shares_are_of_whole_test_sets(trial: tuple[list[str], Path]) -> None:
    published = Published.read(trial[1] / "eth80.json")
    found = pooled(published.runs, "3", "probe")
    assert found.photos == sum(draw.left for draw in published.draws)
    assert share_of(found).text(".1%") in page(published)
