"""The harness on a tiny real network, exported for real; and on variants that are broken."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from patterns import CONTRACT, OBJECTS, QUICK, VIEWS
from pydantic import ValidationError
from safetensors.torch import load_file
from tampering import replaced

from benchmarks.measure.evaluation_set import exclude_training_photos
from benchmarks.measure.result_rows import reference_point
from benchmarks.pipeline.benchmark import BenchmarkOptions, run_benchmark
from benchmarks.report.csv_tables import CSV_COLUMNS, csv_table
from benchmarks.report.formatting import percent, signless
from benchmarks.report.markdown import markdown_report
from benchmarks.results.measurement import BenchmarkCase, TestPhoto
from benchmarks.results.schema import Results, Row
from benchmarks.runtimes.litert_runtime import open_litert
from mobile_assets.bundle import Bundle, Variant, hash_files, read_bundle
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import sha256_bytes, sha256_file, sha256_path, size_of
from mobile_assets.labels import LabelMap
from train.run import Run

HEAD = "head.weight"


@pytest.fixture(scope="module")
def case(pattern_case: BenchmarkCase) -> BenchmarkCase:
    return pattern_case


@pytest.fixture(scope="module")
def out(case: BenchmarkCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of one whole benchmark, speed aside."""
    folder = tmp_path_factory.mktemp("out") / "benchmark"
    point = reference_point(case.run, name="floor", photos=60, top1=0.5, note="Of a test.")
    run_benchmark([case], folder, options=QUICK, extra_rows=[point])
    return folder


@pytest.fixture(scope="module")
def results(out: Path) -> Results:
    return Results.read(out / "results.json")


def row_of(results: Results, variant: str) -> Row:
    return next(row for row in results.rows if row.variant == variant)


def altered(bundle: Bundle, folder: Path, content: bytes, labels: LabelMap | None = None) -> Bundle:
    """A bundle of another float32 file alone, perhaps with other labels."""
    made = replaced(bundle, folder, {"tflite-float32": content}, labels)
    made.info.model_copy(update={"variants": made.info.variants[:1]}).write(folder / "bundle.json")
    return read_bundle(folder)


def content_of(bundle: Bundle) -> bytes:
    return bundle.path(bundle.info.variant("tflite-float32")).read_bytes()


def with_head(bundle: Bundle, run: Run, value: float) -> bytes:
    """The file with every weight of the last layer overwritten."""
    trained = load_file(run.folder / "model.safetensors")[HEAD]
    weights = (trained / run.info.temperature.value).numpy().astype("<f4")  # as it is exported
    content, old = content_of(bundle), weights.tobytes()
    assert content.count(old) == 1
    return content.replace(old, np.full_like(weights, value).tobytes())


def measured_row(case: BenchmarkCase, bundle: Bundle, out: Path) -> Row:
    measured = run_benchmark([replace(case, bundle=bundle)], out, options=QUICK)
    return row_of(measured, "tflite-float32")


def test_healthy_variants_answer_like_the_reference(results: Results) -> None:
    reference, exact = row_of(results, "torch-float32"), row_of(results, "tflite-float32")
    assert reference.runtime == "torch"
    assert reference.top1 > 0.8, "the tiny network must be worth comparing with"
    assert (reference.agreement, reference.drop_points) == (1.0, 0.0)
    assert exact.agreement == 1.0
    assert exact.drop_points == 0.0
    assert exact.drop_ci95 == (0.0, 0.0)
    assert exact.top1 == reference.top1
    assert exact.max_probability_drift < 1e-4
    small = row_of(results, "tflite-int8")
    assert small.agreement >= 0.9
    assert 0 < small.max_probability_drift < 0.5


def test_rows_say_what_was_measured(results: Results, case: BenchmarkCase) -> None:
    row = row_of(results, "tflite-int8")
    assert (row.register_name, row.min_photos, row.seed) == ("patterns", 6, 0)
    assert (row.photos, row.objects, row.unseen_photos) == (OBJECTS * 6, OBJECTS, 0)
    assert row.top1_ci95[0] < row.top1 <= row.top1_ci95[1]
    assert row.top1 <= (row.top3 or 0) <= (row.top5 or 0) <= (row.top10 or 0) == 1.0
    assert [b.photos_per_object for b in row.by_photos] == [VIEWS]
    variant = case.bundle.info.variant("tflite-int8")
    assert row.custody.variant_sha256 == sha256_path(case.bundle.path(variant))
    assert row.custody.bundle_sha256 == sha256_file(case.bundle.folder / "bundle.json")
    assert row.custody.model_sha256 == case.run.info.model_sha256
    assert row.custody.test_photos_sha256 == results.test_sets[0].sha256
    assert row.bytes == size_of(case.bundle.path(variant))
    assert results.test_sets[0].photos == OBJECTS * 6
    assert row_of(results, "floor").status == "given"


