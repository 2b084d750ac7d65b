"""What the pages of one bundle's trials share: their head, their foot, how they are asked for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from benchmarks.measure.host import describe_host
from mobile_assets.schema import Document
from train.run import Run
from train.versions import created_now, versions


class Trial(Document):
    """The raw rows behind a page; what was measured comes in the classes made of this one.

    Attributes:
        photos: How many were asked about in each round.
        threads: Of the runtimes.
        busy_share: Share of the processors that other work took meanwhile, 0–1; null if unknown.
    """

    created: str
    host: dict[str, str]
    versions: dict[str, str]
    register_name: str
    backbone: str
    photos: int
    threads: int
    busy_share: float | None

    def told(self) -> dict[str, object]:
        """What a page says of it, by the names of the places in its text."""
        share = self.busy_share
        busy = "" if share is None else f"Other work took {100 * share:.0f} % of the processors."
        return {
            "photos": self.photos,
            "register": self.register_name,
            "backbone": self.backbone,
            "threads": self.threads,
            "busy": busy,
            "created": self.created,
            "host": ", ".join(f"{key} {value}" for key, value in self.host.items()),
            "versions": ", ".join(f"{key} {value}" for key, value in self.versions.items()),
        }


def about(run: Run, *, photos: int, busy: float | None) -> dict[str, Any]:
    """The fields of a `Trial` that was made just now, of a run, with all processors."""
    return {
        "created": created_now(),
        "host": describe_host(),
        "versions": versions(),
        "register_name": run.info.register_name,
        "backbone": run.info.backbone,
        "photos": photos,
        "threads": os.cpu_count() or 1,
        "busy_share": busy,
    }


def trial_parser(name: str, doc: str | None, *, count: int, rounds: int) -> argparse.ArgumentParser:
    """The command line of a trial.

    Args:
        name: Of the module in `benchmarks`.
        doc: What it does.
        count: How many photos are asked about by default.
        rounds: In how many rounds.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=doc)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle folder")
    parser.add_argument("--photos", type=Path, required=True, help="a register of its objects")
    parser.add_argument("--run", type=Path, help="the bundle's run, if it was moved")
    parser.add_argument("--table", type=Path, required=True, help="the page to write")
    parser.add_argument("--count", type=int, default=count, help=f"photos (default: {count})")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    return parser
