"""The runtime `coreml-reference`: executes Core ML packages in torch, on any system.

It follows Core ML's documented semantics operation by operation. It is a reference that says what
the program of a package computes, and never Core ML itself: a phone's kernels may add in another
order, fuse operations or keep intermediate values in another precision.
"""

from __future__ import annotations

from benchmarks.runtimes.coreml_reference.session import (
    RUNTIMES,
    CoreMLReferenceRuntime,
    CoreMLReferenceSession,
)

__all__ = ["RUNTIMES", "CoreMLReferenceRuntime", "CoreMLReferenceSession"]
