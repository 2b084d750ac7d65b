"""What can be said of Core ML variants, which only Apple's systems execute."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.results import Status
from benchmarks.runtimes import runtime_for
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import ArtefactError

CHECKED = "Converted, checked; not executed on this platform."
UNCHECKED = "Converted; neither checked nor executed on this platform, for lack of coremltools."


@dataclass(frozen=True)
class Check:
    """What the structural check of one package found."""

    status: Status
    note: str


def structural_checks(bundle: Bundle) -> dict[str, Check]:
    """Checks each variant that no runtime here executes, by its name."""
    return {
        variant.name: _check(bundle, variant)
        for variant in bundle.info.variants
        if runtime_for(variant) is None
    }


def _check(bundle: Bundle, variant: Variant) -> Check:
    try:
        from export.coreml_check import check_coreml
        from mobile_assets.quiet import quiet

        # coremltools complains on import that it cannot execute models off macOS.
        with quiet():
            check_coreml(
                bundle.path(variant),
                labels=bundle.labels,
                contract=bundle.info.preprocessing,
                weights=variant.precision,
            )
    except ImportError:
        return Check("converted-only", UNCHECKED)
    except ArtefactError as error:
        return Check("check-failed", str(error).replace(str(bundle.folder), "").strip())
    return Check("converted-only", CHECKED)
