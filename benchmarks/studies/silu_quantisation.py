"""What 8 bits do to a network with SiLU and squeeze-and-excite, and what the naive way does to it.

    python -m benchmarks.studies.silu_quantisation --out DIR --table benchmarks/studies/silu_quantisation.md

Renders photos, makes weights to begin with, trains EfficientNet-B0 at a small and then at its own
size, exports it, and asks every form of it about the test photos, in `DIR`. What is already there
is kept; `--again` exports and measures anew, but renders and trains nothing that is there.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure.host import describe_host
from benchmarks.studies.export_parity import timed
from benchmarks.studies.silu_quantisation_page import (
    NAIVE,
    REFERENCE,
    Form,
    Gates,
    Published,
    Stage,
    page,
)
from benchmarks.studies.silu_weights import BACKBONE, render, write_start
from mobile_assets.bundle import Bundle, Variant, read_bundle
from mobile_assets.errors import ArtefactError
from mobile_assets.files import size_of, write_text
from train.run import Run, RunMetrics, read_run
from train.versions import created_now, versions

if TYPE_CHECKING:
    from benchmarks.results.measurement import TestPhoto

SIZES = ((128, 8), (224, 6), (224, 6))
"""Sides of the input in pixels and passes over all weights, one training after the other."""

VARIANTS = (
    "tflite-float32",
    "tflite-float16",
    "tflite-int8-weights",
    "tflite-int8",
    "coreml-palette6",
    "coreml-w8a8",
)
ROUNDS = 60

Pixels = NDArray[np.uint8]
Ask = Callable[[Pixels], NDArray[np.float32]]


def trained(out: Path, manifest: Path) -> tuple[Run, tuple[Stage, ...]]:
    """Trains at one size after the other, each beginning with the weights of the one before."""
    weights = out / "start.safetensors"
    if not weights.is_file():
        write_start(weights, manifest)
    stages: list[Stage] = []
    for number, (side, epochs) in enumerate(SIZES, 1):
        folder = out / f"run{number}"
        if not folder.is_dir():
            words = ["train", str(manifest), "--out", str(folder), "--backbone", BACKBONE]
            words += ["--recipe", "whole", "--split", "manifest", "--weights", str(weights)]
            words += ["--input-size", str(side), "--epochs", str(epochs)]
            timed(words, out / f"run{number}.json")
        run = read_run(folder)
        weights = folder / "model.safetensors"
        taken = RunMetrics.read(folder / "metrics.json").cpu_seconds or 0.0
        stages.append(Stage(side=side, epochs=epochs, minutes=round(taken / 60, 1)))
    return run, tuple(stages)


def exported(out: Path, run: Run, photos: Path, *, again: bool) -> Bundle:
    """Exports the variants of the table."""
    folder = out / "bundle"
    if again and folder.is_dir():
        shutil.rmtree(folder)
    if not folder.is_dir():
        words = ["export", str(run.folder), "--photos", str(photos), "--out", str(folder)]
        timed([*words, "--variants", ",".join(VARIANTS)], out / "bundle.json")
    return read_bundle(folder)


def naive_int8(float32: bytes, photos: Pixels) -> bytes:
    """What ai-edge-quantizer's plain static recipe makes of a float32 file.

    Args:
        float32: The TFLite file.
        photos: `[N, H, W, 3]` uint8 calibration photos.
    """
    from ai_edge_quantizer import quantizer, recipe

    from mobile_assets.log_suppression import quiet

    with quiet():
        worker = quantizer.Quantizer(float32, recipe.static_wi8_ai8())
        samples = [{"image": photo[None].astype(np.float32)} for photo in photos]
        ranges = worker.calibrate({"serving_default": samples})
        made = worker.quantize(ranges).quantized_model
    assert made is not None
    return bytes(made)


def ask_tflite(content: bytes) -> Ask:
    """Answers of a TFLite file with float32, uint8 or int8 ends."""
    from export.tflite.convert import interpreter

    runner = interpreter(content, threads=1)
    entry, answer = runner.get_input_details()[0], runner.get_output_details()[0]

    def one(photo: Pixels) -> NDArray[np.float32]:
        values: Any = photo[None].astype(np.float32)
        if entry["dtype"] != np.float32:
            scale, zero = entry["quantization"]
            bounds = np.iinfo(entry["dtype"])
            values = np.round(values / scale + zero).clip(bounds.min, bounds.max)
        runner.set_tensor(entry["index"], values.astype(entry["dtype"]))
        runner.invoke()
        # Of whole numbers none is scaled back: the first place is the same.
        found: NDArray[np.float32] = runner.get_tensor(answer["index"])[0].astype(np.float32)
        return found

    return lambda photos: np.stack([one(photo) for photo in photos])


def ask_variant(bundle: Bundle, variant: Variant) -> Ask:
    """Answers of a variant: of LiteRT, or of Core ML's reference."""
    if variant.format == "tflite":
        return ask_tflite(bundle.path(variant).read_bytes())
    from benchmarks.runtimes.coreml_reference.session import CoreMLReferenceSession

    return CoreMLReferenceSession(bundle.path(variant)).predict


