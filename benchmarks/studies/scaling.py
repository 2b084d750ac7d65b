"""A register of the paper's size: what inspecting, preparing and one epoch of training take.

    python -m benchmarks.studies.scaling --out DIR --table benchmarks/studies/scaling.md

Generates 4,332 objects with 24,502 photos, as many per object and collection as the paper has, and
a register a tenth as large, and runs each stage on both in a process of its own. Stages that are
done are not done again: the same command goes on where it was broken off.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from pathlib import Path

from benchmarks.studies.synthetic_register import generate
from mobile_assets.errors import ArtefactError, CheckFailedError, DamagedError
from mobile_assets.files import write_text
from mobile_assets.schema import Document, Record

STAGES = ("inspect", "prepare", "train")
LIMIT_GB = 6.0
LIMIT_RATIO = 1.3
METRIC = "peak of the summed resident memory (RSS) of the process and all it started, sampled"

TEXT = """\
# A register of the paper's size

Generated registers of {large:,} and {small:,} photos ({size}, every {every}th of 12 megapixels;
seed {seed}). Each stage ran in a process of its own; training is one epoch of the default recipe
after its head's, with tf_efficientnet_lite0 at 224 pixels. Regenerate with

    python -m benchmarks.studies.scaling --out DIR --objects {objects} --seed {seed} --table PAGE

