"""What can be said of Core ML variants, which only Apple's systems execute."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.results.schema import Status
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import ArtefactError

CHECKED = "Converted, checked; not executed on this platform."
NOT_CHOSEN = "Not executed: none of the chosen runtimes executes it."
UNCHECKED = "Converted; neither checked nor executed on this platform, for lack of coremltools."


@dataclass(frozen=True)
class StructureCheck:
    """What the structural check of one variant that was not executed found.

    Attributes:
        status: `converted-only`, or `check-failed` where the file is not what the bundle says.
        runtime: What would execute it.
    """

    status: Status
    note: str
    runtime: str


def structural_checks(bundle: Bundle) -> dict[str, StructureCheck]:
    """Checks each variant without executing it, by its name."""
    return {variant.name: _check(bundle, variant) for variant in bundle.info.variants}


def _check(bundle: Bundle, variant: Variant) -> StructureCheck:
    if variant.format != "coreml":
        # LiteRT runs everywhere, so such a variant was left out by choice.
        return StructureCheck("converted-only", NOT_CHOSEN, "litert")
    try:
        from export.coreml.structure import check_coreml
        from mobile_assets.log_suppression import quiet

        # coremltools complains on import that it cannot execute models off macOS.
        with quiet():
            check_coreml(
                bundle.path(variant),
                labels=bundle.labels,
                contract=bundle.info.preprocessing,
                weights=variant.precision,
            )
    except ImportError:
        return StructureCheck("converted-only", UNCHECKED, "coreml")
    except ArtefactError as error:
        note = str(error).replace(str(bundle.folder), "").strip()
        return StructureCheck("check-failed", note, "coreml")
    return StructureCheck("converted-only", CHECKED, "coreml")
