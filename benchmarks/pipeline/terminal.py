"""What a person sees in the terminal: progress on standard error, results on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from benchmarks.pipeline.training_progress import (
    STAGES,
    ProgressLines,
    TimeLeftColumn,
    progress_note,
    time_left,
)
from mobile_assets.files import json_text

if TYPE_CHECKING:
    from benchmarks.pipeline.doctor import Component
    from benchmarks.pipeline.identify import Identification
    from benchmarks.results.schema import PreprocessingCost, Results
    from mobile_assets.bundle import Bundle
    from train.inspection import Inspection, Row
    from train.progress import TrainingProgress
    from train.run import EpochRecord, Run
    from train.training_plan import Reporter

LISTED_PROBLEMS = 200
"""More problems than this are counted, not listed; --json has them all."""


class Terminal:
    """Draws progress bars and tables; a context manager that leaves the terminal clean."""

    def __init__(self) -> None:
        """Uses standard error for progress, so that standard output can be piped."""
        self._err = Console(stderr=True, highlight=False)
        # A pipe has no width of its own; wide enough for a table with few columns folded.
        self._out = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Nothing is drawn yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops the progress bars."""
        self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        self._tasks.clear()

    def say(self, text: str) -> None:
        """One line for the person who waits."""
        console = self._err if self._progress is None else self._progress.console
        console.print(text, markup=False, soft_wrap=True)

    def step(self, what: str, done: int, total: int) -> None:
        """Moves the bar named `what`; a bar appears at its first call."""
        if not self._err.is_terminal:
            if done == total and what not in self._tasks:
                self._tasks[what] = TaskID(len(self._tasks))
                self.say(f"{what}: {total}")
            return
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeLeftColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._err,
            )
            self._progress.start()
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, note="", left=None)
        self._progress.update(self._tasks[what], completed=done, total=total)

    def progress(self, what: str) -> Callable[[int, int], None]:
        """A callback `(done, total)` that moves the bar named `what`."""
        return lambda done, total: self.step(what, done, total)

    def reporter(self, prefix: str = "") -> Reporter:
        """Where training reports to."""
        from train.training_plan import Reporter

        lines = ProgressLines(self.say)

        def epoch(record: EpochRecord, total: int) -> None:
            if not self._err.is_terminal:
                self.step(f"{prefix}{STAGES[record.stage]}", record.epoch, total)

        def progress(moment: TrainingProgress) -> None:
            what = f"{prefix}{STAGES[moment.stage]}"
            if not self._err.is_terminal:
                lines.tell(what, moment)
                return
            self.step(what, moment.done, moment.total)
            if self._progress is not None:
                task = self._tasks[what]
                self._progress.update(task, note=progress_note(moment), left=time_left(moment))

        return Reporter(
            prepared=self.progress(f"{prefix}preparing photos"),
            epoch=epoch,
            progress=progress,
            said=self.say,
        )

    def trained(self, run: Run) -> None:
        """Says what a training reached."""
        from train.run import RunMetrics

        self._stop()
        metrics = RunMetrics.read(run.folder / "metrics.json")
        reached = (
            "no validation photos"
            if metrics.val_top1 is None
            else f"{metrics.val_top1:.1%} top-1 on {metrics.val_photos} validation photos"
        )
        self.say(f"{run.folder}: {run.info.objects} objects, {reached}, {metrics.seconds:.0f} s")

    def fine_tuned(self, run: Run) -> None:
        """Says what quantisation-aware fine-tuning reached."""
        self._stop()
        found = run.info.quantised
        assert found is not None
        copies = f", {found.copies} of them altered copies," if found.copies else ""
        table = Table("weights", "with the float network's answer", "divergence from it")
        for name, agreement, drift in (
            ("rounded after training", found.agreement_before, found.divergence_before),
            ("fine-tuned for 8 bits", found.agreement, found.divergence),
        ):
            table.add_row(name, _with_interval(agreement, found.photos), f"{drift:.5f} nats")
        self._out.print(table)
        self.say(
            f"{run.folder}: 8-bit weights of epoch {found.epoch}, measured on {found.photos} photos"
            f"{copies} that were not learned from, {found.seconds:.0f} s"
        )

    def exported(self, bundle: Bundle) -> None:
        """Lists a bundle's variants."""
        self._stop()
        table = Table("variant", "file", "bytes", "input", "output")
        for variant in bundle.info.variants:
            table.add_row(
                variant.name,
                variant.file,
                f"{variant.bytes:,}",
                ", ".join(f"{t.name} {t.dtype}" for t in variant.inputs),
                ", ".join(f"{t.name} {t.dtype}" for t in variant.outputs),
            )
        self._out.print(table)
        self.say(f"{bundle.folder}: {bundle.info.objects} objects")

    def results(self, results: Results, report: Path, *, json: bool = False) -> None:
        """Prints the parity table and where the report lies."""
        from benchmarks.report.parity_table import results_table
        from benchmarks.report.slowdowns import pace_sentence

        self._stop()
        if json:
            sys.stdout.write((report / "results.json").read_text(encoding="utf-8"))
        else:
            self._out.print(results_table(results))
        pace = pace_sentence(results.rows)
        if pace:
            self.say(pace)
        self.say(f"The report: {report / 'report.html'}")

    def explained(self, found: Sequence[PreprocessingCost], *, json: bool = False) -> None:
        """Prints the ways of making the input that fit an app's accuracy, the nearest first."""
        self._stop()
        if json:
            sys.stdout.write(json_text([one.model_dump(mode="json") for one in found]))
            return
        if not found:
            self.say("No way of making the input gives this share: look for the cause elsewhere.")
            return
        table = Table("way", "right", "95 %", "what is done")
        for one in found:
            low, high = one.top1_ci95 or (0.0, 1.0)
            own = f"{one.top1 or 0:.1%}"
            table.add_row(one.name, own, f"{low:.1%} to {high:.1%}", escape(one.what))
        self._out.print(table)

    def inspection(self, found: Inspection, *, json: bool = False) -> None:
        """Prints the register's tables in the form of the paper's Table 2."""
        self._stop()
        if json:
            sys.stdout.write(json_text(found.as_json()))
            return
        self._out.print(
            f"{found.source}: {found.objects} objects, {found.photos} photos", markup=False
        )
        self._out.print(_counts("Photos per object", "photos per object", found.per_object))
        self._out.print(_counts("Collections", "collection", found.per_collection))
        self._out.print(_counts("Threshold data sets", "photos", found.thresholds))
        kinds = ", ".join(f"{kind}: {count:,}" for kind, count in found.kinds.items())
        self._out.print(f"Files. {kinds}", markup=False)
        if found.problems:
            self._problems(found)

    def _problems(self, found: Inspection) -> None:
        table = Table("what", "file", "why", title=f"{len(found.problems)} to look at")
        for problem in found.problems[:LISTED_PROBLEMS]:
            table.add_row(problem.kind, escape(problem.path), escape(problem.reason))
        self._out.print(table)
        more = len(found.problems) - LISTED_PROBLEMS
        if more > 0:
            self._out.print(f"and {more} more, which --json lists")

    def answers(self, answers: Sequence[Identification], *, json: bool = False) -> None:
        """Prints what the phone would answer to each photo."""
        self._stop()
        if json:
            sys.stdout.write(json_text([answer.as_json() for answer in answers]))
            return
        for found in answers:
            if found.answer is None:
                self._out.print(f"{found.photo}: {found.error}", markup=False, soft_wrap=True)
                continue
            verdict = f"{found.photo}: {found.answer.verdict}"
            self._out.print(verdict, markup=False, soft_wrap=True)
            table = Table("", "object", "title", "collection", "probability")
            for rank, candidate in enumerate(found.answer.candidates, start=1):
                label = candidate.label
                table.add_row(
                    str(rank),
                    escape(label.object_id),
                    escape(label.title),
                    escape(label.collection),
                    f"{candidate.probability:.1%}",
                )
            self._out.print(table)

    def diagnosis(self, parts: Sequence[Component], *, json: bool = False) -> None:
        """Prints what each part can do here."""
        self._stop()
        if json:
            sys.stdout.write(json_text([part.as_json() for part in parts]))
            return
        table = Table("part", "state", "what it can do here", "versions", "to get the rest")
        for part in parts:
            versions = "\n".join(f"{name} {version}" for name, version in part.versions.items())
            table.add_row(part.name, part.state, part.can, versions, escape(part.remedy))
        self._out.print(table)


def _with_interval(share: float, photos: int) -> str:
    """A share of photos, as a percentage with its 95 % interval."""
    from benchmarks.results.classification import wilson_interval

    low, high = wilson_interval(round(share * photos), photos) or (0.0, 1.0)
    return f"{share:.1%} (95% interval {100 * low:.1f}-{100 * high:.1f})"


def _counts(title: str, first: str, rows: Sequence[Row]) -> Table:
    table: Any = Table(title=title, title_justify="left")
    table.add_column(first)
    table.add_column("objects", justify="right")
    table.add_column("photos", justify="right")
    for row in rows:
        table.add_row(escape(row.name), f"{row.objects:,}", f"{row.photos:,}")
    counted: Table = table
    return counted
