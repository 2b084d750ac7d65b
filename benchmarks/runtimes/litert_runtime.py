"""TFLite files on LiteRT with XNNPACK. Needs a bundle only: no torch, no run, no training code."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from benchmarks.results import Placement
from benchmarks.runtimes.base import Pixels, Probabilities
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import DamagedError, InputError, MissingDependencyError
from mobile_assets.quiet import quiet

_LABELS_FILE = "labels.txt"
_DTYPES = (np.float32, np.uint8, np.int8)


class LitertSession:
    """One TFLite file opened by LiteRT's interpreter, one photo at a time as on the phone."""

    def __init__(self, path: Path, *, threads: int) -> None:
        """Opens the file and checks that its tensors are of the bundle's contract.

        Raises:
            DamagedError: The file cannot be opened or has other tensors.
            MissingDependencyError: `ai-edge-litert` is not installed.
        """
        self._interpreter: Any = _interpreter(path, threads)
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        _check_tensors(path, inputs, outputs)
        self._input, self._output = inputs[0], outputs[0]

    def predict(self, batch: Pixels) -> Probabilities:
        """`[N, H, W, 3]` uint8 RGB 0–255 → `[N, objects]` float32 probabilities."""
        rows = [self._one(photo) for photo in batch]
        objects = int(self._output["shape"][1])
        return np.stack(rows) if rows else np.zeros((0, objects), dtype=np.float32)

    def placement(self) -> Placement | None:
        """Which operations XNNPACK took; None if the interpreter does not list them."""
        try:
            return _placement(self._interpreter._get_ops_details())
        except (AttributeError, KeyError, TypeError):
            # The list is not part of LiteRT's public interface and may go.
            return None

    def close(self) -> None:
        """Frees the interpreter."""
        self._interpreter = None

    def __enter__(self) -> LitertSession:
        """The session itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the session."""
        self.close()

    def _one(self, photo: Pixels) -> Probabilities:
        self._interpreter.set_tensor(self._input["index"], _as_input(photo[None], self._input))
        self._interpreter.invoke()
        return _as_probabilities(
            self._interpreter.get_tensor(self._output["index"])[0], self._output
        )


class LitertRuntime:
    """Opens the TFLite variants of a bundle."""

    name = "litert"
    unit = ""
    format: Literal["tflite"] = "tflite"
    timed = True
    limit = None

    def missing(self) -> str | None:
        """None: LiteRT is one of the toolkit's own dependencies."""
        return None

    def open(self, bundle: Bundle, variant: Variant, threads: int = 1) -> LitertSession:
        """Opens a variant.

        Raises:
            InputError: The variant is not a TFLite file.
            DamagedError: The file cannot be opened, or does not fit the bundle's contract.
        """
        if variant.format != "tflite":
            raise InputError(
                f"{variant.name} is a {variant.format} variant, which LiteRT does not execute. "
                "Give one whose name begins with tflite-."
            )
        path = bundle.path(variant)
        session = LitertSession(path, threads=threads)
        contract = bundle.info.preprocessing
        wanted = ((1, contract.height, contract.width, 3), (1, bundle.info.objects))
        found = (_shape(session._input), _shape(session._output))
        if found != wanted:
            raise DamagedError(
                f"{path} maps {found[0]} to {found[1]}, the bundle says {wanted[0]} to "
                f"{wanted[1]}: export the bundle again."
            )
        inside = embedded_labels(path)
        if inside is not None and inside != bundle.labels.object_ids:
            raise DamagedError(
                f"The labels inside {path} are not those of labels.json, so apps that read the one "
                "or the other give different answers: export the bundle again."
            )
        return session


RUNTIMES = (LitertRuntime(),)


def open_litert(bundle: Bundle, variant_name: str, threads: int = 1) -> LitertSession:
    """Opens a TFLite variant by its name.

    Raises:
        InputError: The bundle has no such variant, or it is not a TFLite file.
        DamagedError: The file cannot be opened, or does not fit the bundle's contract.
    """
    return RUNTIMES[0].open(bundle, bundle.info.variant(variant_name), threads)


def embedded_labels(path: Path) -> tuple[str, ...] | None:
    """The object ids that the exporter appended to the file; None if it appended none."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(_LABELS_FILE).decode("utf-8")
    except (zipfile.BadZipFile, KeyError):
        return None
    return tuple(text.splitlines())


def _interpreter(path: Path, threads: int) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise MissingDependencyError(
            "TFLite files need the package ai-edge-litert, which is not installed. "
            "Install it, or install artefact-id with its default dependencies."
        ) from None
    try:
        # The default resolver hands the graph to XNNPACK, as LiteRT does on a phone.
        with quiet():
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DamagedError(
            f"{path} cannot be opened by LiteRT ({first}). It is damaged: export the bundle again."
        ) from None
    return interpreter


def _shape(tensor: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(side) for side in tensor["shape"])


def _check_tensors(
    path: Path, inputs: Sequence[dict[str, Any]], outputs: Sequence[dict[str, Any]]
) -> None:
    if len(inputs) == 1 and len(outputs) == 1:
        image, probabilities = inputs[0], outputs[0]
        photo = len(image["shape"]) == 4 and image["shape"][0] == 1 and image["shape"][3] == 3
        vector = len(probabilities["shape"]) == 2 and probabilities["shape"][0] == 1
        if photo and vector and image["dtype"] in _DTYPES and probabilities["dtype"] in _DTYPES:
            return
    raise DamagedError(
        f"{path} does not take one photo [1, height, width, 3] and give one list of "
        "probabilities [1, objects]: it is not a file of this toolkit. Export the bundle again."
    )


def _as_input(photo: Pixels, tensor: dict[str, Any]) -> Any:
    """What an app hands over: raw bytes to a uint8 input, raw 0–255 floats to a float32 one."""
    if tensor["dtype"] == np.uint8:
        return photo
    values = photo.astype(np.float32)
    if tensor["dtype"] == np.float32:
        return values
    scale, zero = tensor["quantization"]
    return np.clip(np.rint(values / scale) + zero, -128, 127).astype(np.int8)


def _as_probabilities(values: Any, tensor: dict[str, Any]) -> Probabilities:
    """The output as float32; integer outputs by the file's own scale and zero point."""
    if tensor["dtype"] == np.float32:
        return np.array(values, dtype=np.float32)
    scale, zero = tensor["quantization"]
    return np.asarray((values.astype(np.float32) - zero) * scale, dtype=np.float32)


def _placement(operations: Sequence[dict[str, Any]]) -> Placement:
    """Counts the operations that lie between a delegate node's inputs and outputs.

    After delegation the interpreter lists the graph's own operations and, after them, one
    `DELEGATE` node per piece of the graph that was handed over.
    """
    own = {int(op["index"]): op for op in operations if op["op_name"] != "DELEGATE"}
    pieces = [op for op in operations if op["op_name"] == "DELEGATE"]
    maker = {int(tensor): index for index, op in own.items() for tensor in op["outputs"]}
    taken: set[int] = set()
    for piece in pieces:
        given = {int(tensor) for tensor in piece["inputs"]}
        waiting = [int(tensor) for tensor in piece["outputs"]]
        while waiting:
            tensor = waiting.pop()
            index = maker.get(tensor)
            if tensor in given or index is None or index in taken:
                continue
            taken.add(index)
            waiting.extend(int(source) for source in own[index]["inputs"])
    left = Counter(str(op["op_name"]) for index, op in own.items() if index not in taken)
    return Placement(
        delegate="XNNPACK",
        taken=len(taken),
        total=len(own),
        left=dict(sorted(left.items())),
        partitions=len(pieces),
    )
