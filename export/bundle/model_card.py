"""The bundle's README: what the model was trained on, how well it does, how to use it."""

from __future__ import annotations

from collections import Counter

from export.bundle.auxiliary_card import auxiliary_notes, auxiliary_usage
from mobile_assets.bundle import BundleInfo, Calibration, Variant
from train.run import Run, RunMetrics


def model_card(
    info: BundleInfo,
    run: Run,
    metrics: RunMetrics | None,
    *,
    golden: bool = False,
    delegates: str = "",
) -> str:
    """The model card in Markdown; it holds measured numbers only.

    Args:
        info: The bundle's description.
        run: The run that it is made of.
        metrics: What training measured, if the run says so.
        golden: Whether the bundle holds golden vectors.
        delegates: Markdown table of what accelerators take of each file; empty for none.
    """
    parts = [
        _header(info, run),
        _training(info, run, metrics),
        *([_recommended(info)] if info.recommended else []),
        _variants(info),
        *([_calibration(info.calibration)] if info.calibration else []),
        _preprocessing(info),
        _decision(info),
        _use(info),
        *([_golden()] if golden else []),
        *([f"## Accelerators\n\n{delegates}"] if delegates else []),
        _limits(),
    ]
    return "\n\n".join(parts) + "\n"


def _header(info: BundleInfo, run: Run) -> str:
    return (
        f"# {info.name}\n\n"
        f"Identifies {info.objects} museum objects of the register "
        f"“{run.info.register_name}” in a photo, offline, on a phone. Each object is a class of "
        f"its own. Exported {info.created}; `{run.info.backbone}` with head `{run.info.head}`."
    )


def _training(info: BundleInfo, run: Run, metrics: RunMetrics | None) -> str:
    counts = run.info.photos
    collections = Counter(label.collection or "(none)" for label in run.labels.labels)
    rows = "".join(f"| {name} | {count} |\n" for name, count in sorted(collections.items()))
    accuracy = (
        "The run holds no measured accuracy."
        if metrics is None
        else f"Top-1 accuracy of the network before export: {metrics.val_top1:.1%} of "
        f"{metrics.val_photos} validation photos."
    )
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
        f"{run.info.weights}.\n\n"
        f"{accuracy} Validation photos also chose the best epoch and the decision thresholds; an "
        "accuracy to quote is measured on test photos with `artefact-id benchmark`.\n\n"
        f"{calibrated}\n\n"
        f"| Collection | Objects |\n|---|---|\n{rows}".rstrip()
    )


def _recommended(info: BundleInfo) -> str:
    rows = "\n".join(
        f"- {'Core ML' if one.format == 'coreml' else 'TFLite'}: "
        f"`{info.variant(one.variant).file}`. {one.why}"
        for one in info.recommended
    )
    return (
        f"## Which file to ship\n\n{rows}\n\nA choice on so few photos can err: "
        "`artefact-id benchmark` measures every file on test photos."
    )


def _variants(info: BundleInfo) -> str:
    rows = "\n".join(_variant_row(variant) for variant in info.variants)
    notes = "\n".join(f"- `{variant.name}`: {' '.join(variant.notes)}" for variant in info.variants)
    notes += "".join(f"\n\n{auxiliary_notes(companion)}" for companion in info.companions)
    return (
        "## Files\n\n| Variant | File | Bytes | Input | Output |\n|---|---|---|---|---|\n"
        f"{rows}\n\n{notes}\n\n"
        "`labels.json` says which class index is which object, `labels.txt` lists the object ids "
        "in class order, `bundle.json` holds sizes, hashes and versions."
    )


def _variant_row(variant: Variant) -> str:
    ends = [
        ", ".join(f"`{t.name}` {t.dtype} {list(t.shape)}" for t in side)
        for side in (variant.inputs, variant.outputs)
    ]
    return f"| {variant.name} | `{variant.file}` | {variant.bytes:,} | {ends[0]} | {ends[1]} |"


def _calibration(found: Calibration) -> str:
    if found.noise_images:
        said = (
            f"**Not fit for the field.** 8-bit weights and ranges were chosen on "
            f"{found.noise_images} images of noise instead of photos, to measure what that costs; "
            "`artefact-id verify` fails this bundle."
        )
    else:
        said = (
            f"8-bit weights and ranges were chosen on {len(found.photos)} training photos, spread "
            f"evenly over the objects, drawn with seed {found.seed}. `bundle.json` lists them, "
            "with a hash of their contents."
        )
    return f"## Calibration\n\n{said}"


