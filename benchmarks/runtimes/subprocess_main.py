"""Executes one TFLite file in a process of its own: `python worker_main.py KIND [MODEL THREADS]`.

A script that stands alone: it is run by other Pythons than the toolkit's own, which have numpy and
an interpreter but nothing of this project. KIND says which interpreter: `litert` or `tensorflow`.
Without a model it only tells its versions and ends.

Messages go over standard input and output, each `AID1`, one letter, the length of the content as a
32-bit little-endian number, and the content:

    H  from here, once    JSON: versions, tensors and operations of the opened file
    R  to here            raw input tensors of one or more photos, one after the other
    A  from here          raw output tensors of the same photos
    E  from here, last    JSON: what failed (`missing`, `open` or `run`) and a message

Everything that libraries print goes to standard error. The end of standard input ends the process,
so it does not outlive the one that started it.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import sys
from typing import Any, BinaryIO

MAGIC = b"AID1"
HEADER = struct.Struct("<4scI")


def main(arguments: list[str]) -> int:
    """Says hello, then answers until standard input ends. 1 if anything failed."""
    requests, answers = _own_streams()
    what = "missing"
    try:
        # The script's folder holds modules of the toolkit, whose names are not meant here.
        sys.path[:] = [folder for folder in sys.path if folder != os.path.dirname(__file__)]  # noqa: PTH120
        make, version = _interpreter(arguments[0])
        hello = {"interpreter": version, **_versions()}
        what = "open"
        if len(arguments) == 1:
            write_message(answers, b"H", json.dumps(hello).encode())
            return 0
        interpreter = make(model_path=arguments[1], num_threads=int(arguments[2]))
        interpreter.allocate_tensors()
        write_message(answers, b"H", json.dumps(hello | _description(interpreter)).encode())
        what = "run"
        _serve(interpreter, requests, answers)
    except BrokenPipeError:  # nobody listens any more
        return 1
    except Exception as error:
        failure = {"what": what, "message": str(error) or type(error).__name__}
        write_message(answers, b"E", json.dumps(failure).encode())
        return 1
    return 0


def read_message(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """The next message's letter and content; None at the end of the stream.

    Raises:
        ValueError: Something else than a message was read; the error holds the bytes.
    """
    head = stream.read(HEADER.size)
    if not head:
        return None
    if len(head) < HEADER.size or not head.startswith(MAGIC):
        raise ValueError(head)
    _, letter, length = HEADER.unpack(head)
    content = stream.read(length)
    if len(content) < length:
        return None
    return letter, content


def write_message(stream: BinaryIO, letter: bytes, content: bytes) -> None:
    """Writes one message and hands it over at once."""
    stream.write(HEADER.pack(MAGIC, letter, len(content)))
    stream.write(content)
    stream.flush()


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the parent; a library that prints or reads reaches other descriptors."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _interpreter(kind: str) -> tuple[Any, str]:
    """The class and what it is a version of."""
    if kind == "tensorflow":
        import tensorflow

        return tensorflow.lite.Interpreter, f"tensorflow {tensorflow.__version__}"
    from importlib.metadata import version

    from ai_edge_litert.interpreter import Interpreter

    return Interpreter, f"ai-edge-litert {version('ai-edge-litert')}"


def _versions() -> dict[str, str]:
    import numpy

    return {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "machine": platform.machine(),
    }


def _description(interpreter: Any) -> dict[str, Any]:
    """The opened file's tensors, and its operations where the interpreter lists them."""
    try:
        operations = [
            {
                "index": int(op["index"]),
                "op_name": str(op["op_name"]),
                "inputs": [int(tensor) for tensor in op["inputs"]],
                "outputs": [int(tensor) for tensor in op["outputs"]],
            }
            for op in interpreter._get_ops_details()
        ]
    except (AttributeError, KeyError, TypeError):
        # The list is not part of the public interface.
        operations = None
    return {
        "inputs": [_tensor(detail) for detail in interpreter.get_input_details()],
        "outputs": [_tensor(detail) for detail in interpreter.get_output_details()],
        "operations": operations,
    }


def _tensor(detail: dict[str, Any]) -> dict[str, Any]:
    import numpy

    scale, zero = detail["quantization"]
    return {
        "shape": [int(side) for side in detail["shape"]],
        "dtype": numpy.dtype(detail["dtype"]).name,
        "quantization": [float(scale), int(zero)],
    }


def _serve(interpreter: Any, requests: BinaryIO, answers: BinaryIO) -> None:
    """One photo after the other, as on a phone."""
    import numpy

    image, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    while (message := read_message(requests)) is not None:
        photos = numpy.frombuffer(message[1], dtype=image["dtype"])
        outputs = []
        for photo in photos.reshape(-1, *image["shape"]):
            interpreter.set_tensor(image["index"], photo)
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(result["index"]).tobytes())
        write_message(answers, b"A", b"".join(outputs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
