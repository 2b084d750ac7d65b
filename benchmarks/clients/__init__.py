"""Programs that are not ours and must open the exported files: MediaPipe, LiteRT, TensorFlow."""

from __future__ import annotations

from benchmarks.clients.checks import client_checks, with_clients

__all__ = ["client_checks", "with_clients"]