def test_results_are_read_back_as_they_were_written(results: Results, out: Path) -> None:
    text = (out / "results.json").read_text(encoding="utf-8")
    assert results.text == text
    value = json.loads(text)
    assert list(value)[:4] == ["schema", "created", "host", "versions"]
    assert value["rows"][0]["register"] == "patterns"
    assert "NaN" not in text
    assert str(out.parent) not in text


def test_results_refuse_what_they_do_not_know(results: Results, out: Path, tmp_path: Path) -> None:
    value = json.loads((out / "results.json").read_text(encoding="utf-8"))
    path = tmp_path / "results.json"
    path.write_text(json.dumps(value | {"schema": 2}))
    with pytest.raises(DamagedError, match="schema version 2"):
        Results.read(path)
    value["rows"][0]["top2"] = 0.5
    path.write_text(json.dumps(value))
    with pytest.raises(DamagedError, match="top2"):
        Results.read(path)
    with pytest.raises(DamagedError, match="is missing"):
        Results.read(tmp_path / "none.json")
    with pytest.raises(ValidationError):
        Row.model_validate(row_of(results, "tflite-int8").model_dump() | {"top1": float("nan")})


def test_tables_hold_every_row(results: Results, out: Path) -> None:
    lines = list(csv.DictReader(io.StringIO((out / "results.csv").read_text(encoding="utf-8"))))
    assert len(lines) == len(results.rows)
    assert set(lines[0]) == set(CSV_COLUMNS)
    small = next(line for line in lines if line["variant"] == "tflite-int8")
    assert float(small["top1"]) == row_of(results, "tflite-int8").top1
    assert next(line for line in lines if line["variant"] == "floor")["agreement"] == ""
    assert csv_table(results) == (out / "results.csv").read_text(encoding="utf-8")
    text = markdown_report(results)
    assert all(f"| {row.variant}" in text for row in results.rows)
    assert re.search(r"\| floor \|.* Of a test\.", text)


def test_numbers_are_not_rounded_to_what_they_are_not() -> None:
    assert percent(1.0) == "100.0 %"
    assert percent(0.99996) == "99.99 %"
    assert percent(0.0) == "0.0 %"
    assert percent(None) == "–"
    assert [signless(v) for v in (0.31, -0.24, 0.0, -0.04, 10.0)] == [
        "0.3",
        "−0.2",
        "0.0",
        "0.0",
        "10.0",
    ]


def test_labels_in_the_file_must_be_those_beside_it(case: BenchmarkCase, tmp_path: Path) -> None:
    entries = [(x.object_id, x.collection, x.title, x.photos) for x in case.bundle.labels.labels]
    shifted = LabelMap.of([*entries[1:], entries[0]])
    broken = altered(case.bundle, tmp_path / "bundle", content_of(case.bundle), shifted)
    with pytest.raises(DamagedError, match="labels inside"):
        measured_row(case, broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_zeroed_weights_are_noticed(case: BenchmarkCase, tmp_path: Path) -> None:
    content = with_head(case.bundle, case.run, 0.0)
    broken = altered(case.bundle, tmp_path / "bundle", content)
    row = measured_row(case, broken, tmp_path / "out")
    assert row.top1 == pytest.approx(1 / OBJECTS)  # always the first object
    assert (row.drop_points or 0) > 50
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Needs attention" in text
    assert "Faithful" not in text


def test_answers_that_are_no_numbers_are_counted(case: BenchmarkCase, tmp_path: Path) -> None:
    content = with_head(case.bundle, case.run, float("nan"))
    broken = altered(case.bundle, tmp_path / "bundle", content)
    row = measured_row(case, broken, tmp_path / "out")
    assert row.invalid_answers == row.photos == OBJECTS * 6
    assert (row.top1, row.top10, row.agreement) == (0.0, 0.0, 0.0)
    assert row.max_probability_drift is None


def test_a_core_ml_package_that_is_none_is_told(case: BenchmarkCase, tmp_path: Path) -> None:
    package = Variant(
        name="coreml-float16",
        file="models/artefact-id.float16.mlpackage",
        format="coreml",
        precision="float16",
        bytes=5,
        sha256=sha256_bytes(f"model.bin\0{sha256_bytes(b'wrong')}\n".encode()),
        inputs=(),
        outputs=(),
    )
    whole = altered(case.bundle, tmp_path / "bundle", content_of(case.bundle))
    folder = whole.folder / package.file
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"wrong")
    variants = (*whole.info.variants, package)
    files = hash_files(whole.folder)
    info = whole.info.model_copy(update={"variants": variants, "files": files})
    info.write(whole.folder / "bundle.json")
    broken = read_bundle(whole.folder)
    measured = run_benchmark([replace(case, bundle=broken)], tmp_path / "out", options=QUICK)
    row = row_of(measured, "coreml-float16")
    assert row.status == "check-failed"
    assert "not a Core ML package" in (row.note or "")
    assert (row.top1, row.agreement, row.latency_ms, row.bytes) == (None, None, None, 5)


