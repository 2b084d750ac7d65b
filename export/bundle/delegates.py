"""Which operations of an exported file an accelerator takes: measured or documented.

The rules are data, in `delegates.json`: each names the document that it was read from, with its
version. Nothing here says how fast an accelerator is, or that a phone has one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from export.variants.operations import Operation, operations
from mobile_assets.log_suppression import quiet
from mobile_assets.schema import Record

Basis = Literal["measured", "documented", "assumed"]
State = Literal["taken", "refused", "unknown"]

_DATA = Path(__file__).with_name("delegates.json")
_FLOATS = frozenset({"float32", "float16"})


class Rule(Record):
    """What a document says of one accelerator.

    Attributes:
        name: The accelerator, or the software in front of it.
        format: Of the files that it executes.
        basis: `documented` for a list of operations; `assumed` where types alone are documented.
        source: The document, with its version.
        note: What else it says that a reader must know.
        refuses: Why operations are refused, in a phrase.
        unlisted: What is taken of an operation that the document does not name.
        mixed: What is taken of a float operation with 8-bit weights.
        stops: Whether all that follows the first refused operation is refused with it.
        types: Tensor types outside which every operation is refused; empty for no such rule.
        takes: Tensor types by operation.
        unsure: Operations, and types of tensors or weights in them, of which the document says
            nothing that can be relied on.
        kernel_widths: The one width that an operation's kernel may have.
    """

    name: str
    format: Literal["tflite", "coreml"]
    basis: Basis
    source: str = Field(min_length=10)
    note: str
    refuses: str
    unlisted: State
    mixed: State
    stops: bool
    types: tuple[str, ...]
    takes: dict[str, tuple[str, ...]]
    unsure: dict[str, tuple[str, ...]]
    kernel_widths: dict[str, int]

    def judge(self, operation: Operation) -> State:
        """Whether the operation is taken."""
        if self.types and not set(operation.types) <= {*self.types, "dictionary", "string"}:
            return "refused"
        if {*operation.types, *operation.weights} & {*self.unsure.get(operation.name, ())}:
            return "unknown"
        if operation.name not in self.takes:
            return self.unlisted
        if not set(operation.types) <= set(self.takes[operation.name]):
            return "refused"
        width = self.kernel_widths.get(operation.name)
        if width is not None and operation.kernel_width != width:
            return "refused"
        mixed = set(operation.types) <= _FLOATS and {"int8", "int4"} & set(operation.weights)
        return self.mixed if mixed else "taken"


class _Rules(Record):
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class DelegateView:
    """What one accelerator takes of one file.

    Attributes:
        name: The accelerator.
        basis: How it is known.
        source: The document, or what was asked.
        taken: How many operations it takes.
        total: How many the file has.
        refused: Operations that it does not take, with how often.
        unknown: Operations of which nobody says so.
        note: What else is to be known.
    """

    name: str
    basis: Basis
    source: str
    taken: int
    total: int
    refused: dict[str, int]
    unknown: dict[str, int]
    note: str


@cache
def rules() -> tuple[Rule, ...]:
    """All rules, in the order of the table."""
    return _Rules.model_validate_json(_DATA.read_bytes()).rules


def delegate_views(path: Path) -> tuple[DelegateView, ...]:
    """What each accelerator takes of a file.

    Args:
        path: A `.tflite` file or an `.mlpackage` folder.

    Returns:
        For TFLite, XNNPACK as measured with the interpreter comes first, where the installed
        LiteRT can tell.

    Raises:
        DamagedError: The package cannot be parsed.
    """
    ops = operations(path)
    kind = "coreml" if path.is_dir() else "tflite"
    measured = None if kind == "coreml" else _xnnpack(path, ops)
    documented = [_documented(rule, ops) for rule in rules() if rule.format == kind]
    return (*([] if measured is None else [measured]), *documented)


def delegate_table(views: Iterable[tuple[str, Sequence[DelegateView]]]) -> str:
    """A Markdown table of variants by name, with the sources below it."""
    named = [(name, view) for name, of_variant in views for view in of_variant]
    rows = "".join(
        f"| {name} | {view.name} | {view.basis} | {view.taken} of {view.total} | "
        f"{listed(view.refused)} | {listed(view.unknown)} |\n"
        for name, view in named
    )
    notes = {view.name: f"- {view.name}: {view.note} ({view.source})" for _, view in named}
    return (
        "| Variant | Accelerator | Known by | Takes | Refuses | Nobody says |\n"
        f"|---|---|---|---|---|---|\n{rows}\n" + "\n".join(notes.values())
    )


def _documented(rule: Rule, ops: Sequence[Operation]) -> DelegateView:
    states = [rule.judge(operation) for operation in ops]
    if rule.stops and "refused" in states:
        at = states.index("refused")
        states[at:] = ["refused"] * (len(states) - at)
    note = f"{rule.note} Refused: {rule.refuses}." if rule.refuses else rule.note
    return _view(rule.name, rule.basis, rule.source, ops, states, note)


def _view(
    name: str,
    basis: Basis,
    source: str,
    ops: Sequence[Operation],
    states: Sequence[State],
    note: str,
) -> DelegateView:
    def counted(state: State) -> dict[str, int]:
        return dict(Counter(op.label for op, is_ in zip(ops, states, strict=True) if is_ == state))

    taken = states.count("taken")
    refused, unknown = counted("refused"), counted("unknown")
    return DelegateView(name, basis, source, taken, len(ops), refused, unknown, note)


def _xnnpack(path: Path, ops: Sequence[Operation]) -> DelegateView | None:
    """Asks LiteRT's interpreter; None if it does not list its operations."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
    try:
        listed = interpreter._get_ops_details()
        left = set(range(len(ops))) - delegated(listed)
    except (AttributeError, KeyError, TypeError):
        return None  # the list is not part of LiteRT's public interface
    states: list[State] = ["refused" if n in left else "taken" for n in range(len(ops))]
    note = "Placement by this machine's build of LiteRT; a phone's build may differ."
    return _view("CPU (XNNPACK)", "measured", _litert(), ops, states, note)


def delegated(listed: Sequence[Mapping[str, Any]]) -> set[int]:
    """Indices of the operations that a delegate took, of an interpreter's list of operations.

    After delegation the list holds the graph's own operations and then one `DELEGATE` per piece
    that was handed over: what lies between its inputs and its outputs.
    """

    def numbers(op: Mapping[str, Any], key: str) -> list[int]:
        return [int(number) for number in op[key]]

    own = [op for op in listed if op["op_name"] != "DELEGATE"]
    maker = {tensor: index for index, op in enumerate(own) for tensor in numbers(op, "outputs")}
    taken: set[int] = set()
    for piece in (op for op in listed if op["op_name"] == "DELEGATE"):
        inputs, waiting = set(numbers(piece, "inputs")), numbers(piece, "outputs")
        while waiting:
            tensor = waiting.pop()
            index = maker.get(tensor)
            if tensor not in inputs and index is not None and index not in taken:
                taken.add(index)
                waiting.extend(numbers(own[index], "inputs"))
    return taken


def _litert() -> str:
    from importlib.metadata import version

    return f"ai-edge-litert {version('ai-edge-litert')}, on this machine"


def listed(counts: dict[str, int]) -> str:
    """The first four kinds of operations with their counts, and how many more there are."""
    shown = [f"{count} × {name}" for name, count in list(counts.items())[:4]]
    more = sum(list(counts.values())[4:])
    return ", ".join(shown) + (f" and {more} more" if more else "") or "–"
