"""The command line of artefact-id: parse, call one function, print.

Heavy imports stand in the handlers, so that `--help` is quick and a part that is not installed
hurts only the commands that need it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mobile_assets.errors import ArtefactError, InputError, MissingDependencyError

INTERRUPTED = 130
HALTED = "Interrupted: nothing half-written is left; the same command goes on where it can."

DEFAULT_GATE = "default"
"""What `--gate` means without a file."""

ANDROID_OPTIONS = (
    (
        "--android-benchmark-model",
        "ARTEFACT_ID_BENCHMARK_MODEL",
        "LiteRT's benchmark_model for Android, for the runtime android",
    ),
    (
        "--android-runner",
        "ARTEFACT_ID_ANDROID_RUNNER",
        "program that answers photos on the phone, for accuracy there",
    ),
    ("--android-serial", "ANDROID_SERIAL", "which phone, where adb knows several"),
)
"""Options of the runtime android, and the environment variables that they set."""

KEYS_HELP = (
    "Make a pair of keys with OpenSSL 3, and keep key.pem to yourself:\n"
    "  openssl genpkey -algorithm ed25519 -out key.pem\n"
    "  openssl pkey -in key.pem -pubout -out public.pem\n"
    "The password of an encrypted key is asked for, or taken from ARTEFACT_ID_KEY_PASSWORD."
)

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
    "scipy": "benchmark",
    "sklearn": "figures",
    "umap": "figures",
    "captum": "figures",
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
    options = build_parser().parse_args(arguments)
    _quieten()
    try:
        return int(options.run(options) or 0)
    except KeyboardInterrupt as interrupt:
        if os.environ.get("RANK", "0") == "0":  # of several processes, one speaks
            print(f"\n{interrupt}" if str(interrupt) else f"\n{HALTED}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ArtefactError, OSError, ModuleNotFoundError) as error:
        if options.debug:
            raise
        translated = _translate(error)
        print(f"artefact-id: {translated}", file=sys.stderr)
        return translated.exit_code


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
    parser = argparse.ArgumentParser(
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
        _add_demo,
        _add_inspect,
        _add_train,
        _add_evaluate,
        _add_export,
        _add_verify,
        _add_sign,
        _add_benchmark,
        _add_gate,
        _add_explain,
        _add_sweep,
        _add_identify,
        _add_setup,
        _add_doctor,
    ):
        add(commands)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"artefact-id {version('artefact-id')}"
    except PackageNotFoundError:
        return "artefact-id (not installed)"


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], help_: str, more: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_,
        description=help_[0].upper() + help_[1:] + ".",
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)
    return parser


PHOTOS_HELP = (
    "a folder ROOT/<object>/<photo> or ROOT/<collection>/<object>/<photo>, "
    "or a manifest (.csv, .jsonl)"
)


def _add_photos(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help=PHOTOS_HELP)
    _add_layout(parser)


def _add_layout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--layout",
        choices=("auto", "object", "collection", "manifest", "durham"),
        default="auto",
        help="how folders are meant, where it is ambiguous (default: auto)",
    )


def _add_out(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar=what, help="folder to write")
    parser.add_argument("--force", action="store_true", help="replace a folder that is there")


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument(
        "--backbone",
        default="tf_efficientnet_lite0",
        metavar="NAME",
        help="efficientnet-b0 to -b7, efficientnet-lite0 to -lite4, resnet-rs-101, inception-v3, "
        "inception-v4, or any name of timm's (default: %(default)s)",
    )
    group.add_argument("--recipe", default="field", help="field (default), paper or probe")
    group.add_argument(
        "--head", help="paper, linear, embedding or embedding-N (default: the recipe's)"
    )
    group.add_argument("--epochs", type=int, help="passes over all weights (default: the recipe's)")
    group.add_argument(
        "--patience",
        type=int,
        metavar="EPOCHS",
        help="end after so many epochs of all weights without a better validation; a falling rate "
        "is then brought down early, not broken off (default: never)",
    )
    group.add_argument("--seed", type=int, default=0, help="of the split and the training")
    group.add_argument(
        "--split",
        choices=("stratified", "paper", "manifest"),
        help="how photos are divided into training, validation and test (default: the recipe's "
        "way; field: stratified)",
    )
    group.add_argument("--input-size", type=int, metavar="PIXELS", help="side of the input")
    group.add_argument("--weights", type=Path, metavar="FILE", help="ImageNet weights of your own")
    group.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: auto"
    )
    group.add_argument("--cache", type=Path, metavar="DIR", help="folder of prepared photos")


def _train_options(options: argparse.Namespace, **changes: Any) -> Any:
    from train.plan import TrainOptions

    chosen = {
        name: getattr(options, name)
        for name in TrainOptions.__dataclass_fields__
        if hasattr(options, name)
    }
    return TrainOptions(**(chosen | changes))


# --- demo -----------------------------------------------------------------------------------------


def _add_demo(commands: Any) -> None:
    parser = _command(
        commands,
        "demo",
        _demo,
        "do the whole job on a generated register, start to report",
        "Renders museum objects, trains at the four thresholds, exports to TFLite and Core ML,\n"
        "and proves that the phone's models answer like the full-precision one.\n\n"
        "  artefact-id demo\n"
        "  artefact-id demo --objects 4332 --only-photos --out paper-sized",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder (default: demo)")
    parser.add_argument("--force", action="store_true", help="replace a demo that is there")
    parser.add_argument("--objects", type=int, help="how many objects (default: 36; paper: 4332)")
    parser.add_argument("--seed", type=int, default=2667, help="of objects, photos and training")
    parser.add_argument(
        "--extra-views", type=int, help="test photos per object beyond the register"
    )
    parser.add_argument("--field-views", type=int, help="field photos per object")
    parser.add_argument("--only-photos", action="store_true", help="render the register and stop")


def _demo(options: argparse.Namespace) -> None:
    from benchmarks.demo import DemoOptions, run_demo
    from benchmarks.terminal import Terminal

    given = {
        name: getattr(options, name)
        for name in ("objects", "seed", "extra_views", "field_views", "only_photos", "force")
        if getattr(options, name) is not None
    }
    with Terminal() as terminal:
        run_demo(options.out, DemoOptions(**given), terminal)


# --- inspect --------------------------------------------------------------------------------------


def _add_inspect(commands: Any) -> None:
    parser = _command(
        commands,
        "inspect",
        _inspect,
        "show what a register holds and what is wrong with it",
        "Decodes every photo once. Unreadable photos are listed with the reason.",
    )
    _add_photos(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _inspect(options: argparse.Namespace) -> None:
    from benchmarks.terminal import Terminal
    from train.inspection import inspect

    _register_heif()
    with Terminal() as terminal:
        found = inspect(
            options.photos, layout=options.layout, progress=terminal.progress("decoding photos")
        )
        terminal.inspection(found, json=options.json)


# --- train ----------------------------------------------------------------------------------------


def _add_train(commands: Any) -> None:
    parser = _command(
        commands,
        "train",
        _train,
        "fine-tune one model, each object a class of its own",
        "  artefact-id train photos --out run\n"
        "  artefact-id train photos --out run --min-photos 5 --recipe paper --split paper\n\n"
        "A training that is broken off goes on when the same command is given again. Several GPUs\n"
        "or processes train together when torchrun starts it:\n\n"
        "  torchrun --nproc-per-node 2 -m artefact_id train photos --out run",
    )
    _add_photos(parser)
    _add_out(parser, "RUN")
    parser.add_argument(
        "--min-photos", type=int, default=3, help="leave out objects with fewer (default: 3)"
    )
    parser.add_argument(
        "--no-test",
        dest="hold_out_test",
        action="store_false",
        help="hold out validation photos only: test photos come from elsewhere",
    )
    _add_training(parser)


def _train(options: argparse.Namespace) -> None:
    from benchmarks.terminal import Terminal
    from train.parallel import is_first_process
    from train.trainer import train_run

    _register_heif()
    with Terminal() as terminal:
        run = train_run(options.photos, options.out, _train_options(options), terminal.reporter())
        if is_first_process():
            terminal.trained(run)


# --- evaluate -------------------------------------------------------------------------------------


def _add_evaluate(commands: Any) -> None:
    parser = _command(
        commands,
        "evaluate",
        _evaluate,
        "show the accuracy of a run, or of several that vote, in tables and figures",
        "  artefact-id evaluate run --photos photos --out evaluation\n"
        "  artefact-id evaluate run1 run2 run3 --photos photos --out evaluation\n"
        "  artefact-id evaluate run --photos photos --json\n\n"
        "Several runs must be of the same register; they vote by the mean of their probabilities.\n"
        "Photos that any of them trained on or validated with are left out.",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of `train`")
    parser.add_argument("--photos", type=Path, required=True, help="the register: " + PHOTOS_HELP)
    parser.add_argument(
        "--test-photos", type=Path, help="further photos of the same objects, tested as well"
    )
    _add_layout(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for tables and the page")
    parser.add_argument("--force", action="store_true", help="replace a folder that is there")
    parser.add_argument("--json", action="store_true", help="print evaluation.json")
    parser.add_argument(
        "--figures",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="draw figures into --out (default: yes)",
    )
    parser.add_argument(
        "--resamples", type=int, default=1000, help="draws for the intervals (default: 1000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws and figures (default: 0)")
    parser.add_argument("--latency-runs", type=int, default=15, help="timed runs (default: 15)")


def _evaluate(options: argparse.Namespace) -> None:
    from benchmarks.evaluation.evaluate import EvaluateOptions, evaluate_runs
    from benchmarks.evaluation.printing import print_evaluation
    from benchmarks.terminal import Terminal

    _register_heif()
    for name, least in (("resamples", 0), ("latency_runs", 0), ("seed", 0)):
        value = getattr(options, name)
        if value < least:
            raise InputError(f"--{name.replace('_', '-')} {value}: give {least} or more.")
    with Terminal() as terminal:
        evaluation = evaluate_runs(
            options.runs,
            options.photos,
            further=options.test_photos,
            out=options.out,
            options=EvaluateOptions(
                resamples=options.resamples,
                seed=options.seed,
                latency_runs=options.latency_runs,
                figures=options.figures,
                layout=options.layout,
                force=options.force,
            ),
            progress=terminal.step,
        )
    print_evaluation(evaluation, options.out, json=options.json)


# --- export ---------------------------------------------------------------------------------------


def _add_export(commands: Any) -> None:
    parser = _command(
        commands,
        "export",
        _export,
        "convert and quantise a run, write a bundle for the phone",
        "  artefact-id export run --photos photos --out bundle\n"
        "  artefact-id export run --photos photos --out bundle --variants tflite-int8\n"
        "  artefact-id export run --photos photos --out bundle --golden 5 --sign key.pem\n\n"
        + KEYS_HELP,
    )
    parser.add_argument("source", type=Path, metavar="RUN", help="folder that `train` wrote")
    parser.add_argument(
        "--photos", type=Path, help="the register that the run was trained on, for calibration"
    )
    _add_out(parser, "BUNDLE")
    parser.add_argument("--variants", help="comma-separated names (default: all)")
    parser.add_argument("--name", help="name of the bundle (default: the folder's)")
    parser.add_argument("--calibration-photos", type=int, default=128, help="default: 128")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of photos")
    parser.add_argument(
        "--golden",
        nargs="+",
        metavar="N|PHOTO",
        default=(),
        help="golden vectors of N validation photos, or of these photos, besides the drawn ones "
        "that every bundle has; the photos go into the bundle as they are, with all that their "
        "EXIF data tell, such as the place",
    )
    parser.add_argument(
        "--no-golden", dest="make_golden", action="store_false", help="no golden vectors at all"
    )
    parser.add_argument(
        "--sign", type=Path, metavar="KEY", help="sign the bundle with this private Ed25519 key"
    )


def _export(options: argparse.Namespace) -> None:
    from benchmarks.terminal import Terminal
    from benchmarks.verify.predictor import golden_plan
    from export import VARIANTS, ExportOptions, export_bundle
    from train.run import read_run

    _register_heif()
    chosen = ExportOptions(
        variants=tuple(options.variants.split(",")) if options.variants else VARIANTS,
        name=options.name or options.out.name,
        calibration_photos=options.calibration_photos,
        seed=options.seed,
        force=options.force,
    )
    if options.golden and not options.make_golden:
        raise InputError("--golden and --no-golden exclude each other. Give one of them.")
    with Terminal() as terminal:
        bundle = export_bundle(
            read_run(options.source),
            options.out,
            options=chosen,
            photos=_photo_root(options.photos),
            golden=golden_plan(options.golden, seed=options.seed) if options.make_golden else None,
            signer=_signer(options.sign, terminal.say) if options.sign else None,
            progress=terminal.say,
        )
        terminal.exported(bundle)


def _photo_root(photos: Path | None) -> Path | None:
    """Paths in a run are relative to the folder, or to the manifest's folder."""
    return photos.parent if photos is not None and photos.is_file() else photos


