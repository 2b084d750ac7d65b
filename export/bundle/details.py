"""The bundle's DETAILS.md: its files, training, calibration and accelerators."""

from __future__ import annotations

from collections import Counter

from export.bundle.auxiliary_card import auxiliary_notes, auxiliary_usage
from mobile_assets.bundle import BundleInfo, Calibration, Variant
from mobile_assets.markdown_text import markdown
from train.run import Run, RunMetrics

_KEPT = ("Training", "Calibration", "Accelerators")
"""Titles of the sections that hold for a bundle made of another one, too."""


def details(info: BundleInfo, run: Run, *, delegates: str) -> str:
    """DETAILS.md in Markdown; it holds measured numbers only.

    Args:
        info: The bundle's description.
        run: The run that it is made of.
        delegates: Markdown table of what accelerators take of each file.

    Raises:
        DamagedError: The run's metrics are damaged.
    """
    parts = [
        f"# {markdown(info.name)}: details",
        "How to use the bundle is in [README.md](README.md). Exported "
        f"{info.created} with serial number {info.serial}; `{run.info.backbone}` with head "
        f"`{run.info.head}`{_depths(run.info.depths)}.",
        _files(info),
        auxiliary_usage(info),
        _training(info, run, run.metrics),
        _calibration(info.calibration) if info.calibration else "",
        f"## Accelerators\n\n{delegates}",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def details_of_rebuilt(info: BundleInfo, before: str) -> str:
    """DETAILS.md of a bundle that was made of another one.

    Args:
        info: The new bundle's description.
        before: The other's DETAILS.md; what it says of training, calibration and accelerators
            holds on, but for models that are there no more.
    """
    sections = before.split("\n\n## ")[1:]
    kept = [f"## {text}" for text in sections if text.startswith(_KEPT)]
    gone = tuple(f"| {name} |" for name in (info.enrolment.left_out if info.enrolment else ()))
    lines = [
        line for line in "\n\n".join(kept).splitlines() if not (gone and line.startswith(gone))
    ]
    parts = [
        f"# {markdown(info.name)}: details",
        "How to use the bundle is in [README.md](README.md). Its objects were changed "
        f"{info.created}, without training; serial number {info.serial}; "
        f"`{info.source.backbone}` with head `{info.source.head}`. What is said of the training "
        "is said of the objects that were there then.",
        _files(info),
        auxiliary_usage(info),
        "\n".join(lines).rstrip(),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _files(info: BundleInfo) -> str:
    rows = "\n".join(_file_row(variant) for variant in info.variants)
    notes = "\n\n".join(
        f"### {variant.name}\n\n" + "\n".join(f"- {markdown(note)}" for note in variant.notes)
        for variant in info.variants
    )
    notes += "".join(f"\n\n{auxiliary_notes(model)}" for model in info.companions)
    return (
        "## Files\n\n| Variant | File | Bytes | Input | Output |\n|---|---|---|---|---|\n"
        f"{rows}\n\n"
        "`labels.json` says which class index is which object, `labels.txt` lists the object ids "
        "in class order, `bundle.json` holds sizes, hashes and versions.\n\n"
        f"{notes}"
    )


def _depths(depths: tuple[int, ...]) -> str:
    """What the head reads beside the backbone's last features, as the end of a sentence."""
    stages = ", ".join(map(str, depths))
    return f", which reads the pooled outputs of stages {stages} too" if depths else ""


def _file_row(variant: Variant) -> str:
    inputs, outputs = (
        ", ".join(f"`{t.name}` {t.dtype} {list(t.shape)}" for t in side)
        for side in (variant.inputs, variant.outputs)
    )
    return f"| {variant.name} | `{variant.file}` | {variant.bytes:,} | {inputs} | {outputs} |"


def _training(info: BundleInfo, run: Run, metrics: RunMetrics | None) -> str:
    counts = run.info.photos
    collections = Counter(label.collection or "(none)" for label in run.labels.labels)
    rows = "".join(
        f"| {markdown(name)} | {count} |\n" for name, count in sorted(collections.items())
    )
    accuracy = (
        "The run holds no measured accuracy."
        if metrics is None
        else f"Top-1 accuracy of the network before export: {metrics.val_top1:.1%} of "
        f"{metrics.val_photos} validation photos{_enrolled(run, metrics)}."
    )
    if run.info.validation_fitted:
        accuracy += (
            " After that, and after their answers had set the temperature, the head was fitted to "
            "the validation photos too."
        )
    if run.held_out:
        accuracy += f" {len(run.held_out)} objects were kept out of training to set thresholds."
    fitted = run.info.temperature
    calibrated = (
        "Probabilities are the network's own: there were no validation photos to calibrate them by."
        if fitted is None
        else f"Inside every variant the logits are divided by a temperature of {fitted.value:.2f}, "
        f"fitted on {fitted.photos} validation photos, so that probabilities can be believed."
    )
    return (
        "## Training\n\n"
        f"Objects with at least {info.source.min_photos} photos; "
        f"{counts.train} photos for training, {counts.val} for validation, {counts.test} for "
        f"test; recipe `{info.source.recipe}`, seed {info.source.seed}, starting weights: "
        f"{markdown(run.info.weights)}.\n\n"
        f"{accuracy} Validation photos also chose the best epoch; an accuracy to quote is "
        "measured on test photos with `artefact-id benchmark`.\n\n"
        f"{calibrated}\n\n"
        f"| Collection | Objects |\n|---|---|\n{rows}".rstrip()
    )


def _enrolled(run: Run, metrics: RunMetrics) -> str:
    """The accuracy on objects that training did not see, if there are any."""
    if metrics.enrolled_top1 is None:
        return ""
    return (
        f" of objects that it was trained on, and {metrics.enrolled_top1:.1%} of "
        f"{metrics.enrolled_photos} of the {len(run.held_out)} objects that were enrolled after it"
    )


def _calibration(calibration: Calibration) -> str:
    images = (
        f"{calibration.noise_images} images of noise"
        if calibration.noise_images
        else f"{len(calibration.photos)} training photos, spread evenly over the objects"
    )
    return (
        f"## Calibration\n\n8-bit weights and ranges were chosen on {images}, drawn with seed "
        f"{calibration.seed}. `bundle.json` lists them, with a hash of their contents."
    )
