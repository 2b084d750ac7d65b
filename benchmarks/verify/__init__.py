"""`artefact-id verify`: whether a bundle is whole, and answers as it should here."""

from __future__ import annotations

from benchmarks.verify.checks import Check, Verification
from benchmarks.verify.verify import verify_bundle

__all__ = ["Check", "Verification", "verify_bundle"]
