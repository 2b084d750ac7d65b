"""Golden vectors of the embedding models: the rows that they give for the golden photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.tflite.interpreter import run_tflite
from mobile_assets.bundle import AuxiliaryModel, Bundle
from mobile_assets.files import write_bytes
from mobile_assets.golden import GOLDEN_FILE, GOLDEN_FOLDER, Golden, GoldenEmbedding, Pixels

_HOW = (
    "embedding: give `tensor` to an embedding model and compare with its `rows`: little-endian "
    "float32, one row of `dimensions` values per photo, in the order of `photos`. The cosine of "
    "the two rows must reach `least_cosine`."
)
_FLOAT = 0.999
_INTEGER = 0.9
_WHY = {
    "float32": "GPUs compute in float16 unless told otherwise; on a CPU 0.999999 is seen.",
    "float16": "GPUs compute in float16 unless told otherwise; on a CPU 0.999999 is seen.",
    "int8": "Integer arithmetic: where a value lies between two steps, kernels round it to the one "
    "or the other, and the steps that follow carry it on; accelerators choose their own rounding.",
}


def write_golden_embeddings(bundle: Bundle) -> None:
    """Adds the rows of the TFLite embedding models to the golden vectors of a bundle.

    Args:
        bundle: One that is being written, its golden vectors made.
    """
    folder = bundle.folder / GOLDEN_FOLDER
    golden = Golden.read(folder / GOLDEN_FILE)
    tensors = _tensors(folder, golden)
    embeddings = tuple(
        _answered(bundle, model, tensors)
        for model in bundle.info.companions
        if model.kind == "embedding" and model.format == "tflite"
    )
    if embeddings:
        how = (*golden.how, _HOW)
        golden.model_copy(update={"how": how, "embeddings": embeddings}).write(folder / GOLDEN_FILE)


def _tensors(folder: Path, golden: Golden) -> Pixels:
    shape = (golden.height, golden.width, 3)
    files = [folder / photo.tensor for photo in golden.photos]
    return np.stack([np.frombuffer(file.read_bytes(), np.uint8).reshape(shape) for file in files])


def _answered(bundle: Bundle, model: AuxiliaryModel, tensors: Pixels) -> GoldenEmbedding:
    rows = run_tflite(bundle.path(model).read_bytes(), tensors)
    file = f"embeddings/{model.name}.f32"
    write_bytes(bundle.folder / GOLDEN_FOLDER / file, rows.astype("<f4").tobytes())
    precision = model.precision or "float16"
    return GoldenEmbedding(
        model=model.name,
        runtime="litert",
        rows=file,
        dimensions=rows.shape[1],
        least_cosine=_INTEGER if precision == "int8" else _FLOAT,
        why=_WHY[precision],
    )
