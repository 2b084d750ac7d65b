"""Damaged bundles: `verify` and `identify` refuse whatever is not byte for byte what was signed."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from folder_mutators import mutate_folder, same_folders
from suite import Command, Finding


class BundleSuite:
    """A signed bundle is changed; a tenth of them fit their own hashes again, but are unsigned."""

    name = "bundles"
    batch = 1

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._materials = Path()
        self._photo = ""

    def open(self, materials: Path, command: Command) -> None:
        """The whole bundle passes."""
        self._materials = materials
        self._photo = str(next((materials / "photos").rglob("*.png")))
        for words in self._words(materials / "bundle"):
            outcome = command(words)
            assert outcome.code == 0, (words, outcome)

    def run(self, seeds: Sequence[int], folder: Path, command: Command) -> list[Finding]:
        """One bundle for each seed."""
        findings = []
        for seed in seeds:
            rng = random.Random(f"bundles {seed}")
            bundle = folder / f"bundle-{seed}"
            shutil.copytree(self._materials / "bundle", bundle)
            what = "; ".join(mutate_folder(rng, bundle) for _ in range(rng.choice((1, 1, 1, 2))))
            fitting = rng.random() < 0.1 and _relisted(bundle)
            unchanged = same_folders(self._materials / "bundle", bundle)
            for words in self._words(bundle):
                outcome = command(words)
                findings += outcome.findings
                if outcome.code == 0 and not unchanged and not fitting:
                    findings.append(Finding("accepted", f"{words[0]}: {what}"))
        return findings

    def _words(self, bundle: Path) -> tuple[list[str], list[str]]:
        trust = ["--trust", str(self._materials / "public.pem")]
        return (
            ["verify", str(bundle), "--json", *trust],
            ["identify", str(bundle), self._photo, "--json", *trust],
        )


def _relisted(bundle: Path) -> bool:
    """Makes sizes and hashes fit, as someone without the key may; whether that was possible."""
    from tampering import relist

    with contextlib.suppress(Exception):  # not every damaged bundle can be described
        relist(bundle)
        (bundle / "signature.json").unlink(missing_ok=True)
        return True
    return False
