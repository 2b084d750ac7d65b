"""What the report says of the exported files: what was done to each, and who executes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmarks.report.html.glossary import Definition
from benchmarks.report.html.styles import swatch
from benchmarks.report.html.table import VARIANT, Cell, Column, Table, TableRow
from benchmarks.results.schema import Row
from export.bundle.delegates import DelegateView, delegate_views, listed
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import DamagedError

_FORMATS = {"tflite": "TFLite", "coreml": "Core ML"}


@dataclass(frozen=True)
class ModelFile:
    """How one file was made; `mark` is its swatch, `facts` its size and tensors."""

    name: str
    mark: Markup
    facts: str
    notes: tuple[str, ...]


def model_files(bundle: Bundle, rows: Sequence[Row], *, main: str) -> list[ModelFile]:
    """What was done to each variant and why, as the bundle tells; `main` first."""
    marks = {row.variant: swatch(row) for row in rows}
    return [
        ModelFile(variant.name, marks.get(variant.name, Markup()), _facts(variant), variant.notes)
        for variant in sorted(bundle.info.variants, key=lambda variant: variant.name != main)
    ]


def _facts(variant: Variant) -> str:
    dtypes = [
        ", ".join(dict.fromkeys(tensor.dtype for tensor in tensors))
        for tensors in (variant.inputs, variant.outputs)
    ]
    return f"{variant.bytes:,} bytes, {dtypes[0]} in, {dtypes[1]} out"


@dataclass(frozen=True)
class Accelerators:
    """The accelerators of one format, and how much of each file they take.

    Attributes:
        table: A line per variant, a column per accelerator.
        refusals: What they do not take; None where all is taken.
        sources: (accelerator, what else is to be known and the document) of each.
    """

    format: str
    table: Table
    refusals: Table | None
    sources: tuple[Definition, ...]


def accelerators_of(bundle: Bundle, rows: Sequence[Row]) -> list[Accelerators]:
    """One entry per format that the bundle has; a package that cannot be parsed is left out."""
    marks = {row.variant: swatch(row) for row in rows}
    by_format: dict[str, dict[str, tuple[DelegateView, ...]]] = {}
    for variant in bundle.info.variants:
        try:
            views = delegate_views(bundle.path(variant))
        except DamagedError:
            continue  # its row says that the check failed
        by_format.setdefault(variant.format, {})[variant.name] = views
    return [_accelerators(_FORMATS[name], views, marks) for name, views in by_format.items()]


def _accelerators(
    format_: str, views: Mapping[str, Sequence[DelegateView]], marks: Mapping[str, Markup]
) -> Accelerators:
    accelerators = {view.name: view for of_variant in views.values() for view in of_variant}
    lines = []
    for variant, of_variant in views.items():
        by_name = {view.name: view for view in of_variant}
        cells = tuple(_coverage(by_name[name]) for name in accelerators)
        lines.append(TableRow(variant, cells, marks.get(variant, Markup())))
    table = Table(
        f"Operations of each {format_} file that each accelerator takes",
        (VARIANT, *(_column(view) for view in accelerators.values())),
        tuple(lines),
    )
    sources = tuple((view.name, f"{view.note} {view.source}.") for view in accelerators.values())
    return Accelerators(format_, table, _refusals(format_, views), sources)


def _refusals(format_: str, views: Mapping[str, Sequence[DelegateView]]) -> Table | None:
    rows = tuple(
        TableRow(variant, (Cell(view.name), Cell(listed(view.refused)), Cell(listed(view.unknown))))
        for variant, of_variant in views.items()
        for view in of_variant
        if view.taken < view.total
    )
    if not rows:
        return None
    titles = ("Accelerator", "Refuses", "Not documented")
    return Table(
        f"Operations of the {format_} files that an accelerator refuses or no document mentions",
        (VARIANT, *(Column(title, kind="words") for title in titles)),
        rows,
    )


def _column(view: DelegateView) -> Column:
    """`GPU (LiteRT delegate)` becomes `GPU` with the software in front of it as a note."""
    name, _, software = view.name.partition(" (")
    notes = (software.removesuffix(")"), view.basis)
    return Column(name, tuple(note for note in notes if note))


def _coverage(view: DelegateView) -> Cell:
    """How many operations of one file an accelerator takes, and of how many nothing is known."""
    unknown, refused = sum(view.unknown.values()), sum(view.refused.values())
    if view.taken == view.total:
        return Cell(f"all {view.total}", (), "good")
    if not view.taken and unknown > refused:
        return Cell("unknown", (f"{refused} refused",) if refused else ())
    notes = (f"{unknown} unknown",) if unknown else ()
    if not view.taken:
        return Cell("none", notes)
    return Cell(f"{view.taken} of {view.total}", notes)
