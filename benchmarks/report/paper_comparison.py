"""The paper's Table 3 beside our rows: where the two correspond, and where they do not."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.results.paper_baselines import OBJECTS, PAPER_MODELS, Table3Row, table3
from benchmarks.results.schema import REFERENCE_VARIANT, Results, Row
from train.recipes import PAPER


@dataclass(frozen=True)
class PaperComparison:
    """Our full-precision row, the paper's of the same threshold, and in what they differ."""

    row: Row
    paper: Table3Row
    differs: tuple[str, ...]


def paper_comparisons(results: Results) -> tuple[PaperComparison, ...]:
    """The paper beside our reference of every threshold and backbone that it has a number for.

    It measured full precision only. A Lite network is set beside the full one of its number, which
    is its nearest; thresholds outside 3 to 6 and other networks are left out.
    """
    measured = (row for row in results.rows if row.status == "measured")
    paired = ((row, _nearest(row)) for row in measured if row.variant == REFERENCE_VARIANT)
    return tuple(
        PaperComparison(row, paper, _differs(row, paper)) for row, paper in paired if paper
    )


def _nearest(row: Row) -> Table3Row | None:
    backbone = row.backbone.split(".")[0].replace("_lite", "_b")
    names = [model.name for model in PAPER_MODELS if model.backbone == backbone]
    same_threshold = (theirs for theirs in table3() if theirs.min_photos == row.min_photos)
    return next((theirs for theirs in same_threshold if theirs.model in names), None)


def _differs(row: Row, paper: Table3Row) -> tuple[str, ...]:
    differences: list[str] = []
    if row.objects != OBJECTS[row.min_photos]:
        differences.append(
            f"another register: {row.register_name} with {row.objects:,} objects, "
            f"the paper's has {OBJECTS[row.min_photos]:,}"
        )
    if "lite" in row.backbone:
        differences.append(f"another backbone: {row.backbone}, the paper's is {paper.model}")
    if row.recipe != PAPER.name:
        differences.append(f"another recipe: {row.recipe or 'unknown'}")
    return tuple(differences)
