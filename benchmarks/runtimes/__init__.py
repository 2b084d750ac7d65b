"""What executes a variant, behind one interface. Importing this loads no runtime."""

from __future__ import annotations

from benchmarks.runtimes.base import Pixels, Probabilities, Runtime, Session, runtime_for

__all__ = ["Pixels", "Probabilities", "Runtime", "Session", "runtime_for"]
