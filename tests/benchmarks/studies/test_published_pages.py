"""Every published page is what its raw rows give, and shows a number that is changed in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.studies.regenerate import STUDIES
from benchmarks.studies.study import FOLDER, Study

BY_NAME = {study.NAME: study for study in STUDIES}


def rows_of(study: type[Study]) -> Any:
    return json.loads(study.published().with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "study",
    [
        pytest.param(study, id=name, marks=pytest.mark.slow if name == "robustness" else ())
        for name, study in BY_NAME.items()
    ],
)
def test_page_is_regenerated_from_its_rows(study: type[Study]) -> None:
    published = study.read(study.published().with_suffix(".json"))
    assert published.page() == study.published().read_text(encoding="utf-8")
    assert published.model_dump(mode="json", exclude_unset=True) == rows_of(study)
    assert all(target.met is not None for target in published.targets())


def test_no_page_is_left_out() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} - {"README"} == set(BY_NAME)
    assert {path.stem for path in FOLDER.glob("*.json")} == set(BY_NAME)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("domain_shift", "runs 0 top1", None),
        ("eth80", "runs 0 top1", None),
        ("export_parity", "rows 4 lost", 99),
        ("harness_overhead", "photos", 1),
        ("head_size", "heads 2 int8_bytes", 1_000_000),
        ("photo_fitness", "rows 9 photos", 50_000),
        ("recipe_ablation", "results 1 asked 0 right", None),
        pytest.param("robustness", "rows 3 right", None, marks=pytest.mark.slow),
        ("scaling", "stages 5 seconds", 1.0),
        ("silu_quantisation", "forms 3 won", 99),
        ("throughput", "rates 2 drift", 0.5),
    ],
)
def test_a_changed_number_is_seen(name: str, path: str, value: float | None) -> None:
    rows = rows_of(BY_NAME[name])
    *parents, last = path.split()
    record: Any = rows
    for key in parents:
        record = record[int(key) if key.isdigit() else key]
    # Counts by object are one text: the first of them becomes 0.
    record[last] = "0 " + record[last].split(" ", 1)[1] if value is None else value
    text = BY_NAME[name].published().read_text(encoding="utf-8")
    assert BY_NAME[name].model_validate(rows).page() != text
