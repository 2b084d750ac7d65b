"""What all studies share: writing, exit codes, targets, counts and intervals by object."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from benchmarks.results.cluster_bootstrap import (
    Estimate,
    Tally,
    accuracy_ratio,
    drawn_shares,
    error_ratio,
    interval,
    tally,
)
from benchmarks.studies.exported_forms import flips_by_object, points_lost
from benchmarks.studies.scaling import ScalingStudy
from benchmarks.studies.study_statistics import Target, count_by_object, spread
from mobile_assets.errors import CheckFailedError, DamagedError, InputError

PUBLISHED = ScalingStudy.read(ScalingStudy.published().with_suffix(".json"))


class TrialStudy(ScalingStudy):
    """The published rows, "measured" at once."""

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--refuse", action="store_true")

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self | None:
        if arguments.refuse:
            raise InputError("no photos")
        return cls.model_validate(PUBLISHED.model_dump())


def test_a_study_writes_its_rows_and_their_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    assert TrialStudy.main(["--table", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text == ScalingStudy.published().read_text(encoding="utf-8")
    page.write_text("something else", encoding="utf-8")
    assert TrialStudy.regenerate(page) == TrialStudy.model_validate(PUBLISHED.model_dump())
    assert page.read_text(encoding="utf-8") == text
    with pytest.raises(DamagedError, match="missing"):
        TrialStudy.regenerate(tmp_path / "other.md")


def test_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    assert TrialStudy.main(["--table", str(page), "--refuse"]) == 2
    assert capsys.readouterr().err == "scaling: no photos\n"
    assert not page.exists()

    def broken(_: TrialStudy) -> None:
        raise CheckFailedError("too slow")

    monkeypatch.setattr(TrialStudy, "check", broken)
    assert TrialStudy.main(["--table", str(page)]) == 1
    assert page.exists()  # what was measured is published all the same


def test_what_cannot_be_rendered_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrialStudy, "values", lambda _: {})
    with pytest.raises(Exception, match="undefined"):
        TrialStudy.main(["--table", str(tmp_path / "page.md")])
    assert not list(tmp_path.iterdir())


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
    target = Target("what", 3.2 if least else 0.45, Estimate(value, bounds), least)
    assert target.line().endswith(verdict)


def test_counts_and_spread() -> None:
    assert count_by_object(("a", "b", "c"), ["c", "a", "c"], [True, False, True]) == (0, 0, 2)
    assert spread([1.0, 2.0, 3.0]) == Estimate(2.0, (pytest.approx(1.2), pytest.approx(2.8)))
    assert spread([1.0, 2.0, 3.0], low=0.25).bounds == (1.5, 2.5)


def test_tally_adds_an_object_of_several_test_sets() -> None:
    both = tally([(("a", "b"), (4, 2), (3, 0)), (("b", "c"), (5, 1), (5, 1))])
    assert both.tested.tolist() == [4, 7, 1]
    assert both.right.tolist() == [3, 5, 1]
    assert both.share == pytest.approx(9 / 12)


def test_interval_is_as_wide_as_whole_objects_make_it() -> None:
    """40 objects of 30 photos, each all right or all wrong: as good as 40 photos, not 1,200."""
    right = np.repeat([30.0, 0.0], 20)
    together = interval(drawn_shares(Tally(np.full(40, 30.0), right)))
    assert together is not None
    half = 1.96 * np.sqrt(0.5 * 0.5 / 40)
    assert together == pytest.approx((0.5 - half, 0.5 + half), abs=0.03)


def test_drop_of_an_exported_form_draws_whole_objects_where_they_are_known() -> None:
    """20 objects of 30 photos: the form loses all photos of one object, and wins all of another."""
    shown = [f"o{n:02}" for n in range(20) for _ in range(30)]
    reference, form = np.ones(600, bool), np.ones(600, bool)
    form[:30] = False
    reference[30:60] = False
    flips = flips_by_object(shown, reference, form)
    assert (sum(flips.tested), sum(flips.lost), sum(flips.won)) == (600, 30, 30)
    whole, single = (points_lost(30, 30, 600, [known]) for known in (flips, None))
    assert whole.value == single.value == 0
    # Two objects of 20 change: a standard deviation of 100·√2/20 points, 7.1; over photos 1.3.
    assert whole.bounds[1] - whole.bounds[0] > 3 * (single.bounds[1] - single.bounds[0])


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
    assert Target("errors", 0.5, error_ratio(none, none)).line().endswith("**not measured**")