def first_answers(
    asks: dict[str, Ask], photos: tuple[TestPhoto, ...], bundle: Bundle
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64]]:
    """Each form's first answer to each photo, and the right one, `[photos]` class indices."""
    from benchmarks.measure.evaluation_set import decode_chunks
    from benchmarks.results.measurement import Skipped

    found: dict[str, list[NDArray[np.int64]]] = {name: [] for name in asks}
    truth: list[int] = []
    skipped: list[Skipped] = []
    for good, pixels in decode_chunks(photos, bundle.info.preprocessing, skipped):
        truth += [photo.object_index for photo in good]
        for name, ask in asks.items():
            found[name].append(ask(pixels).argmax(axis=1))
    return {name: np.concatenate(parts) for name, parts in found.items()}, np.array(truth)


def gates_of(run: Run, photos: tuple[TestPhoto, ...]) -> Gates:
    """How much the gates differ from photo to photo."""
    import torch
    from torch import Tensor, nn

    from benchmarks.measure.evaluation_set import decode_chunks
    from train.run import load_model

    model = load_model(run)
    seen: dict[str, list[Tensor]] = {}
    for name, module in model.named_modules():
        if name.endswith("se.gate"):

            def note(_: nn.Module, __: Any, gate: Tensor, at: str = name) -> None:
                seen.setdefault(at, []).append(gate.flatten(1))

            module.register_forward_hook(note)
    with torch.inference_mode():
        for _, pixels in decode_chunks(photos, run.info.preprocessing, []):
            model(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
    gates = torch.cat([torch.cat(parts) for parts in seen.values()], dim=1)
    low, middle, high = np.quantile(gates.std(dim=0).numpy(), [0.1, 0.5, 0.9])
    return Gates(
        channels=gates.shape[1],
        mean=float(gates.mean()),
        deviations=(float(middle), float(low), float(high)),
    )


def measured(bundle: Bundle, run: Run, root: Path) -> tuple[tuple[Form, ...], int]:
    """Every form's counts and times, and the number of test photos."""
    from benchmarks.measure.evaluation_set import held_out
    from benchmarks.runtimes.torch_runtime import open_reference
    from benchmarks.studies.head_size import latencies
    from export.quantise.calibration_photos import calibration_photos

    info = bundle.info
    assert info.calibration is not None
    calibration, _ = calibration_photos(
        run, root, wanted=len(info.calibration.photos), seed=info.calibration.seed, say=print
    )
    float32 = bundle.path(info.variant("tflite-float32")).read_bytes()
    files = {v.name: bundle.path(v).read_bytes() for v in info.variants if v.format == "tflite"}
    naive = naive_int8(float32, calibration.pixels)
    files[NAIVE] = naive
    asks: dict[str, Ask] = {REFERENCE: open_reference(run).predict}
    asks |= {variant.name: ask_variant(bundle, variant) for variant in info.variants}
    asks[NAIVE] = ask_tflite(naive)
    answers, truth = first_answers(asks, held_out(run, root)[0], bundle)
    times = dict(zip(files, latencies(list(files.values()), ROUNDS), strict=True))
    sizes = {variant.name: size_of(bundle.path(variant)) for variant in info.variants}
    sizes[NAIVE] = len(naive)
    right = {name: found == truth for name, found in answers.items()}
    reference = right[REFERENCE]
    forms = tuple(
        Form(
            name=name,
            right=int(right[name].sum()),
            same=int((found == answers[REFERENCE]).sum()),
            lost=int((reference & ~right[name]).sum()),
            won=int((~reference & right[name]).sum()),
            bytes=sizes.get(name, 0),
            ms=tuple(times.get(name, ())),
        )
        for name, found in answers.items()
    )
    return forms, len(truth)


def run_all(arguments: argparse.Namespace) -> None:
    """Renders, trains, exports, measures and writes the page."""
    from benchmarks.measure.evaluation_set import validation_photos

    out: Path = arguments.out
    manifest = render(out / "rendered", objects=arguments.objects)
    run, stages = trained(out, manifest)
    root = manifest.parent
    bundle = exported(out, run, root, again=arguments.again)
    forms, photos = measured(bundle, run, root)
    calibration = bundle.info.calibration
    published = Published(
        created=created_now(),
        host=describe_host(),
        versions=versions(),
        objects=run.info.objects,
        train=run.info.photos.train,
        val=run.info.photos.val,
        photos=photos,
        calibration=len(calibration.photos) if calibration else 0,
        val_top1=RunMetrics.read(run.folder / "metrics.json").val_top1 or 0.0,
        stages=stages,
        gates=gates_of(run, validation_photos(run, root, limit=run.info.photos.val)),
        forms=forms,
    )
    published.write(arguments.table.with_suffix(".json"))
    write_text(arguments.table, page(published))


def main(words: list[str] | None = None) -> int:
    """Runs the measurement from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.silu_quantisation", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, required=True, help="folder for photos, runs, bundle")
    parser.add_argument("--table", type=Path, required=True, help="the page to write")
    parser.add_argument("--objects", type=int, default=40, help="default: 40")
    parser.add_argument("--again", action="store_true", help="export and measure anew")
    try:
        run_all(parser.parse_args(words))
    except ArtefactError as error:
        print(f"silu: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
