"""What a person sees while a command works, where there is no terminal; and the time left."""

from __future__ import annotations

import re
import time

import pytest

from artefact_id.terminal import Terminal, duration
from benchmarks.pipeline.callbacks import Callbacks
from benchmarks.pipeline.demo import FULL, QUICK, stage_seconds
from benchmarks.pipeline.time_estimate import TimeEstimate, estimated
from train.progress import TrainingProgress


def moment(done: int, seconds_left: float = 40.0) -> TrainingProgress:
    return TrainingProgress("all", 2, 6, done, 100, 27.4, 0.75, seconds_left)


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Terminal(every=0.4) as terminal:
        terminal.training("min3", moment(30))
        terminal.overall(0.25, 180.0)
        time.sleep(1.2)
        terminal.training("min3", moment(100))
        terminal.say("min3: trained")
    lines = capsys.readouterr().err.splitlines()
    under_way = [line for line in lines if "30%" in line]
    assert len(under_way) >= 2
    assert re.fullmatch(
        r"min3: training all weights: 30%, epoch 2/6, 27 photos/s, validation 75.0%, 40 s left; "
        r"all of it: 25%, 3 min left",
        under_way[0],
    )
    assert lines[-2:] == ["min3: training all weights: 100 in 1 s", "min3: trained"]


def test_a_log_stays_quiet_while_lines_come(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(every=5) as terminal:
        terminal.progress("decoding photos", 1, 3)
        terminal.progress("decoding photos", 3, 3)
        terminal.progress("decoding photos", 3, 3)
    assert capsys.readouterr().err.splitlines() == ["decoding photos: 3 in 0 s"]


def test_work_that_a_later_line_ends_is_not_shown_any_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Terminal(every=0.3) as terminal:
        terminal.training("min3", moment(30))
        terminal.training("min4", moment(60))
        terminal.say("min3: trained in 9 s")
        time.sleep(0.8)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "min3: trained in 9 s"
    assert "min4: training all weights: 60%" in lines[1]
    assert "min3" not in lines[1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (float("nan"), ""), (-3, "1 s left"), (60.4, "60 s left"),
        (125, "2 min left"), (3 * 3600, "3.0 h left"),
    ],
)  # fmt: skip
def test_a_time_left_is_rounded_to_what_it_is_worth(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_time_left_is_soon_this_machines() -> None:
    clock = [0.0]
    estimate = TimeEstimate({"render": 10, "train": 30}, now=lambda: clock[0])
    assert estimate.seconds_left != estimate.seconds_left  # unknown
    clock[0] = 40  # four times slower than where the 10 s come from
    estimate.update("render", 1.0)
    assert (estimate.share, estimate.seconds_left) == (0.25, 120)
    estimate.update("render", 0.5)  # never goes back
    estimate.update("of another job", 1.0)
    assert estimate.share == 0.25


def test_every_report_of_a_threshold_moves_the_whole() -> None:
    shares: list[float] = []
    callbacks = Callbacks(overall=lambda share, _left: shares.append(share))
    seconds = {"photos": 10.0, "min3: training": 60.0, "min3: tflite-int8": 20.0, "report": 10.0}
    counted = estimated(callbacks, seconds)
    counted.progress("photos", 5, 5)
    counted.training("min3", moment(50))
    counted.say("min3: trained in 4 s")
    counted.say("min3: Exporting tflite-int8.")
    counted.say("min3: Wrote 1 variants of 3 objects.")
    counted.progress("report", 1, 2)
    expected = [0.1, 0.1 + 0.6 * 0.65, 0.7, 0.7, 0.9, 0.95]
    assert sorted(set(shares)) == pytest.approx(sorted(set(expected)))


@pytest.mark.parametrize("scale", [QUICK, FULL])
def test_the_demos_stages_are_those_that_report(scale: object) -> None:
    above = getattr(scale, "variants_above")  # noqa: B009
    stages = stage_seconds(above)
    assert {stage.split(":")[0] for stage in stages} >= {"min3", "min6", "register min5"}
    assert ("min6: coreml-palette6" in stages) == (above is None)
    assert "min3: coreml-palette6" in stages
