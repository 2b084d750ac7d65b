"""Scans from start to end, with a real bundle, real processes and a real cluster."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import object_picture

from artefact_id.main import main
from mobile_assets.bundle import Bundle

pytest_plugins = ("gallery_case",)
pytestmark = pytest.mark.slow  # an export of 20 s, and processes

ROOT = Path(__file__).parents[2]
PHOTOS = 200


@pytest.fixture(scope="module")
def auction(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of objects that are in the register and of others, one that is none, one broken."""
    root = tmp_path_factory.mktemp("auction")
    for number in range(PHOTOS):
        object_picture(number % 60, 7 + number // 60, 96).save(root / f"{number:03}.jpg")
    (root / "broken.jpg").write_bytes((root / "000.jpg").read_bytes()[:300])
    (root / "readme.txt").write_text("no photo")
    return root


def words(auction: Path, bundle: Bundle, out: Path) -> list[str]:
    return ["scan", str(auction), "--bundle", str(bundle.folder), "--out", str(out)]


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(
    auction: Path, gallery_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, str]]:
    """The rows of a scan that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert main(words(auction, gallery_bundle, out)) == 0
    page = (out / "results.html").read_text(encoding="utf-8")
    assert "data:image/webp" in page and "<script" not in page
    return rows_of(out)


def test_every_photo_has_one_row(whole: list[dict[str, str]]) -> None:
    paths = [row["path"] for row in whole]
    assert sorted(paths) == [*(f"{number:03}.jpg" for number in range(PHOTOS)), "broken.jpg"]
    assert whole[-1]["answer"] == "unreadable" and whole[-1]["error"]
    assert all(row["sha256"] and row["object_1"] for row in whole[:-1])


def test_a_killed_scan_goes_on_and_loses_nothing(
    auction: Path, gallery_bundle: Bundle, whole: list[dict[str, str]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "artefact_id", *words(auction, gallery_bundle, out)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    scan = subprocess.Popen(
        [*command, "--processes", "1"],
        env=environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    kept = 0
    end = time.monotonic() + 120
    while not kept and scan.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
        if (out / "scan.sqlite").exists():
            with sqlite3.connect(f"file:{out / 'scan.sqlite'}?mode=ro", uri=True) as store:
                try:
                    (kept,) = store.execute("SELECT count(embedding) FROM photos").fetchone()
                except sqlite3.OperationalError:  # not yet a table
                    continue
    os.killpg(scan.pid, signal.SIGKILL)
    scan.wait()
    assert 0 < kept < PHOTOS and not (out / "results.csv").exists()
    again = subprocess.run(
        [*command, "--json"], env=environment, capture_output=True, text=True, check=True
    )
    assert f'"decoded": {PHOTOS + 1 - kept}' in again.stdout
    assert rows_of(out) == whole


def test_a_changed_register_is_searched_without_decoding(
    auction: Path,
    gallery_bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(auction, photos)
    out = tmp_path / "out"
    assert main(words(photos, gallery_bundle, out)) == 0
    before = rows_of(out)
    withdrawn = before[0]["object_1"]
    smaller = tmp_path / "smaller"
    enrol = ["enrol", str(gallery_bundle.folder), "--withdraw", withdrawn, "--out", str(smaller)]
    assert main(enrol) == 0
    capsys.readouterr()
    scan = ["scan", str(photos), "--bundle", str(smaller), "--out", str(out), "--json"]
    assert main(scan) == 0
    assert '"decoded": 0' in capsys.readouterr().out
    assert withdrawn not in {row[f"object_{n}"] for row in rows_of(out) for n in (1, 2, 3)}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Two nodes of one processor each, on this machine."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes.address
    nodes.shutdown()


def test_a_cluster_of_two_nodes_gives_the_same_rows(
    auction: Path,
    gallery_bundle: Bundle,
    whole: list[dict[str, str]],
    cluster: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    out = tmp_path / "out"
    assert main([*words(auction, gallery_bundle, out), "--ray", cluster]) == 0
    assert rows_of(out) == whole
