"""Answers of a phone: photos are sent as raw tensors to a program there, the runner.

`benchmark_model` feeds noise and tells times only. For accuracy a program is needed that executes
a model on given inputs. Any will do that keeps to this contract:

    runner MODEL INPUTS OUTPUTS DELEGATE

* `MODEL` is a TFLite file with one input and one output.
* `INPUTS` is a folder of files `000000.raw`, `000001.raw`, …, each the bytes of the input tensor:
  uint8 for a model that takes bytes, little-endian float32 0–255 for one that takes floats; RGB,
  height by width by 3.
* `OUTPUTS` is an empty folder. For each input a file of the same name is written there: the
  output as little-endian float32; an integer output is turned into floats by its own scale and
  zero point, `(value - zero point) * scale`.
* `DELEGATE` is `xnnpack` or `gpu`. A runner that cannot use it ends with an exit code other than
  0; it never uses another one instead.

With TensorFlow Lite's C interface (`tflite/c/c_api.h` in LiteRT's source, the library
`libtensorflowlite_c.so`) such a program is some forty lines: `TfLiteModelCreateFromFile`;
`TfLiteInterpreterOptionsCreate` and, for `gpu`, `TfLiteInterpreterOptionsAddDelegate` with
`TfLiteGpuDelegateV2Create`; `TfLiteInterpreterCreate`; `TfLiteInterpreterAllocateTensors`; then for
each file `TfLiteTensorCopyFromBuffer`, `TfLiteInterpreterInvoke`, `TfLiteTensorCopyToBuffer`, and
`TfLiteTensorQuantizationParams` for an integer output. Build it with the NDK's compiler
`aarch64-linux-android26-clang++`, linked statically or with its libraries' folder in the program
(`-Wl,-rpath`): only the one file is sent to the phone.
"""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runtimes.android.adb import FOLDER, Phone, PhoneError, choose, find_adb
from benchmarks.runtimes.android.benchmark_model import Delegate
from benchmarks.runtimes.android.device import check_program, device_info
from benchmarks.runtimes.android.device_folder import device_folder
from benchmarks.runtimes.android.measure import PhoneOptions
from benchmarks.runtimes.interface import Pixels, Probabilities, Session
from benchmarks.runtimes.litert_runtime import LitertRuntime
from benchmarks.runtimes.tflite_model import Tensor, as_input
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import MissingDependencyError
from mobile_assets.log_suppression import quiet

_MODEL, _RUNNER = f"{FOLDER}/model.tflite", f"{FOLDER}/runner"
_INPUTS, _OUTPUTS = f"{FOLDER}/inputs", f"{FOLDER}/outputs"
_AT_ONCE = 64
"""Photos sent together: float32 photos of 224 pixels take 39 MB then."""
_SECONDS = 900


class AndroidSession(Session):
    """A variant and a runner on a phone; both are removed from it on closing."""

    def __init__(self, bundle: Bundle, variant: Variant, options: PhoneOptions) -> None:
        """Finds the phone and sends the variant and the runner.

        Raises:
            InputError: The variant is no TFLite file, no phone can be chosen, or the runner does
                not fit it.
            DamagedError: The variant is not a file of this bundle.
            MissingDependencyError: adb or the runner is missing.
            PhoneError: The phone or the cable failed.
        """
        runner = options.find_runner()
        if runner is None:
            raise MissingDependencyError(
                "A phone answers photos by a runner, which is not given; without one only its "
                "speed can be measured. Give one in ARTEFACT_ID_ANDROID_RUNNER; what it has to do "
                "stands in benchmarks/runtimes/android/inference.py."
            )
        self._tensor = _input_tensor(bundle, variant)
        self._objects = bundle.info.objects
        self._delegate: Delegate = options.delegate
        self._phone: Phone = choose(find_adb(options.adb), options.serial)
        check_program(runner, device_info(self._phone))
        with contextlib.ExitStack() as stack:
            stack.enter_context(device_folder(self._phone))
            self._phone.push_checked(bundle.path(variant), _MODEL)
            self._phone.push_checked(runner, _RUNNER)
            self._phone.shell(f"chmod 755 {_RUNNER}")
            self._stack = stack.pop_all()

    def predict(self, batch: Pixels) -> Probabilities:
        """`[N, H, W, 3]` uint8 RGB 0–255 → `[N, objects]` float32 probabilities.

        Raises:
            PhoneError: The runner failed or wrote something else than its contract says.
        """
        parts = [
            self._send(batch[start : start + _AT_ONCE]) for start in range(0, len(batch), _AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self._objects), dtype=np.float32)

    def close(self) -> None:
        """Removes everything from the phone.

        Raises:
            PhoneError: It cannot be removed.
        """
        self._stack.close()

    def __exit__(self, *reason: Any) -> None:
        self._stack.__exit__(*reason)  # an error in the block is told with one of removing

    def _send(self, photos: Pixels) -> Probabilities:
        with tempfile.TemporaryDirectory(prefix="artefact-id-") as folder:
            inputs, outputs = Path(folder) / "inputs", Path(folder) / "outputs"
            inputs.mkdir()
            names = [f"{number:06}.raw" for number in range(len(photos))]
            for name, photo in zip(names, photos, strict=True):
                (inputs / name).write_bytes(as_input(photo[None], self._tensor).tobytes())
            # The target of adb push and pull must not exist, or it is copied into it.
            self._phone.shell(f"rm -rf {_INPUTS} {_OUTPUTS} && mkdir {_OUTPUTS}")
            self._phone.push(inputs, _INPUTS)
            self._phone.shell(
                " ".join(
                    shlex.quote(word)
                    for word in (_RUNNER, _MODEL, _INPUTS, _OUTPUTS, self._delegate)
                ),
                seconds=_SECONDS,
            )
            self._phone.pull(_OUTPUTS, outputs)
            return np.stack([self._read(outputs / name) for name in names])

    def _read(self, path: Path) -> Probabilities:
        try:
            data = path.read_bytes()
        except OSError:
            raise PhoneError(
                f"The runner wrote no {path.name}; it has to write one file for each input."
            ) from None
        if len(data) != 4 * self._objects:
            raise PhoneError(
                f"The runner wrote {len(data)} bytes for a photo, not {4 * self._objects}: "
                f"{self._objects} probabilities as little-endian float32."
            )
        return np.frombuffer(data, dtype="<f4").astype(np.float32)


def _input_tensor(bundle: Bundle, variant: Variant) -> Tensor:
    """The input's type and scale.

    LiteRT opens the file here with all its checks, so that no phone is asked with a wrong one.
    """
    from ai_edge_litert.interpreter import Interpreter

    LitertRuntime().open(bundle, variant).close()
    with quiet():
        interpreter: Any = Interpreter(model_path=str(bundle.path(variant)))
    return Tensor.of(interpreter.get_input_details()[0])
