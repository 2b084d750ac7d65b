"""Damaged runs and kept states: refused, or without any influence on the result."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from byte_mutators import BYTE_MUTATORS
from folder_mutators import mutate_folder, same_folders
from materials import training_words
from suite import Command, Finding

HASHED = ("labels.json", "split.json", "model.safetensors")
"""Files that `run.json` knows by their hash: a change of any must be refused."""


class RunSuite:
    """`evaluate` of a run that was changed."""

    name = "runs"
    batch = 1

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._materials = Path()

    def open(self, materials: Path, command: Command) -> None:
        """The whole run passes."""
        self._materials = materials
        outcome = command(self._words(materials / "run"))
        assert outcome.code == 0, outcome

    def run(self, seeds: Sequence[int], folder: Path, command: Command) -> list[Finding]:
        """One run for each seed."""
        findings = []
        whole = self._materials / "run"
        for seed in seeds:
            rng = random.Random(f"runs {seed}")
            run = folder / f"run-{seed}"
            shutil.copytree(whole, run)
            what = mutate_folder(rng, run)
            outcome = command(self._words(run))
            findings += outcome.findings
            changed = [name for name in HASHED if _document(run / name) != _document(whole / name)]
            if outcome.code == 0 and changed and not same_folders(whole, run):
                findings.append(Finding("accepted", what))
        return findings

    def _words(self, run: Path) -> list[str]:
        photos = str(self._materials / "photos")
        return [
            "evaluate", str(run), "--photos", photos, "--no-figures", "--json",
            "--resamples", "10", "--latency-runs", "1",
        ]  # fmt: skip


def _document(path: Path) -> object:
    """What a file says, however its JSON is spelled; None where it cannot be the run's."""
    if not path.is_file() or path.stat().st_size > 1_000_000_000:
        return None
    content = path.read_bytes()
    if path.suffix != ".json":
        return content
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if path.name == "split.json" and isinstance(document, dict):
        # What a photo's entry leaves out is that it was seen.
        with contextlib.suppress(TypeError, KeyError):
            document["photos"] = [{"seen": True} | photo for photo in document["photos"]]
    return document


class CheckpointSuite:
    """A broken-off training whose kept state was damaged ends with the uninterrupted result."""

    name = "checkpoints"
    batch = 1

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._materials = Path()
        self._wanted = ""

    def open(self, materials: Path, command: Command) -> None:
        """The result without interruption."""
        from mobile_assets.files import sha256_file

        self._materials = materials
        with tempfile.TemporaryDirectory(prefix="artefact-id-fuzz-") as scratch:
            out = Path(scratch) / "trained"
            outcome = command(training_words(materials, out))
            assert outcome.code == 0, outcome
            self._wanted = sha256_file(out / "model.safetensors")

    def run(self, seeds: Sequence[int], folder: Path, command: Command) -> list[Finding]:
        """One damaged state for each seed."""
        from mobile_assets.files import sha256_file

        findings = []
        for seed in seeds:
            rng = random.Random(f"checkpoints {seed}")
            partial = folder / "trained.partial"
            shutil.copytree(self._materials / "trained.partial", partial)
            path = rng.choice(sorted(path for path in partial.rglob("*") if path.is_file()))
            mutator = rng.choice(BYTE_MUTATORS)
            path.write_bytes(mutator(rng, path.read_bytes()))
            outcome = command(training_words(self._materials, folder / "trained"))
            findings += outcome.findings
            if outcome.code == 0:
                result = sha256_file(folder / "trained" / "model.safetensors")
                if result != self._wanted:
                    findings.append(Finding("accepted", f"{mutator.__name__} in {path.name}"))
            shutil.rmtree(folder / "trained", ignore_errors=True)
        return findings
