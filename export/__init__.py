"""From a trained run to a bundle: TFLite and Core ML models, labels, metadata and a model card.

Importing this package is cheap; the converters are imported where they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.variants.options import VARIANTS, ExportOptions

if TYPE_CHECKING:
    from export.bundle.writer import export_bundle as export_bundle

__all__ = ["VARIANTS", "ExportOptions", "export_bundle"]


def __getattr__(name: str) -> Any:
    """Imports `export_bundle` when it is first asked for."""
    if name == "export_bundle":
        from export.bundle.writer import export_bundle

        return export_bundle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
