"""What the commands' parsers share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mobile_assets.visible_text import visible


class SafeParser(argparse.ArgumentParser):
    """Quotes what was given without passing on what a terminal would obey."""

    def error(self, message: str) -> NoReturn:
        """Refuses the words that were given, with exit code 2."""
        super().error(visible(message))


def command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], help_: str, more: str
) -> argparse.ArgumentParser:
    """A parser of one command, with an epilog that teaches."""
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


def add_photos(parser: argparse.ArgumentParser) -> None:
    """The photos as the first word, and how folders are meant."""
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help=PHOTOS_HELP)
    add_layout(parser)


def add_layout(parser: argparse.ArgumentParser) -> None:
    """How folders of photos are meant."""
    parser.add_argument(
        "--layout",
        choices=("auto", "object", "collection", "manifest", "durham"),
        default="auto",
        help="how folders are meant, where it is ambiguous (default: auto)",
    )


def add_out(parser: argparse.ArgumentParser, what: str) -> None:
    """Where to write, and whether to replace what is there."""
    parser.add_argument("--out", type=Path, required=True, metavar=what, help="folder to write")
    parser.add_argument("--force", action="store_true", help="replace a folder that is there")


def add_training(parser: argparse.ArgumentParser) -> None:
    """How a model is trained."""
    group = parser.add_argument_group("training")
    group.add_argument(
        "--backbone",
        metavar="NAME",
        help="efficientnet-b0 to -b7, efficientnet-lite0 to -lite4, resnet-rs-101, inception-v3, "
        "inception-v4, or any name of timm's (default: tf_efficientnet_lite0)",
    )
    group.add_argument(
        "--recipe",
        help="discriminant (default; field for a head without an embedding), field, paper, probe "
        "or whole",
    )
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
        "way; discriminant: stratified)",
    )
    group.add_argument(
        "--hold-out-objects",
        type=float,
        metavar="SHARE",
        help="of the objects, kept out of training and enrolled at the end, to set thresholds on: "
        "at least 16, and none of fewer than 32 objects; 0 for none (default: the recipe's; "
        "discriminant: 0.1, with --split stratified)",
    )
    group.add_argument(
        "--fit-validation",
        action=argparse.BooleanOptionalAction,
        help="fit a head in closed form to the validation photos too, once it is validated without "
        "(default: the recipe's; discriminant: yes)",
    )
    group.add_argument("--input-size", type=int, metavar="PIXELS", help="side of the input")
    group.add_argument("--weights", type=Path, metavar="FILE", help="ImageNet weights of your own")
    group.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: auto"
    )
    group.add_argument("--cache", type=Path, metavar="DIR", help="folder of prepared photos")
    _add_teacher(parser)


def _add_teacher(parser: argparse.ArgumentParser) -> None:
    """Which network guides the training."""
    group = parser.add_argument_group("teacher")
    group.add_argument(
        "--teacher",
        metavar="RUN|NAME|NAME=FILE",
        help="a larger network that guides this one while all weights are trained: a run folder, "
        "a name of timm's, or with a file of its weights (default: none)",
    )
    group.add_argument(
        "--teacher-weight",
        type=float,
        metavar="W",
        help="what the teacher's loss is multiplied by (default: 1)",
    )
    group.add_argument(
        "--teacher-size",
        type=int,
        metavar="PIXELS",
        help="side of the teacher's input (default: its own)",
    )


def train_options(options: argparse.Namespace, **changes: Any) -> Any:
    """The options of training that were given, with `changes` in place."""
    from train.training_plan import TrainOptions

    chosen = {
        name: getattr(options, name)
        for name in TrainOptions.__dataclass_fields__
        if getattr(options, name, None) is not None
    }
    return TrainOptions(**(chosen | changes))


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Whose signature a bundle must have."""
    parser.add_argument(
        "--trust", type=Path, metavar="KEY", help="refuse it unless this public key signed it"
    )


def trusted_key(options: argparse.Namespace) -> Any:
    """The key of `--trust`; None without it."""
    if options.trust is None:
        return None
    from export.bundle.signing import read_public_key

    return read_public_key(options.trust)


def photo_root(photos: Path | None) -> Path | None:
    """Paths in a run are relative to the folder, or to the manifest's folder."""
    from train.registers.readers import register_root

    return None if photos is None else register_root(photos)


def register_heif() -> None:
    """Teaches Pillow to read HEIC, what an iPhone takes, where its extra is installed."""
    from train import heic

    heic.register_heif()
