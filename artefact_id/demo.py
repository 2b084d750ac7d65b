"""The command `demo`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from artefact_id.benchmark import print_results
from artefact_id.options import command
from mobile_assets.visible_text import visible


def add_demo(commands: Any) -> None:
    """Adds the command `demo`."""
    parser = command(
        commands,
        "demo",
        _demo,
        "do the whole job on a generated register, start to report",
        "Renders museum objects, trains at the four thresholds, exports to TFLite and Core ML,\n"
        "and proves that the phone's models answer like the full-precision one: about 6 minutes\n"
        "on 2 processor cores. The report says what was left out for that; --full leaves nothing\n"
        "out and takes about four times as long. A demo that is broken off goes on when it is\n"
        "started again.\n\n"
        "  artefact-id demo\n"
        "  artefact-id demo --full --out full-demo\n"
        "  artefact-id demo --objects 4332 --only-photos --out paper-sized",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder (default: demo)")
    parser.add_argument("--force", action="store_true", help="replace a demo that is there")
    parser.add_argument(
        "--full",
        action="store_true",
        help="36 objects, every variant at every threshold, training and measuring as for a "
        "register of one's own",
    )
    parser.add_argument("--objects", type=int, help="how many objects (default: 24; paper: 4332)")
    parser.add_argument("--seed", type=int, default=2667, help="of objects, photos and training")
    parser.add_argument(
        "--extra-views", type=int, help="test photos per object beyond the register (default: 4)"
    )
    parser.add_argument("--field-views", type=int, help="field photos per object (default: 1)")
    parser.add_argument("--only-photos", action="store_true", help="render the register and stop")


def _demo(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal, messages
    from benchmarks.pipeline.demo import DemoOptions, run_demo

    chosen = DemoOptions(
        **{name: getattr(options, name) for name in DemoOptions.__dataclass_fields__}
    )
    with Terminal() as terminal:
        demo = run_demo(options.out, chosen, terminal.callbacks)
    if demo.results is not None:
        print_results(demo.results, demo.report)
        messages().print(
            visible(f"Try: artefact-id identify {demo.bundle} {demo.photo}"),
            markup=False,
            soft_wrap=True,
        )
