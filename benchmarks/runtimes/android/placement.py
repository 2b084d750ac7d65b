"""Which delegate really executed the graph, as far as the runtime's own log tells."""

from __future__ import annotations

from benchmarks.results.row_fields import Placement
from benchmarks.runtimes.android.benchmark_model import Delegate, Log


def delegate_used(
    log: Log, requested: Delegate, profiled: Log | None = None
) -> tuple[str, Placement | None]:
    """What really executed the graph, in words, and the placement behind it.

    Args:
        profiled: A call with profiling, which names the operations left to the interpreter.
    """
    name = {"xnnpack": "XNNPACK", "gpu": "GPU"}[requested]
    if log.refused is not None:
        return f"none: the {log.refused} delegate could not be applied", None
    pieces = [piece for piece in log.taken if piece.taken]
    if not pieces:
        return f"none logged, so the processor's plain kernels; {name} was asked for", None
    # Every later delegate counts the nodes that are there then, so only the first one's total is
    # the graph's own.
    description = " then ".join(
        f"{piece.delegate} {piece.taken} of {piece.total} operations in "
        f"{piece.partitions} piece{'s' if piece.partitions != 1 else ''}"
        for piece in pieces
    )
    if all(piece.delegate != name for piece in pieces):
        description = f"not {name}, which was asked for: {description}"
    first = pieces[0]
    missing = first.total - first.taken
    remaining = profiled.left if profiled is not None and len(pieces) == 1 else {}
    if sum(remaining.values()) != missing:
        remaining = {"not named": missing} if missing else {}
    return description, Placement(
        delegate=first.delegate,
        taken=first.taken,
        total=first.total,
        left=remaining,
        partitions=first.partitions,
    )
