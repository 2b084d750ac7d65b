"""The command line of artefact-id: parse, call one function, print.

Heavy imports stand in the handlers, so that `--help` is quick and a part that is not installed
hurts only the commands that need it.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from artefact_id import (
    benchmark,
    demo,
    doctor,
    enrol,
    evaluate,
    export,
    gate,
    identify,
    import_register,
    inspect,
    scan,
    setup,
    sign,
    sweep,
    train,
    verify,
)
from artefact_id.options import SafeParser
from artefact_id.streams import output_failure, protect_streams
from mobile_assets.errors import ArtefactError, InputError, MissingDependencyError
from mobile_assets.output_lock import claimed
from mobile_assets.visible_text import visible

INTERRUPTED = 130
HALTED = "Interrupted: nothing half-written is left; the same command goes on where it can."

EXTRAS = {
    "torch": "train",
    "timm": "train",
    "safetensors": "train",
    "filelock": "train",
    "tensorboardX": "train",
    "litert_torch": "export",
    "ai_edge_quantizer": "export",
    "coremltools": "export",
    "flatbuffers": "export",
    "cryptography": "export",
    "jinja2": "benchmark",
    "matplotlib": "benchmark",
    "psutil": "benchmark",
    "mitsuba": "demo",
    "ray": "ray",
    "openpyxl": "import",
    "lxml": "import",
    "tomli_w": "import",
    "scipy": "benchmark",
    "sklearn": "figures",
    "umap": "figures",
    "captum": "figures",
    "usearch": "search",
}
"""Which extra of the package brings a module that may be missing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: Words after the program's name; None for the process's own.

    Returns:
        0 done, 1 a check or gate failed, 2 the user's input or environment is wrong,
        130 interrupted.
    """
    protect_streams()
    try:
        code = _run(arguments)
    except SystemExit:  # of the parser: its help, or its refusal
        if output_failure() is None:
            raise
        code = 0
    failure = output_failure()
    if failure is None or code:
        return code
    _complain(f"standard output: {failure.strerror}. Check where it goes: some of it was lost.")
    return InputError.exit_code


def _run(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    _quieten()
    try:
        with _claimed(options):
            return int(options.run(options) or 0)
    except KeyboardInterrupt as interrupt:
        if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
            print(f"\n{visible(str(interrupt) or HALTED)}", file=sys.stderr)
        return INTERRUPTED
    except (ArtefactError, OSError, ModuleNotFoundError) as error:
        if options.debug:
            raise
        translated = _translate(error)
        _complain(str(translated))
        return translated.exit_code


def _complain(message: str) -> None:
    """Prints an error; what follows a line break in it cannot be taken for a line of its own."""
    lines = re.sub(r"\n(?! )", "\n  ", visible(message, keep_lines=True))
    print(f"artefact-id: {lines}", file=sys.stderr)


def _claimed(options: argparse.Namespace) -> AbstractContextManager[None]:
    """Makes a command that writes `--out` its only writer, before it begins.

    Of several processes that torchrun starts, the first claims it, in the training itself.
    """
    out = getattr(options, "out", None)
    return nullcontext() if out is None or "RANK" in os.environ else claimed(out)


def _translate(error: Exception) -> ArtefactError:
    """Turns what the environment can cause into an error with a remedy."""
    if isinstance(error, ArtefactError):
        return error
    if isinstance(error, ModuleNotFoundError):
        name = (error.name or "").split(".")[0]
        if name not in EXTRAS:
            raise error
        return MissingDependencyError(
            f"This command needs {name}, which is not installed. "
            f"Install it with: pip install 'artefact-id[{EXTRAS[name]}]'"
        )
    return InputError(f"{error}. Check the path, its permissions and the free space on the disk.")


def _quieten() -> None:
    """Keeps third-party start-up chatter off the terminal; must run before those imports."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GLOG_minloglevel", "3")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = SafeParser(
        prog="artefact-id",
        description="Recognise one particular museum object on a phone, offline.",
        epilog="Start with `artefact-id demo`, which does the whole job on a generated register.\n"
        "Every command explains itself: `artefact-id train --help`.\n\n"
        "Exit codes: 0 done; 1 a check failed; 2 the input or environment is wrong; "
        "130 interrupted.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        demo.add_demo,
        import_register.add_import,
        inspect.add_inspect,
        train.add_train,
        evaluate.add_evaluate,
        export.add_export,
        verify.add_verify,
        sign.add_sign,
        benchmark.add_benchmark,
        gate.add_gate,
        gate.add_explain,
        sweep.add_sweep,
        identify.add_identify,
        scan.add_scan,
        enrol.add_enrol,
        enrol.add_merge,
        enrol.add_diff,
        setup.add_setup,
        doctor.add_doctor,
    ):
        add(commands)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"artefact-id {version('artefact-id')}"
    except PackageNotFoundError:
        return "artefact-id (not installed)"
