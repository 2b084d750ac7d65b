r"""What 8 bits do to a network with SiLU and squeeze-and-excite, and what the naive way does to it.

    python -m benchmarks.studies.silu_quantisation --out DIR \
        --table benchmarks/studies/silu_quantisation.md

Renders photos, makes weights to begin with, trains EfficientNet-B0 at a small and then at its own
size, exports it, and asks every form of it about the test photos, in `DIR`. What is already there
is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.cluster_bootstrap import Estimate
from benchmarks.studies.exported_forms import (
    ObjectFlips,
    flips_by_object,
    percentage,
    points_lost,
)
from benchmarks.studies.silu_weights import BACKBONE, render, write_start
from benchmarks.studies.study import Study
from benchmarks.studies.study_statistics import Target, spread
from benchmarks.studies.timed_command import run_timed
from mobile_assets.bundle import Bundle, Variant, read_bundle
from mobile_assets.files import size_of
from mobile_assets.schema import Record
from train.run import Run, read_run

if TYPE_CHECKING:
    from benchmarks.results.measurement import TestPhoto

SIZES = ((128, 8), (224, 6), (224, 6))
"""Sides of the input in pixels and passes over all weights, one training after the other."""

REFERENCE = "torch"
BASE = "tflite-float32"
NAIVE = "naive int8"
VARIANTS = (
    BASE,
    "tflite-float16",
    "tflite-int8-weights",
    "tflite-int8",
    "coreml-palette6",
    "coreml-w8a8",
)
ROUNDS = 60

LARGEST_DROP = {"tflite-int8": 1.0}
"""Target: drop in points at most."""

LEAST_TOP1 = 85.0
"""Target: top-1 of the network in per cent, without which there is little to lose."""

Pixels = NDArray[np.uint8]
Predictor = Callable[[Pixels], NDArray[np.float32]]


class FormCounts(Record):
    """One form of the network.

    Attributes:
        same: Photos with the network's first answer.
        lost: Photos that only the network has right.
        won: Photos that only this has right.
        bytes: Size of the file or package; 0 for the network itself.
        ms: Milliseconds of one photo in each round; empty where time means nothing.
        by_object: Lost and won by object; null in rows of before it was kept.
    """

    name: str
    right: int
    same: int
    lost: int
    won: int
    bytes: int = 0
    ms: tuple[float, ...] = ()
    by_object: ObjectFlips | None = None


class GateSpread(Record):
    """How much the squeeze-and-excite gates differ between photos.

    Attributes:
        deviations: Median, 10 % and 90 % quantile over channels of the standard deviation.
    """

    channels: int
    mean: float
    deviations: tuple[float, float, float]


class TrainingStage(Record):
    """One training.

    Attributes:
        side: Of the square input in pixels.
    """

    side: int
    epochs: int
    minutes: float


class SiluQuantisationStudy(Study):
    """Every form of one network."""

    NAME: ClassVar[str] = "silu_quantisation"

    objects: int
    train: int
    val: int
    photos: int
    calibration: int
    val_top1: float
    stages: tuple[TrainingStage, ...]
    gates: GateSpread
    forms: tuple[FormCounts, ...]

    def form(self, name: str) -> FormCounts:
        """The form of that name."""
        return next(form for form in self.forms if form.name == name)

    def drop(self, form: FormCounts) -> Estimate:
        """Points of top-1 lost."""
        return points_lost(form.lost, form.won, self.photos, [form.by_object])

    def share(self, count: int) -> Estimate:
        """A number of photos in per cent, with its interval."""
        return percentage(count, self.photos)

    def values(self) -> Mapping[str, object]:
        """Names, and times beside the float32 file's."""
        base = self.form(BASE)
        return {
            "base": base,
            "naive": NAIVE,
            "reference": REFERENCE,
            "by_object": all(form.by_object for form in self.forms),
            "time": lambda form: spread(np.array(form.ms) / np.array(base.ms)).text(".2f"),
        }

    def targets(self) -> list[Target]:
        """The network's accuracy, and what 8 bits may cost."""
        top1 = self.share(self.form(REFERENCE).right)
        return [
            Target("top-1 of the network in per cent", LEAST_TOP1, top1, at_least=True),
            *(
                Target(f"drop of {name} in points", bound, self.drop(self.form(name)))
                for name, bound in LARGEST_DROP.items()
            ),
        ]

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds where to work."""
        parser.add_argument("--out", type=Path, required=True, help="for photos, runs, bundle")
        parser.add_argument("--objects", type=int, default=40, help="default: 40")

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Renders, trains, exports and measures."""
        from benchmarks.measure.evaluation_set import validation_photos

        out: Path = arguments.out
        manifest = render(out / "rendered", objects=arguments.objects)
        run, stages = trained(out, manifest)
        root = manifest.parent
        bundle = exported(out, run, root)
        forms, photos = measure_forms(bundle, run, root)
        calibration = bundle.info.calibration
        return cls.measured_now(
            objects=run.info.objects,
            train=run.info.photos.train,
            val=run.info.photos.val,
            photos=photos,
            calibration=len(calibration.photos) if calibration else 0,
            val_top1=run.require_metrics().val_top1 or 0.0,
            stages=stages,
            gates=gate_spread(run, validation_photos(run, root, limit=run.info.photos.val)),
            forms=forms,
        )


