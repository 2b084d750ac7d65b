"""What the report says of the exported files: what was done to each, and who executes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.report.html.styles import swatch
from benchmarks.results.schema import Row
from export.bundle.delegates import DelegateView, delegate_views, listed
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import DamagedError

_FORMATS = {"tflite": "TFLite", "coreml": "Core ML"}

Reach = Literal["all", "some", "none", "unknown"]


@dataclass(frozen=True)
class ModelFile:
    """How one file was made; `mark` is its swatch, `facts` its size and tensors."""

    name: str
    mark: str
    facts: str
    notes: tuple[str, ...]
    opened: bool


def model_files(bundle: Bundle, rows: Sequence[Row], *, main: str) -> list[ModelFile]:
    """What was done to each variant and why, as the bundle tells; that of `main` is open.

    Args:
        bundle: The bundle.
        rows: Rows of its variants, for their marks.
        main: Name of the variant that the report is about.
    """
    marks = _marks(rows)
    return [
        ModelFile(
            variant.name,
            marks.get(variant.name, ""),
            _facts(variant),
            variant.notes,
            variant.name == main,
        )
        for variant in bundle.info.variants
    ]


def _facts(variant: Variant) -> str:
    ends = [", ".join(dict.fromkeys(t.dtype for t in s)) for s in (variant.inputs, variant.outputs)]
    return f"{variant.bytes:,} bytes, {ends[0]} in, {ends[1]} out"


@dataclass(frozen=True)
class DelegateCoverage:
    """How many operations of one file an accelerator takes: `60 of 68`, and what is not known.

    `reach` is `unknown` where nothing is known to be taken but not all is refused.
    """

    words: str
    unknown: str
    reach: Reach


@dataclass(frozen=True)
class Accelerators:
    """The accelerators of one format, and how much of each file they take.

    Attributes:
        format: Such as `TFLite`.
        heads: (name, software in front of it, how it is known) of each accelerator.
        lines: (mark, variant, a cell per accelerator).
        refusals: (variant, accelerator, refused, nobody says) where not all is taken.
        sources: (accelerator, what else is to be known, the document).
    """

    format: str
    heads: tuple[tuple[str, str, str], ...]
    lines: tuple[tuple[str, str, tuple[DelegateCoverage, ...]], ...]
    refusals: tuple[tuple[str, str, str, str], ...]
    sources: tuple[tuple[str, str, str], ...]


def accelerators_of(bundle: Bundle, rows: Sequence[Row]) -> list[Accelerators]:
    """One entry per format that the bundle has; a package that cannot be parsed is left out."""
    marks = _marks(rows)
    found: dict[str, dict[str, tuple[DelegateView, ...]]] = {}
    for variant in bundle.info.variants:
        try:
            views = delegate_views(bundle.path(variant))
        except DamagedError:
            continue  # its row says that the check failed
        found.setdefault(variant.format, {})[variant.name] = views
    return [_accelerators(_FORMATS[format_], views, marks) for format_, views in found.items()]


def _accelerators(
    format_: str, views: Mapping[str, Sequence[DelegateView]], marks: Mapping[str, str]
) -> Accelerators:
    known = {view.name: view for of_variant in views.values() for view in of_variant}
    lines = []
    for variant, of_variant in views.items():
        own = {view.name: view for view in of_variant}
        cells = tuple(_reached(own[name]) for name in known)
        lines.append((marks.get(variant, ""), variant, cells))
    return Accelerators(
        format_,
        tuple((*_split(view.name), view.basis) for view in known.values()),
        tuple(lines),
        tuple(
            (variant, view.name, listed(view.refused), listed(view.unknown))
            for variant, of_variant in views.items()
            for view in of_variant
            if view.taken < view.total
        ),
        tuple((view.name, view.note, view.source) for view in known.values()),
    )


def _reached(view: DelegateView) -> DelegateCoverage:
    unknown, refused = sum(view.unknown.values()), sum(view.refused.values())
    if view.taken == view.total:
        return DelegateCoverage(f"all {view.total}", "", "all")
    if not view.taken and unknown > refused:
        return DelegateCoverage("unknown", f"{refused} refused" if refused else "", "unknown")
    said = f"{unknown} unknown" if unknown else ""
    if not view.taken:
        return DelegateCoverage("none", said, "none")
    return DelegateCoverage(f"{view.taken} of {view.total}", said, "some")


def _split(name: str) -> tuple[str, str]:
    """`GPU (LiteRT delegate)` as `GPU` and `LiteRT delegate`, for the head of a narrow column."""
    short, _, more = name.partition(" (")
    return short, more.removesuffix(")")


def _marks(rows: Sequence[Row]) -> dict[str, str]:
    return {row.variant: swatch(row) for row in rows}
