"""Fuzzes without end, or a number of cases: `python tests/fuzz [--suite NAME] [--cases N] …`.

`--kills N` kills commands instead, N of each.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = map(str, (HERE, HERE.parent, HERE.parents[1]))

from harness import Report, fuzz  # noqa: E402
from kill_loop import COMMANDS, command_process, kill_loop  # noqa: E402
from materials import write_gallery, write_materials  # noqa: E402
from suites import SUITES  # noqa: E402

ROUND = 200
"""Cases of one suite before the next has its turn."""


def main() -> int:
    """Runs the suites in turn and prints their counts; 1 if there was a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=sorted(SUITES), action="append", help="default: all")
    parser.add_argument("--cases", type=int, help="of each suite (default: without end)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="default: 0")
    parser.add_argument(
        "--save", type=Path, default=Path("fuzz-failures"), help="where inputs with findings go"
    )
    parser.add_argument("--kills", type=int, metavar="N", help="kill each command N times instead")
    options = parser.parse_args()
    if options.kills:
        return _kill(options.kills, options.first, options.save)
    totals = {name: Report(name) for name in options.suite or SUITES}
    began, done = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="artefact-id-fuzz-") as temporary:
        materials = write_materials(Path(temporary))
        while options.cases is None or done < options.cases:
            size = ROUND if options.cases is None else min(ROUND, options.cases - done)
            for name, total in totals.items():
                report = fuzz(
                    name, materials, cases=size, first=options.first + done, save=options.save
                )
                total.cases += report.cases
                total.counts += report.counts
                total.findings += report.findings
                if report.findings:
                    print(report, flush=True)
                print(f"{_counts(total)} in {time.monotonic() - began:.0f} s", flush=True)
            done += size
    return int(any(total.findings for total in totals.values()))


def _kill(kills: int, first: int, save: Path) -> int:
    """Runs the kill loop on each command; 1 if anything was lost. Lost results stay in `save`."""
    save.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="kills-", dir=save))
    materials, lost = write_gallery(write_materials(folder / "materials")), 0
    with command_process(folder) as ask:
        for name, command in COMMANDS.items():
            report = kill_loop(command, materials, folder / name, ask, kills=kills, first=first)
            print(report, flush=True)
            lost += len(report.lost)
    if not lost:
        shutil.rmtree(folder)
    return int(lost > 0)


def _counts(report: Report) -> str:
    return str(report).splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