def test_unreadable_photos_are_counted_not_dropped(case: BenchmarkCase, tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.jpg", tmp_path / "text.jpg"
    empty.write_bytes(b"")
    text.write_text("no picture")
    bad = [TestPhoto(path, 0, case.run.labels[0].object_id, "", True) for path in (empty, text)]
    mixed = (bad[0], *case.test_photos, bad[1])
    measured = run_benchmark([replace(case, test_photos=mixed)], tmp_path / "out", options=QUICK)
    assert measured.rows[0].photos == len(case.test_photos)
    listed = {photo.path.split("/")[-1]: photo.reason for photo in measured.test_sets[0].unreadable}
    assert set(listed) == {"empty.jpg", "text.jpg"}
    assert "empty" in listed["empty.jpg"]
    assert "empty.jpg" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="No test photo is left"):
        run_benchmark([replace(case, test_photos=tuple(bad))], tmp_path / "no", options=QUICK)


def test_photos_of_objects_unseen_in_training_stand_apart(
    case: BenchmarkCase, tmp_path: Path
) -> None:
    first = case.run.labels[0].object_id
    photos = tuple(replace(p, seen=p.object_id != first) for p in case.test_photos)
    measured = run_benchmark([replace(case, test_photos=photos)], tmp_path / "out", options=QUICK)
    row = row_of(measured, "tflite-float32")
    assert (row.photos, row.unseen_photos) == ((OBJECTS - 1) * 6, 6)
    everything = run_benchmark([case], tmp_path / "all", options=QUICK)
    assert row.top1_with_unseen == row_of(everything, "tflite-float32").top1


def test_training_photos_are_left_out_whatever_their_names(
    case: BenchmarkCase, tmp_path: Path
) -> None:
    training, validation = case.run.split.of("train")[0], case.run.split.of("val")[0]
    copies = []
    for number, entry in enumerate((training, validation)):
        path = tmp_path / f"copy{number}.png"
        shutil.copy(case.photos / entry.path, path)
        copies.append(TestPhoto(path, 0, entry.object_id, "", True))
    kept, left_out = exclude_training_photos((*case.test_photos, *copies), case.run)
    assert kept == case.test_photos
    assert [skipped.reason for skipped in left_out] == [
        "the same file as a training photo",
        "the same file as a validation photo",
    ]
    mixed = replace(case, test_photos=(*case.test_photos, *copies))
    measured = run_benchmark([mixed], tmp_path / "out", options=QUICK)
    assert measured.rows[0].photos == len(case.test_photos)
    assert len(measured.test_sets[0].in_training) == 2


def test_the_output_appears_whole_or_not_at_all(case: BenchmarkCase, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="--force"):
        run_benchmark([case], out, options=QUICK)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    run_benchmark([case], out, options=replace(QUICK, force=True, limit=7))
    names = {"results.json", "results.csv", "results.md", "report.html"}
    assert {p.name for p in out.iterdir()} == names
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert Results.read(out / "results.json").rows[0].photos == 7


def test_several_thresholds_give_one_table(case: BenchmarkCase, tmp_path: Path) -> None:
    info = case.run.info.model_copy(update={"min_photos": 3})
    lower = replace(case, run=replace(case.run, info=info))
    done: list[tuple[str, int, int]] = []
    measured = run_benchmark(
        [case, lower],
        tmp_path / "out",
        options=replace(QUICK, limit=20),
        progress=lambda *step: done.append(step),
    )
    assert [(t.min_photos, t.photos) for t in measured.test_sets] == [(6, 20), (3, 20)]
    assert done[-1][1:] == (20, 20)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Accuracy by threshold" in text


@pytest.mark.parametrize("wrong", [{"latency_runs": 0}, {"threads": ()}, {"limit": 0}])
def test_options_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        BenchmarkOptions(**wrong)  # type: ignore[arg-type]


def test_files_that_do_not_fit_are_refused(case: BenchmarkCase, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no variant"):
        open_litert(case.bundle, "tflite-int4")
    broken = altered(case.bundle, tmp_path / "cut", content_of(case.bundle)[:2000])
    with pytest.raises(DamagedError, match="cannot be opened"):
        open_litert(broken, "tflite-float32")
    whole = altered(case.bundle, tmp_path / "size", content_of(case.bundle))
    contract = CONTRACT.model_copy(update={"height": 96})
    other = replace(whole, info=whole.info.model_copy(update={"preprocessing": contract}))
    with pytest.raises(DamagedError, match="96"):
        open_litert(other, "tflite-float32")
