"""What a bundle's DETAILS.md says of the models beside the variants."""

from __future__ import annotations

from mobile_assets.bundle import AuxiliaryModel, BundleInfo
from mobile_assets.markdown_text import markdown


def auxiliary_notes(model: AuxiliaryModel) -> str:
    """A paragraph of Markdown: what the file takes and gives, and what was done to it."""
    answers = " and ".join(f"`{t.name}` {t.dtype} {list(t.shape)}" for t in model.outputs)
    purpose = (
        ", by which two photos can be compared" if model.kind == "embedding" else ", best first"
    )
    return (
        f"`{model.file}` ({model.bytes:,} bytes) is no classifier and holds no labels: it "
        f"takes the same photo as `{model.inputs[0].dtype}` and gives {answers}{purpose}. "
        f"{' '.join(map(markdown, model.notes))}"
    )


def auxiliary_usage(info: BundleInfo) -> str:
    """How an app uses them, with code; empty if there are none."""
    # Files of one kind differ in precision alone, and are used alike.
    kinds = {f"{model.format}-{model.kind}": model for model in reversed(info.companions)}
    parts = [use(kinds[kind]) for kind, use in _USE.items() if kind in kinds]
    return "\n\n".join(["## Beside the classifier", *parts]) if parts else ""


def _short_android(model: AuxiliaryModel) -> str:
    top = model.outputs[0].shape[-1]
    return f"""The short list on Android, with LiteRT's interpreter; `labels` are the lines of
`labels.txt`:

```kotlin
val indices = arrayOf(IntArray({top}))
val probabilities = arrayOf(FloatArray({top}))
val answers = mapOf<String, Any>("indices" to indices, "probabilities" to probabilities)
interpreter.runSignature(mapOf<String, Any>("image" to pixels), answers)
val best = indices[0].zip(probabilities[0].asIterable()).map {{ (n, p) -> labels[n] to p }}
```"""


def _short_ios(model: AuxiliaryModel) -> str:
    name = model.file.rsplit("/", 1)[-1]
    return f"""The short list on iOS: `{name}` with Vision as above, and this handler. A classifier
hands over a dictionary of all objects for every frame; this does not.

```swift
let request = VNCoreMLRequest(model: model) {{ request, _ in
    let found = request.results as? [VNCoreMLFeatureValueObservation] ?? []
    func array(_ name: String) -> MLMultiArray? {{
        found.first {{ $0.featureName == name }}?.featureValue.multiArrayValue
    }}
    guard let indices = array("indices"), let values = array("probabilities") else {{ return }}
    let best = (0..<indices.count).map {{ (labels[indices[$0].intValue], values[$0].floatValue) }}
}}
```"""


def _embedding_android(model: AuxiliaryModel) -> str:
    size = model.outputs[0].shape[-1]
    return f"""The embedding on Android; the sum of products of two rows is their cosine:

```kotlin
val row = arrayOf(FloatArray({size}))
val answers = mapOf<String, Any>("embedding" to row)
interpreter.runSignature(mapOf<String, Any>("image" to pixels), answers)
```"""


def _embedding_ios(model: AuxiliaryModel) -> str:
    name = model.file.rsplit("/", 1)[-1]
    return f"""The embedding on iOS: `{name}` with Vision as above. Its one result holds the row:

```swift
let row = (request.results?.first as? VNCoreMLFeatureValueObservation)?.featureValue.multiArrayValue
```"""


_USE = {
    "tflite-shortlist": _short_android,
    "coreml-shortlist": _short_ios,
    "tflite-embedding": _embedding_android,
    "coreml-embedding": _embedding_ios,
}
