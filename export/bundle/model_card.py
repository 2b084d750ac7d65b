"""The bundle's model card: README.md for an app's developer, DETAILS.md for whoever asks why."""

from __future__ import annotations

from typing import Literal

from export.bundle.delegates import delegate_table, delegate_views
from export.bundle.details import details, details_of_rebuilt
from export.bundle.gallery_card import Identification, enrolment_section, identification_section
from mobile_assets.bundle import Bundle, BundleInfo, Variant
from mobile_assets.files import write_text
from mobile_assets.golden import GOLDEN_FOLDER
from mobile_assets.markdown_text import markdown
from train.run import Run

Format = Literal["tflite", "coreml"]

_PLATFORMS: dict[Format, str] = {"tflite": "Android, LiteRT", "coreml": "iPhone, Core ML"}
_NEAREST: dict[Format, str] = {"tflite": "tflite-float32", "coreml": "coreml-float16"}
"""What is nearest to the trained network: Core ML computes in float16 wherever it can."""


def write_card(bundle: Bundle, run: Run) -> None:
    """Writes both files into a bundle that is complete but for them and `bundle.json`."""
    delegates = delegate_table(
        (model.name, delegate_views(bundle.folder / model.file)) for model in bundle.info.models
    )
    write_text(bundle.folder / "README.md", readme(bundle, run.info.register_name))
    write_text(bundle.folder / "DETAILS.md", details(bundle.info, run, delegates=delegates))


def rewrite_card(bundle: Bundle, base: Bundle) -> None:
    """As `write_card`, of a bundle that was made of another one without its run."""
    assert base.contents is not None, "from read_bundle"
    before = base.contents.read("DETAILS.md").decode("utf-8")
    name = bundle.info.register_id or bundle.info.name
    write_text(bundle.folder / "README.md", readme(bundle, name))
    write_text(bundle.folder / "DETAILS.md", details_of_rebuilt(bundle.info, before))


def readme(bundle: Bundle, register_name: str) -> str:
    """README.md: which file to take, how to feed it, how to read it.

    Args:
        bundle: One that is complete but for its card.
        register_name: The register's name.
    """
    info = bundle.info
    golden = (bundle.folder / GOLDEN_FOLDER).is_dir()
    files = {format_: _file_to_take(info, format_) for format_ in _PLATFORMS}
    tflite, coreml = files["tflite"], files["coreml"]
    enrolment = enrolment_section(info)
    parts = [
        f"# {markdown(info.name)}",
        f"Recognises the {info.objects} museum objects of the register "
        f"“{markdown(register_name)}” in a photo, offline, on a phone. The answer is a "
        "hint for a person to check, not a proof of identity.",
        *([_UNFIT] if info.calibration and info.calibration.noise_images else []),
        _which(info, files),
        _feed(info),
        _read(info),
        identification_section(Identification.of(bundle.folder)),
        *([enrolment] if enrolment else []),
        "## Code",
        *([_android(tflite), _python(tflite)] if tflite else []),
        *([_ios(coreml)] if coreml else []),
        *([_GOLDEN] if golden else []),
        _LIMITS,
        "All files, the training, the calibration"
        + (", the models beside the classifier with code," if info.companions else "")
        + " and what each accelerator executes: [DETAILS.md](DETAILS.md).",
    ]
    return "\n\n".join(parts) + "\n"


def _file_to_take(info: BundleInfo, format_: Format) -> Variant | None:
    """The recommended variant; without one, the one that is nearest to the trained network."""
    for recommendation in info.recommended:
        if recommendation.format == format_:
            return info.variant(recommendation.variant)
    variants = [variant for variant in info.variants if variant.format == format_]
    nearest = [variant for variant in variants if variant.name == _NEAREST[format_]]
    return next(iter(nearest or variants), None)


def _which(info: BundleInfo, files: dict[Format, Variant | None]) -> str:
    rows = "\n".join(
        f"| {_PLATFORMS[format_]} | `{file.file}` | {file.bytes / 1e6:.1f} MB |"
        for format_, file in files.items()
        if file is not None
    )
    why = "\n".join(
        f"- {_PLATFORMS[recommendation.format]}: {markdown(recommendation.why)}"
        for recommendation in info.recommended
    )
    reason = (
        f"{why}\n\nA choice on so few photos can err: `artefact-id benchmark` measures every file "
        "on test photos."
        if why
        else "These are the files nearest to the trained network. Whether a smaller one is good "
        "enough was not measured: `artefact-id export --quantise auto` does, and says so here."
    )
    return f"## Which file to take\n\n| For | File | Size |\n|---|---|---|\n{rows}\n\n{reason}"