def trained(out: Path, manifest: Path) -> tuple[Run, tuple[TrainingStage, ...]]:
    """Trains at one size after the other, each beginning with the weights of the one before."""
    weights = out / "start.safetensors"
    if not weights.is_file():
        write_start(weights, manifest)
    stages: list[TrainingStage] = []
    for number, (side, epochs) in enumerate(SIZES, 1):
        folder = out / f"run{number}"
        if not folder.is_dir():
            words = ["train", str(manifest), "--out", str(folder), "--backbone", BACKBONE]
            words += ["--recipe", "whole", "--split", "manifest", "--weights", str(weights)]
            words += ["--input-size", str(side), "--epochs", str(epochs)]
            run_timed(words, out / f"run{number}.json")
        run = read_run(folder)
        weights = folder / "model.safetensors"
        seconds = run.require_metrics().cpu_seconds or 0.0
        stages.append(TrainingStage(side=side, epochs=epochs, minutes=round(seconds / 60, 1)))
    return run, tuple(stages)


def exported(out: Path, run: Run, photos: Path) -> Bundle:
    """Exports the variants of the table."""
    folder = out / "bundle"
    if not folder.is_dir():
        words = ["export", str(run.folder), "--photos", str(photos), "--out", str(folder)]
        run_timed([*words, "--variants", ",".join(VARIANTS)], out / "bundle.json")
    return read_bundle(folder)


def naive_int8(float32: bytes, photos: Pixels) -> bytes:
    """What ai-edge-quantizer's plain static recipe makes of a float32 file."""
    from ai_edge_quantizer import quantizer, recipe

    from mobile_assets.log_suppression import quiet

    with quiet():
        worker = quantizer.Quantizer(float32, recipe.static_wi8_ai8())
        samples = [{"image": photo[None].astype(np.float32)} for photo in photos]
        ranges = worker.calibrate({"serving_default": samples})
        made = worker.quantize(ranges).quantized_model
    assert made is not None
    return bytes(made)


def tflite_predictor(content: bytes) -> Predictor:
    """Answers of a TFLite file with float32, uint8 or int8 ends."""
    from export.tflite.convert import interpreter

    runner = interpreter(content, threads=1)
    image, output = runner.get_input_details()[0], runner.get_output_details()[0]

    def predict(photo: Pixels) -> NDArray[np.float32]:
        values: Any = photo[None].astype(np.float32)
        if image["dtype"] != np.float32:
            scale, zero = image["quantization"]
            bounds = np.iinfo(image["dtype"])
            values = np.round(values / scale + zero).clip(bounds.min, bounds.max)
        runner.set_tensor(image["index"], values.astype(image["dtype"]))
        runner.invoke()
        # Whole numbers are not scaled back: the first place is the same.
        answers: NDArray[np.float32] = runner.get_tensor(output["index"])[0].astype(np.float32)
        return answers

    return lambda photos: np.stack([predict(photo) for photo in photos])