| stage | photos | wall time, s | processor time, s | ms per photo | peak memory, GB |
|---|---|---|---|---|---|
{rows}
| stage | ms per photo, large to small register (wanted: at most {limit_ratio}) |
|---|---|
{ratios}
Memory: {metric}; wanted: at most {limit_gb:g} GB. Measured on {host}.
"""


class Stage(Document):
    """One stage on one register.

    Attributes:
        register_name: `large` or `small`.
        stage: One of `STAGES`.
        photos: Photos of the register.
        seconds: Wall time of the work, without the start of the process and its imports, which
            would hide in the small register what the large one costs more.
        cpu_seconds: Processor time of the process and its children.
        peak_bytes: Memory, by `METRIC`.
    """

    register_name: str
    stage: str
    photos: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int


class Scale(Document):
    """The raw rows behind the page."""

    objects: int
    seed: int
    photo_size: tuple[int, int]
    every: int
    host: dict[str, str]
    stages: tuple[Stage, ...]


class Ratio(Record):
    """Time per photo of the large register by that of the small one."""

    stage: str
    ratio: float


def ratios(scale: Scale) -> list[Ratio]:
    """Per stage, how much more a photo of the large register costs."""
    cost = {(s.register_name, s.stage): s.seconds / s.photos for s in scale.stages}
    return [
        Ratio(stage=stage, ratio=cost["large", stage] / cost["small", stage]) for stage in STAGES
    ]


def page(scale: Scale) -> str:
    """The Markdown page."""
    photos = {stage.register_name: stage.photos for stage in scale.stages}
    return TEXT.format(
        large=photos["large"],
        small=photos["small"],
        size=f"{scale.photo_size[0]}×{scale.photo_size[1]}",
        every=scale.every,
        seed=scale.seed,
        objects=scale.objects,
        rows="".join(_row(stage) for stage in scale.stages),
        ratios="".join(f"| {r.stage} | {r.ratio:.2f} |\n" for r in ratios(scale)),
        limit_ratio=LIMIT_RATIO,
        limit_gb=LIMIT_GB,
        metric=METRIC,
        host=", ".join(f"{key} {value}" for key, value in scale.host.items()),
    )


def _row(stage: Stage) -> str:
    return (
        f"| {stage.stage} | {stage.photos:,} | {stage.seconds:.0f} | {stage.cpu_seconds:.0f} "
        f"| {1000 * stage.seconds / stage.photos:.2f} | {stage.peak_bytes / 1e9:.2f} |\n"
    )


def check(scale: Scale) -> None:
    """Raises CheckFailedError when memory or the cost per photo is more than wanted."""
    peak = max(stage.peak_bytes for stage in scale.stages) / 1e9
    worst = max(ratios(scale), key=lambda found: found.ratio)
    if peak > LIMIT_GB:
        raise CheckFailedError(f"peak memory is {peak:.2f} GB; at most {LIMIT_GB:g} is wanted")
    if worst.ratio > LIMIT_RATIO:
        raise CheckFailedError(
            f"{worst.stage} costs {worst.ratio:.2f} times as much per photo on the large register; "
            f"at most {LIMIT_RATIO} is wanted"
        )


def measure(command: list[str], register_name: str, stage: str, photos: int) -> Stage:
    """Runs a command, which prints the seconds of its work, and measures it with all it starts.

    Raises:
        CheckFailedError: The command failed.
    """
    import psutil

    before = os.times()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        root = psutil.Process(process.pid)
        while not over.wait(0.05):
            peak = max(peak, _tree_bytes(root))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        output, _ = process.communicate()
    finally:
        over.set()
        watcher.join()
        if process.poll() is None:
            process.terminate()
    after = os.times()
    if process.returncode:
        raise CheckFailedError(
            f"{stage} on the {register_name} register ended with {process.returncode}"
        )
    return Stage(
        register_name=register_name,
        stage=stage,
        photos=photos,
        seconds=float(output.split()[-1]),
        cpu_seconds=after.children_user
        + after.children_system
        - before.children_user
        - before.children_system,
        peak_bytes=peak,
    )


def _tree_bytes(root: object) -> int:
    import psutil

    total = 0
    try:
        for process in [root, *root.children(recursive=True)]:  # type: ignore[attr-defined]
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue  # it ended in between
    except psutil.Error:
        return total
    return total


def run(arguments: argparse.Namespace) -> Scale:
    """Generates both registers and measures every stage that is not yet measured."""
    from benchmarks.measure.host import describe_host
    from train.readers import read_register

    size = (arguments.photo_size[0], arguments.photo_size[1])
    stages: list[Stage] = []
    # The small register first, so that a mistake shows early.
    for name, objects in (("small", max(8, arguments.objects // 10)), ("large", arguments.objects)):
        folder = arguments.out / name
        print(f"{name}: generating {objects:,} objects", file=sys.stderr)
        generate(folder, objects, arguments.seed, size=size, every=arguments.every)
        photos = len(read_register(folder).photos)
        for stage in STAGES:
            note = arguments.out / f"{name}-{stage}.json"
            try:
                found = Stage.read(note)
            except DamagedError:
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.studies.scaling_stage",
                    stage,
                    str(folder),
                ]
                found = measure(
                    [*command, str(arguments.out), str(arguments.seed)], name, stage, photos
                )
                found.write(note)
            print(f"{name} {stage}: {found.seconds:.0f} s", file=sys.stderr)
            stages.append(found)
    return Scale(
        objects=arguments.objects,
        seed=arguments.seed,
        photo_size=size,
        every=arguments.every,
        host=describe_host(),
        stages=tuple(stages),
    )


def main() -> int:
    """Runs the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.scaling", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, required=True, help="folder to work in")
    parser.add_argument("--objects", type=int, default=4332, help="default: 4332")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--photo-size", type=int, nargs=2, default=(640, 480), metavar=("WIDTH", "HEIGHT")
    )
    parser.add_argument("--every", type=int, default=50, help="every so many photos has 12 MP")
    parser.add_argument("--table", type=Path, help="write the page here (default: DIR/scale.md)")
    try:
        arguments = parser.parse_args()
        scale = run(arguments)
        table = arguments.table or arguments.out / "scale.md"
        scale.write(table.with_suffix(".json"))
        write_text(table, page(scale))
        print(page(scale))
        check(scale)
    except ArtefactError as error:
        print(f"scale: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