def _preprocessing(info: BundleInfo) -> str:
    contract = info.preprocessing
    return (
        "## Preprocessing\n\n"
        "Decode the photo, turn it upright by its EXIF orientation, convert it to 8-bit sRGB "
        f"(transparent pixels over white), squash it to {contract.width} × {contract.height} "
        "with antialiased bilinear resampling and without cropping, and hand it over as RGB "
        "0–255. Do not normalise: that is inside the model."
    )


def _decision(info: BundleInfo) -> str:
    decision = info.decision
    if decision.validation_photos == 0:
        return (
            "## Decision\n\nThere are no decision thresholds, since the bundle was exported "
            "without validation photos: show every answer as a shortlist."
        )
    match = (
        f"Best probability at least {decision.match:.4f}: a match."
        if decision.match < 1
        else "Nothing is called a match: the validation photos do not prove enough for it."
    )
    return (
        f"## Decision\n\n{match} Below {decision.reject:.4f}: "
        "not in the register. Otherwise: a shortlist to compare by eye. Chosen on the "
        f"float network's answers to {decision.validation_photos} validation photos."
    )


def _use(info: BundleInfo) -> str:
    formats = {variant.format: variant for variant in reversed(info.variants)}
    parts = ["## Use"]
    if "tflite" in formats:
        parts += [_android(formats["tflite"].file), _python(formats["tflite"])]
    if "coreml" in formats:
        parts.append(_ios(formats["coreml"].file))
    parts += [auxiliary_usage(info)] if info.companions else []
    return "\n\n".join(parts)


def _android(file: str) -> str:
    name = file.rsplit("/", 1)[-1]
    return f"""### Android

With MediaPipe Tasks; put the file into `assets/`. The labels are inside it.

```kotlin
val options = ImageClassifier.ImageClassifierOptions.builder()
    .setBaseOptions(BaseOptions.builder().setModelAssetPath("{name}").build())
    .setMaxResults(5)
    .build()
val classifier = ImageClassifier.createFromOptions(context, options)
val best = classifier.classify(BitmapImageBuilder(uprightBitmap).build())
    .classificationResult().classifications()[0].categories()
```

MediaPipe squashes the photo to the input size, as this model expects, with its own resampling.
With LiteRT alone, fill the input `image` with the pixels of a bitmap prepared as above, row by
row, red, green, blue, and read `probabilities`. With thousands of objects, read the shortlist from
the output buffer in place instead of copying and sorting the whole list for every frame: one pass
that keeps the best five, as `best` in `mobile_assets/shortlist.py` does."""


def _python(variant: Variant) -> str:
    dtype = variant.inputs[0].dtype
    return f"""### Python

```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter

model = Interpreter("{variant.file}")
run = model.get_signature_runner("serving_default")
probabilities = run(image=pixels[None].astype(np.{dtype}))["probabilities"][0]
```

`pixels` is `[height, width, 3]`, RGB 0–255, prepared as above."""


def _ios(file: str) -> str:
    name = file.rsplit("/", 1)[-1]
    return f"""### iOS

Add `{name}` to the Xcode project and load the compiled model with Vision. `scaleFill` squashes
the photo as this model expects; the default, `centerCrop`, cuts its sides off.

```swift
let model = try VNCoreMLModel(for: MLModel(contentsOf: compiledModelURL))
let request = VNCoreMLRequest(model: model) {{ request, _ in
    let best = (request.results as? [VNClassificationObservation])?.prefix(5)
}}
request.imageCropAndScaleOption = .scaleFill
try VNImageRequestHandler(cgImage: photo, orientation: orientation).perform([request])
```"""


def _golden() -> str:
    return (
        "## Testing an app\n\n"
        "`golden/` holds photos with the result that every stage must have: the decoded pixels, "
        "the model's input, and what each variant answers, with tolerances and their reasons. "
        "They are raw bytes and JSON, so a unit test on the phone reads them without a library; "
        "`golden/golden.json` says how. The first stage outside its tolerance is where the app "
        "errs: a turned photo, exchanged colours, a crop, a shifted list of labels. "
        "`artefact-id verify` does the same for the models on a computer."
    )


def _limits() -> str:
    return (
        "## Limits\n\n"
        "The model knows the objects of the register and nothing else: of any other thing it "
        "names the register's most similar object, which the lower threshold catches only in "
        "part. An answer is a hint for a person to check, not a proof of identity. Phones resample "
        "photos in their own ways, which moves probabilities a little."
    )