def variant_predictor(bundle: Bundle, variant: Variant) -> Predictor:
    """Answers of a variant: of LiteRT, or of Core ML's reference."""
    if variant.format == "tflite":
        return tflite_predictor(bundle.path(variant).read_bytes())
    from benchmarks.runtimes.coreml_reference.session import CoreMLReferenceSession

    return CoreMLReferenceSession(bundle.path(variant)).predict


def gate_spread(run: Run, photos: tuple[TestPhoto, ...]) -> GateSpread:
    """How much the gates differ from photo to photo."""
    import torch
    from torch import Tensor, nn

    from benchmarks.measure.evaluation_set import decode_chunks
    from train.run import load_model

    model = load_model(run)
    outputs: dict[str, list[Tensor]] = {}
    for name, module in model.named_modules():
        if name.endswith("se.gate"):

            def note(_: nn.Module, __: Any, gate: Tensor, at: str = name) -> None:
                outputs.setdefault(at, []).append(gate.flatten(1))

            module.register_forward_hook(note)
    with torch.inference_mode():
        for _, pixels in decode_chunks(photos, run.info.preprocessing, []):
            model(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
    gates = torch.cat([torch.cat(parts) for parts in outputs.values()], dim=1)
    low, middle, high = np.quantile(gates.std(dim=0).numpy(), [0.1, 0.5, 0.9])
    return GateSpread(
        channels=gates.shape[1],
        mean=float(gates.mean()),
        deviations=(float(middle), float(low), float(high)),
    )


def measure_forms(bundle: Bundle, run: Run, root: Path) -> tuple[list[FormCounts], int]:
    """Every form's counts and times, and the number of test photos."""
    from benchmarks.measure.evaluation_set import decode_chunks, held_out
    from benchmarks.runtimes.torch_runtime import open_reference
    from benchmarks.studies.head_size import latencies
    from export.quantise.calibration_photos import calibration_photos

    info = bundle.info
    assert info.calibration is not None
    calibration, _ = calibration_photos(
        run, root, wanted=len(info.calibration.photos), seed=info.calibration.seed, say=print
    )
    files = {v.name: bundle.path(v).read_bytes() for v in info.variants if v.format == "tflite"}
    files[NAIVE] = naive_int8(files[BASE], calibration.pixels)
    predictors: dict[str, Predictor] = {REFERENCE: open_reference(run).predict}
    predictors |= {variant.name: variant_predictor(bundle, variant) for variant in info.variants}
    predictors[NAIVE] = tflite_predictor(files[NAIVE])
    first: dict[str, list[int]] = {name: [] for name in predictors}
    photos: list[TestPhoto] = []
    for good, pixels in decode_chunks(held_out(run, root)[0], info.preprocessing, []):
        photos += good
        for name, predict in predictors.items():
            first[name] += predict(pixels).argmax(axis=1).tolist()
    times = dict(zip(files, latencies(list(files.values()), ROUNDS), strict=True))
    sizes = {variant.name: size_of(bundle.path(variant)) for variant in info.variants}
    sizes[NAIVE] = len(files[NAIVE])
    truth, shown = [photo.object_index for photo in photos], [photo.object_id for photo in photos]
    right = {name: np.array(answers) == truth for name, answers in first.items()}
    reference = right[REFERENCE]
    forms = [
        FormCounts(
            name=name,
            right=int(right[name].sum()),
            same=int((np.array(answers) == first[REFERENCE]).sum()),
            lost=int((reference & ~right[name]).sum()),
            won=int((~reference & right[name]).sum()),
            bytes=sizes.get(name, 0),
            ms=tuple(times.get(name, ())),
            by_object=flips_by_object(shown, reference, right[name]),
        )
        for name, answers in first.items()
    ]
    return forms, len(photos)


if __name__ == "__main__":
    sys.exit(SiluQuantisationStudy.main())
