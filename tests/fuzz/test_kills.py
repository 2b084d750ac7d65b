"""At least 200 kills at seeded moments: the same command afterwards gives the whole result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kill_loop import COMMANDS, Ask, command_process, kill_loop
from materials import write_gallery, write_materials

pytestmark = pytest.mark.slow
KILLS = {
    "prepare": 75, "sign": 80, "benchmark": 20, "train": 15, "export": 5, "export --force": 5,
    "enrol": 10, "enrol --force": 10,
}  # fmt: skip


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gallery(write_materials(tmp_path_factory.mktemp("materials")))


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with command_process(tmp_path_factory.mktemp("commands")) as ask:
        yield ask


@pytest.mark.parametrize("name", KILLS)
def test_a_killed_command_loses_nothing(
    name: str, materials: Path, ask: Ask, tmp_path: Path
) -> None:
    report = kill_loop(COMMANDS[name], materials, tmp_path, ask, kills=KILLS[name])
    print(report)
    assert report.kills >= KILLS[name]
    assert not report.lost, report


def test_a_loss_is_noticed(materials: Path, ask: Ask, tmp_path: Path) -> None:
    """Without the words that replace a signature, a signature that was killed late is refused."""
    sign = COMMANDS["sign"]
    once = replace(sign, words=lambda *where: sign.words(*where)[:-1])
    with pytest.raises(RuntimeError, match="already signed"):
        kill_loop(once, materials, tmp_path / "once", ask, kills=1)
    other = replace(sign, result=lambda folder: {folder.name: ""})
    report = kill_loop(other, materials, tmp_path / "other", ask, kills=1)
    assert report.lost and "differs in ['case-0', 'whole']" in report.lost[0]
