"""Damaged photos: each is answered or reported, and the others' answers stay as they are."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from photo_mutators import base_photos, mutated_photo
from suite import Command, Finding, Outcome


class PhotoSuite:
    """`identify` and `inspect` on damaged photos between whole ones."""

    name = "photos"
    batch = 20

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._bundle = Path()
        self._whole: list[Path] = []
        self._answers: list[Any] = []
        self._photos: list[tuple[str, bytes]] = []
        self._pixels: list[Any] = []

    def open(self, materials: Path, command: Command) -> None:
        """What the whole photos are answered, and what pixels the undamaged ones have."""
        from artefact_id.options import register_heif

        register_heif()
        self._bundle = materials / "bundle"
        self._whole = sorted((materials / "photos").rglob("*.png"))[:2]
        outcome = command(self._identify(self._whole))
        assert outcome.code == 0, outcome
        self._answers = json.loads(outcome.out)
        self._photos = base_photos()

    def run(self, seeds: Sequence[int], folder: Path, command: Command) -> list[Finding]:
        """One photo for each seed."""
        register = folder / "register"
        (register / "damaged").mkdir(parents=True)
        (register / "whole").mkdir()
        for photo in self._whole:
            (register / "whole" / photo.name).write_bytes(photo.read_bytes())
        damaged, cut = [], {}
        for seed in seeds:
            ending, data, what = mutated_photo(random.Random(f"photos {seed}"), self._photos)
            path = register / "damaged" / f"{seed}.{ending}"
            path.write_bytes(data)
            damaged.append(path)
            if what.startswith("cut:"):
                cut[path] = int(what.removeprefix("cut:"))
        answered = command(self._identify([self._whole[0], *damaged, self._whole[1]]))
        findings = answered.findings or self._lost_answers(answered, damaged)
        inspected = command(["inspect", str(register), "--layout", "object", "--json"])
        findings += inspected.findings or _lost_photos(inspected, register)
        if not findings:
            findings += self._accepted(answered, inspected, cut, register)
        return findings

    def _identify(self, photos: Sequence[Path]) -> list[str]:
        return ["identify", str(self._bundle), *map(str, photos), "--json"]

    def _lost_answers(self, outcome: Outcome, damaged: Sequence[Path]) -> list[Finding]:
        try:
            answers = json.loads(outcome.out)
        except json.JSONDecodeError:
            return [Finding("lost", f"no answers; exit code {outcome.code}: {outcome.err}")]
        wanted = [str(path) for path in (self._whole[0], *damaged, self._whole[1])]
        if [answer["photo"] for answer in answers] != wanted:
            return [Finding("lost", f"answers of {[answer['photo'] for answer in answers]}")]
        if [answers[0], answers[-1]] != self._answers:
            return [Finding("lost", f"other answers to the whole photos: {answers}")]
        failed = any(answer.get("error") for answer in answers)
        if outcome.code != (2 if failed else 0):
            return [Finding("lost", f"exit code {outcome.code} although an error is {failed}")]
        return []

    def _accepted(
        self, answered: Outcome, inspected: Outcome, cut: dict[Path, int], register: Path
    ) -> list[Finding]:
        """Photos whose end is missing, that are read as other pixels without a word."""
        from mobile_assets.photos import decode

        errors = {a["photo"] for a in json.loads(answered.out) if a.get("error")}
        noted = {problem["path"] for problem in json.loads(inspected.out)["problems"]}
        findings = []
        for path, number in cut.items():
            relative = path.relative_to(register).as_posix()
            if str(path) in errors or relative in noted:
                continue
            whole = path.with_name(f"whole-{path.name}")
            whole.write_bytes(self._photos[number][1])
            if not np.array_equal(np.asarray(decode(path)), np.asarray(decode(whole))):
                findings.append(Finding("accepted", f"{path.name} lacks its end, unnoticed"))
            whole.unlink()
        return findings


def _lost_photos(outcome: Outcome, register: Path) -> list[Finding]:
    """Photos that `inspect` neither counts nor lists."""
    if outcome.code != 0:
        return [Finding("lost", f"inspect ends with {outcome.code}: {outcome.err}")]
    inspection = json.loads(outcome.out)
    left_out = {p["path"] for p in inspection["problems"] if p["kind"] in ("unreadable", "ignored")}
    files = sum(path.is_file() for path in register.rglob("*"))
    if inspection["photos"] + len(left_out) != files:
        text = f"{files} files, {inspection['photos']} photos, left out: {sorted(left_out)}"
        return [Finding("lost", text)]
    return []
