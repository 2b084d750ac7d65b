"""TFLite files on TensorFlow's own interpreter, a second opinion, in a process of its own.

In one process with coremltools, which imports TensorFlow when it is there, the order of imports
decides over a crash; and its pins of other packages may not fit the toolkit's. So it may also live
in another environment, whose Python `ARTEFACT_ID_TENSORFLOW_PYTHON` names.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys

from benchmarks.runtimes.interface import Runtime
from benchmarks.runtimes.subprocess_interpreter import SCRIPT, LaunchCommand, WorkerSession
from mobile_assets.bundle import Bundle, Variant

PYTHON_VARIABLE = "ARTEFACT_ID_TENSORFLOW_PYTHON"

REMEDY = (
    "Install it with: pip install 'artefact-id[tensorflow]'. Or install tensorflow in an "
    f"environment of its own, and give the path of that environment's Python in {PYTHON_VARIABLE}."
)


class TensorflowRuntime(Runtime):
    """Opens the TFLite variants of a bundle in TensorFlow's interpreter."""

    name = "tensorflow"
    format = "tflite"
    timed = False  # pixels go through a pipe, which would be timed as well

    def missing(self) -> str | None:
        """Whether TensorFlow seems to be there; nothing is imported."""
        named = os.environ.get(PYTHON_VARIABLE)
        if named:
            if shutil.which(named) is None:
                return f"{PYTHON_VARIABLE} is {named}, which is no program. {REMEDY}"
            return None
        if importlib.util.find_spec("tensorflow") is None:
            return f"TensorFlow is not installed. {REMEDY}"
        return None

    def _open(self, bundle: Bundle, variant: Variant, threads: int) -> WorkerSession:
        return WorkerSession(launch(), bundle, variant, threads=threads)


def launch() -> LaunchCommand:
    """How TensorFlow's worker is started: with the Python named, or this one."""
    named = os.environ.get(PYTHON_VARIABLE)
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    if named:
        # Paths of this environment's packages would come before those of the other one.
        for variable in ("PYTHONPATH", "PYTHONHOME"):
            environment.pop(variable, None)
    return LaunchCommand(
        name="TensorFlow's TFLite interpreter",
        command=(named or sys.executable, str(SCRIPT), "tensorflow"),
        environment=environment,
        remedy=REMEDY,
    )


RUNTIMES = (TensorflowRuntime(),)