def _signer(key: Path, say: Callable[[str], None]) -> Any:
    """Reads a private key, asking for its password if it has one."""
    from getpass import getpass

    from export.signing import Signer

    return Signer.read(key, ask=getpass if sys.stdin.isatty() else None, say=say)


# --- verify, sign ---------------------------------------------------------------------------------


def _add_verify(commands: Any) -> None:
    parser = _command(
        commands,
        "verify",
        _verify,
        "check a bundle: files, labels, metadata, golden vectors on every runtime here, signature",
        "  artefact-id verify bundle\n"
        "  artefact-id verify bundle --trust public.pem --junit verify.xml\n"
        "  artefact-id verify bundle --runtimes tensorflow,litert-arm64\n"
        "  artefact-id verify bundle --clients --photos photos/a.jpg photos/b.jpg\n\n"
        "Exit codes: 0 nothing failed; 1 a check failed; 2 this is no bundle, or the machine lacks "
        "what was asked for.\n\n" + KEYS_HELP,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    parser.add_argument(
        "--trust", type=Path, metavar="KEY", help="refuse it unless this public key signed it"
    )
    parser.add_argument(
        "--runtimes",
        metavar="NAMES",
        help="comma-separated, besides those that are quick and here: tensorflow, litert-arm64, "
        "android",
    )
    parser.add_argument(
        "--clients",
        action="store_true",
        help="also open it as apps do: MediaPipe's ImageClassifier, LiteRT's CompiledModel, "
        "TensorFlow's interpreter (`artefact-id setup mediapipe` brings the first)",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        nargs="+",
        metavar="PHOTO",
        help="what --clients shows them (default: drawn pictures)",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the checks as JUnit XML")
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def _verify(options: argparse.Namespace) -> int:
    from benchmarks.terminal import Terminal
    from benchmarks.verify import verify_bundle
    from benchmarks.verify.printing import print_verification, write_verification_junit

    _register_heif()
    if options.photos and not options.clients:
        raise InputError("--photos are what --clients shows: give --clients, or leave them out.")
    trusted = None
    if options.trust:
        from export.signing import read_public_key

        trusted = read_public_key(options.trust)
    with Terminal() as terminal:
        found = verify_bundle(
            options.bundle,
            trusted=trusted,
            runtimes_named=tuple(options.runtimes.split(",")) if options.runtimes else (),
            progress=lambda check: terminal.say(
                " ".join(filter(None, (check.name, check.subject, check.runtime)))
            ),
        )
        if options.clients:
            from benchmarks.clients import with_clients

            terminal.say("showing it to MediaPipe, CompiledModel and TensorFlow")
            found = with_clients(found, options.photos or ())
    print_verification(found, json=options.json)
    if options.junit:
        write_verification_junit(options.junit, found)
    return 1 if found.failed else 0


def _add_sign(commands: Any) -> None:
    parser = _command(
        commands,
        "sign",
        _sign,
        "sign a bundle that is already there, so that `verify --trust` can tell a changed one",
        "  artefact-id sign bundle --key key.pem\n\n" + KEYS_HELP,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    parser.add_argument(
        "--key", type=Path, required=True, metavar="KEY", help="private Ed25519 key, PEM"
    )
    parser.add_argument("--force", action="store_true", help="replace the signature that is there")


def _sign(options: argparse.Namespace) -> None:
    from benchmarks.terminal import Terminal
    from mobile_assets.bundle import SIGNATURE_FILE, read_bundle

    with Terminal() as terminal:
        signer = _signer(options.key, terminal.say)
        bundle = read_bundle(options.bundle)
        if (bundle.folder / SIGNATURE_FILE).exists() and not options.force:
            raise InputError(f"{bundle.folder} is already signed. Give --force to sign it anew.")
        signature = signer.sign(bundle.folder)
        terminal.say(f"{bundle.folder}: signed by {signature.public_key}")


# --- benchmark ------------------------------------------------------------------------------------


def _add_benchmark(commands: Any) -> None:
    parser = _command(
        commands,
        "benchmark",
        _benchmark,
        "compare every variant with the full-precision model, write a report",
        "  artefact-id benchmark bundle --photos photos --out report\n"
        "  artefact-id benchmark bundle --photos photos --test-photos more --out report\n"
        "  artefact-id benchmark bundle --photos photos --out report --gate --junit gates.xml\n"
        "  artefact-id benchmark bundle --photos photos --out report --against earlier",
    )
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="bundle folders")
    parser.add_argument("--photos", type=Path, required=True, help="the register: " + PHOTOS_HELP)
    parser.add_argument(
        "--test-photos", type=Path, help="further photos of the same objects, tested as well"
    )
    parser.add_argument("--run", type=Path, dest="run_folder", help="run of the (one) bundle")
    _add_layout(parser)
    _add_out(parser, "REPORT")
    _add_measuring(parser)
    parser.add_argument("--json", action="store_true", help="print results.json")


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("measuring")
    group.add_argument("--latency-runs", type=int, default=50, help="timed runs (default: 50)")
    group.add_argument("--threads", default="1,2,4", help="comma-separated (default: 1,2,4)")
    group.add_argument(
        "--runtimes",
        metavar="NAMES",
        help="comma-separated: litert, tensorflow, litert-arm64, coreml, coreml-reference, android "
        "(default: those that are quick and here; `doctor` lists them)",
    )
    for option, variable, what in ANDROID_OPTIONS:
        group.add_argument(option, metavar="WHICH", help=f"{what} (or ${variable})")
    group.add_argument("--limit", type=int, help="test at most so many photos")
    group.add_argument(
        "--preprocessing",
        type=int,
        default=200,
        metavar="PHOTOS",
        help="photos on which the cost of each phone's own resampling and of usual mistakes is "
        "measured, at the lowest threshold; 0 for none (default: 200)",
    )
    group.add_argument(
        "--no-speed", dest="measure_speed", action="store_false", help="accuracy only"
    )
    _add_judging(parser)


def _add_judging(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("judging")
    group.add_argument(
        "--gate",
        nargs="?",
        const=DEFAULT_GATE,
        metavar="GATES",
        help="hold the results against a gates file (without a name: the toolkit's own); exit "
        "code 1 and a list if anything does not hold",
    )
    group.add_argument(
        "--junit", type=Path, metavar="FILE", help="write what the gate found as JUnit XML"
    )
    group.add_argument(
        "--against",
        type=Path,
        metavar="OLD",
        help="say what got better or worse than in an earlier results.json, and whether beyond "
        "noise",
    )


def _asked(options: argparse.Namespace) -> Any:
    """What is asked of the results, its files read before anything is measured."""
    from benchmarks.gates import DEFAULT_GATES
    from benchmarks.judging import Asked

    gate = options.gate and (DEFAULT_GATES if options.gate == DEFAULT_GATE else Path(options.gate))
    return Asked.read(gate, options.junit, options.against)


def _benchmark_options(options: argparse.Namespace, asked: Any) -> Any:
    from benchmarks.benchmark import BenchmarkOptions

    for option, variable, _ in ANDROID_OPTIONS:
        given = getattr(options, option.strip("-").replace("-", "_"))
        if given:  # the runtime reads the variable, so that it is the same with and without us
            os.environ[variable] = given
    try:
        threads = tuple(int(word) for word in options.threads.split(","))
    except ValueError:
        raise InputError(f"--threads {options.threads}: give numbers such as 1,2,4.") from None
    return BenchmarkOptions(
        runtimes=tuple(options.runtimes.split(",")) if options.runtimes else None,
        preprocessing=options.preprocessing,
        latency_runs=options.latency_runs,
        threads=threads,
        limit=options.limit,
        measure_speed=options.measure_speed,
        gates=asked.gates,
        force=options.force,
    )


def _benchmark(options: argparse.Namespace) -> None:
    from benchmarks.sweep import benchmark_bundles
    from benchmarks.terminal import Terminal

    _register_heif()
    asked = _asked(options)
    with Terminal() as terminal:
        results = benchmark_bundles(
            options.bundles,
            options.photos,
            options.out,
            test_photos=options.test_photos,
            run=options.run_folder,
            layout=options.layout,
            options=_benchmark_options(options, asked),
            terminal=terminal,
        )
        terminal.results(results, options.out, json=options.json)
    asked.answer(results, report=options.out, json=options.json)


# --- gate -----------------------------------------------------------------------------------------


def _add_gate(commands: Any) -> None:
    parser = _command(
        commands,
        "gate",
        _gate,
        "hold results that are already measured against a gate, or against earlier ones",
        "  artefact-id gate report\n"
        "  artefact-id gate report/results.json --gate gates.json --junit gates.xml\n"
        "  artefact-id gate report --against earlier/report\n\n"
        "Without --gate and --against, the toolkit's own gate is held.",
    )
    parser.add_argument(
        "results", type=Path, metavar="RESULTS", help="results.json, or the report's folder"
    )
    _add_judging(parser)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def _gate(options: argparse.Namespace) -> None:
    from benchmarks.against import read_results

    if options.gate is None and options.against is None:
        options.gate = DEFAULT_GATE
    asked = _asked(options)
    asked.answer(read_results(options.results), report=None, json=options.json)


# --- explain --------------------------------------------------------------------------------------


def _add_explain(commands: Any) -> None:
    parser = _command(
        commands,
        "explain",
        _explain,
        "which mistake in an app makes the accuracy that it has",
        "  artefact-id explain report --top1 0.61 --photos 120\n\n"
        "Looks up a measured share of right answers among what each way of making the network's\n"
        "input costs: swapped channels, a wrong range, a missed rotation, a phone's resampling.",
    )
    parser.add_argument(
        "results", type=Path, metavar="RESULTS", help="results.json, or the report's folder"
    )
    parser.add_argument(
        "--top1", type=float, required=True, help="share of photos that the app is right on, 0–1"
    )
    parser.add_argument(
        "--photos", type=int, required=True, help="number of photos that the app was tried on"
    )
    parser.add_argument("--json", action="store_true", help="print the ways that fit as JSON")


def _explain(options: argparse.Namespace) -> None:
    from benchmarks.against import read_results
    from benchmarks.preprocessing.lookup import recognise
    from benchmarks.terminal import Terminal

    costs = read_results(options.results).preprocessing
    if not costs:
        raise InputError(
            f"{options.results} does not hold what ways of making the input cost. "
            "Measure again without --preprocessing 0."
        )
    found = recognise(costs, options.top1, options.photos)
    with Terminal() as terminal:
        terminal.explained(found, json=options.json)


# --- sweep ----------------------------------------------------------------------------------------


def _add_sweep(commands: Any) -> None:
    parser = _command(
        commands,
        "sweep",
        _sweep,
        "train, export and benchmark at the four thresholds",
        "  artefact-id sweep photos --out sweep\n\n"
        "Writes DIR/min3 … DIR/min6, each with a run and a bundle, and DIR/report.\n"
        "A sweep that was broken off goes on where it stopped when it is called again.",
    )
    _add_photos(parser)
    _add_out(parser, "DIR")
    parser.add_argument(
        "--thresholds", default="3,4,5,6", help="comma-separated (default: 3,4,5,6)"
    )
    parser.add_argument("--test-photos", type=Path, help="further photos of the same objects")
    parser.add_argument("--variants", help="comma-separated names (default: all)")
    parser.add_argument(
        "--compare",
        metavar="RECIPES",
        help="comma-separated recipes to compare with, such as probe",
    )
    _add_training(parser)
    _add_measuring(parser)
    parser.add_argument("--json", action="store_true", help="print results.json")


def _sweep(options: argparse.Namespace) -> None:
    from benchmarks.sweep import SweepOptions, run_sweep
    from benchmarks.terminal import Terminal

    _register_heif()
    try:
        thresholds = tuple(int(word) for word in options.thresholds.split(","))
    except ValueError:
        raise InputError(f"--thresholds {options.thresholds}: give numbers such as 3,4.") from None
    asked = _asked(options)
    with Terminal() as terminal:
        results = run_sweep(
            options.photos,
            options.out,
            SweepOptions(
                train=_train_options(options, hold_out_test=options.test_photos is None),
                benchmark=_benchmark_options(options, asked),
                thresholds=thresholds,
                test_photos=options.test_photos,
                variants=tuple(options.variants.split(",")) if options.variants else None,
                references=tuple(
                    (threshold, recipe)
                    for threshold in thresholds
                    for recipe in (options.compare or "").split(",")
                    if recipe
                ),
                force=options.force,
            ),
            terminal,
        )
        terminal.results(results, options.out / "report", json=options.json)
    asked.answer(results, report=options.out / "report", json=options.json)


# --- identify -------------------------------------------------------------------------------------


def _add_identify(commands: Any) -> None:
    parser = _command(
        commands,
        "identify",
        _identify,
        "answer as the phone would, from the bundle alone",
        "  artefact-id identify bundle photo.jpg\n"
        "  artefact-id identify bundle *.jpg --top 10 --json",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `export` wrote")
    parser.add_argument("pictures", type=Path, nargs="+", metavar="PHOTO", help="photos")
    parser.add_argument("--variant", default="tflite-int8", help="default: tflite-int8")
    parser.add_argument("--top", type=int, default=5, help="length of the shortlist (default: 5)")
    parser.add_argument("--json", action="store_true", help="print the answers as JSON")


def _identify(options: argparse.Namespace) -> int:
    from benchmarks.identify import identify
    from benchmarks.terminal import Terminal

    _register_heif()
    if options.top < 1:
        raise InputError(f"--top {options.top}: give 1 or more.")
    with Terminal() as terminal:
        answers = identify(
            options.bundle, options.pictures, variant=options.variant, top=options.top
        )
        terminal.answers(answers, json=options.json)
    # Photos that could be read are answered; the others still make the call a failed one.
    return 2 if any(answer.error for answer in answers) else 0


# --- setup ----------------------------------------------------------------------------------------


def _add_setup(commands: Any) -> None:
    parser = _command(
        commands,
        "setup",
        _setup,
        "prepare a runtime or client that pip alone cannot bring",
        "  artefact-id setup litert-arm64\n"
        "  artefact-id setup mediapipe\n"
        "  artefact-id benchmark bundle --photos photos --runtimes litert,litert-arm64 --out report"
        "\n\n"
        "litert-arm64 is the 64-bit Arm build of LiteRT, with the kernels that a phone uses,\n"
        "executed by the emulator QEMU: what a phone answers, without a phone. Its times are an\n"
        "emulator's and are never reported.\n\n"
        "Downloads about 140 MB: QEMU and an Arm Python from a Debian mirror, LiteRT and numpy\n"
        "from the package index that pip is configured with. They are unpacked in\n"
        "~/.cache/artefact-id/arm64 (or $XDG_CACHE_HOME/artefact-id/arm64) and take 215 MB; 600\n"
        "MB must be free. Nothing is installed, root is not needed; delete the folder to undo it.\n"
        "Needs Linux with apt-get, dpkg, pip and Debian's keys (debian-archive-keyring).\n\n"
        "mediapipe is MediaPipe Tasks, whose ImageClassifier `verify --clients` asks. Its\n"
        "packages do not fit the toolkit's and get an environment of their own beside it: 520 MB.",
    )
    parser.add_argument("part", choices=("litert-arm64", "mediapipe"), help="what to prepare")
    parser.add_argument(
        "--mirror",
        metavar="URL",
        help="Debian mirror, such as https://HOST/debian (default: the one apt is configured with)",
    )
    parser.add_argument(
        "--force", action="store_true", help="prepare it anew though it is there and complete"
    )


def _setup(options: argparse.Namespace) -> None:
    if options.part == "mediapipe":
        _setup_mediapipe(options)
        return
    from benchmarks.runtimes.arm64_setup import set_up_arm64
    from benchmarks.runtimes.litert_arm64 import setup_folder
    from benchmarks.terminal import Terminal

    with Terminal() as terminal:
        made = set_up_arm64(mirror=options.mirror, force=options.force, progress=terminal.step)
    print(
        f"{options.part} is ready: LiteRT {made.litert}, Python {made.versions['python']}, "
        f"numpy {made.versions['numpy']}, {made.bytes / 1e6:.0f} MB in {setup_folder()}"
    )


def _setup_mediapipe(options: argparse.Namespace) -> None:
    from benchmarks.clients.mediapipe_setup import set_up_mediapipe, setup_folder
    from benchmarks.terminal import Terminal

    if options.mirror is not None:
        raise InputError("--mirror is of litert-arm64: MediaPipe comes from pip's package index.")
    with Terminal() as terminal:
        made = set_up_mediapipe(force=options.force, progress=terminal.step)
    print(
        f"mediapipe is ready: MediaPipe {made.mediapipe}, Python {made.versions['python']}, "
        f"numpy {made.versions['numpy']}, {made.bytes / 1e6:.0f} MB in {setup_folder()}"
    )


# --- doctor ---------------------------------------------------------------------------------------


def _add_doctor(commands: Any) -> None:
    parser = _command(
        commands, "doctor", _doctor, "show what is installed and what each part can do here", ""
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _doctor(options: argparse.Namespace) -> None:
    from benchmarks.doctor import diagnose
    from benchmarks.terminal import Terminal

    with Terminal() as terminal:
        terminal.diagnosis(diagnose(), json=options.json)


def _register_heif() -> None:
    """Teaches Pillow to read HEIC, what an iPhone takes."""
    import pillow_heif

    pillow_heif.register_heif_opener()


if __name__ == "__main__":
    sys.exit(main())