def _feed(info: BundleInfo) -> str:
    contract = info.preprocessing
    return (
        "## How to feed it\n\n"
        "1. Decode the photo and turn it upright by its EXIF orientation.\n"
        "2. Convert it to 8-bit sRGB, transparent pixels over white.\n"
        f"3. Squash it to {contract.width} × {contract.height} with antialiased bilinear "
        "resampling; do not crop.\n"
        "4. Hand it over as RGB 0–255. Do not normalise: that is inside the model."
    )


def _read(info: BundleInfo) -> str:
    return (
        "## How to read it\n\n"
        f"The model gives one probability for each of the {info.objects} objects; they sum to 1. "
        "Entry `i` belongs to the object with `index` `i` in `labels.json` and to line `i` "
        "(from 0) of `labels.txt`. Probabilities say which objects of the register are most like "
        "the photo, not whether it shows one of them: what they give is a **shortlist**, the five "
        "best to compare by eye."
    )


def _android(variant: Variant) -> str:
    return f"""### Android

With MediaPipe Tasks; put the file into `assets/`. The labels are inside it.

```kotlin
val options = ImageClassifier.ImageClassifierOptions.builder()
    .setBaseOptions(BaseOptions.builder().setModelAssetPath("{_base_name(variant)}").build())
    .setMaxResults(5)
    .build()
val classifier = ImageClassifier.createFromOptions(context, options)
val best = classifier.classify(BitmapImageBuilder(uprightBitmap).build())
    .classificationResult().classifications()[0].categories()
```

MediaPipe squashes the photo to the input size, as this model expects, with its own resampling.
With LiteRT alone, fill the input `image`, {variant.inputs[0].dtype}, with the pixels row by row,
red, green, blue, and read the output `probabilities`. With thousands of objects, keep the best five
in one pass over the output buffer, as `best` in `mobile_assets/shortlist.py` does, instead of
copying and sorting the whole list for every frame."""


def _python(variant: Variant) -> str:
    return f"""### Python

```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter

model = Interpreter("{variant.file}")
run = model.get_signature_runner("serving_default")
probabilities = run(image=pixels[None].astype(np.{variant.inputs[0].dtype}))["probabilities"][0]
```

`pixels` is `[height, width, 3]`, RGB 0–255, prepared as above."""


def _ios(variant: Variant) -> str:
    return f"""### iOS

Add `{_base_name(variant)}` to the Xcode project and load the compiled model with Vision.
`scaleFill` squashes the photo as this model expects; the default, `centerCrop`, cuts its sides off.

```swift
let model = try VNCoreMLModel(for: MLModel(contentsOf: compiledModelURL))
let request = VNCoreMLRequest(model: model) {{ request, _ in
    let best = (request.results as? [VNClassificationObservation])?.prefix(5)
}}
request.imageCropAndScaleOption = .scaleFill
try VNImageRequestHandler(cgImage: photo, orientation: orientation).perform([request])
```"""


def _base_name(variant: Variant) -> str:
    return variant.file.rsplit("/", 1)[-1]


_UNFIT = (
    "**Not fit for the field.** 8-bit weights and ranges were chosen on noise instead of photos, "
    "to measure what that costs; `artefact-id verify` fails this bundle."
)

_GOLDEN = """## Testing an app

`golden/` holds photos with the result that every stage must have: the decoded pixels, the model's
input, and what each variant answers, with tolerances. `golden/golden.json` says how to read it:
raw bytes and JSON, for a unit test on the phone without a library. The first stage outside its
tolerance is where the app errs: a turned photo, exchanged colours, a crop, a shifted list of
labels. `artefact-id verify` does the same for the models on a computer."""

_LIMITS = """## Limits

The model knows the objects of the register and nothing else: of any other thing it names the
register's most similar object, which the lower threshold catches only in part. Phones resample
photos in their own ways, which moves probabilities a little."""
