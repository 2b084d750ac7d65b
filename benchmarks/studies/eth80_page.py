"""The page of the ETH-80 benchmark, made from its raw rows alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.report.parity_table import markdown_table
from benchmarks.results.cluster_bootstrap import Estimate, error_ratio, share_of
from benchmarks.results.schema import Results
from benchmarks.studies.recipe_runs import CONTESTANTS, Scored, pooled
from benchmarks.studies.study_statistics import Asked
from mobile_assets.schema import Document, Record
from train.recipes import FIELD, PAPER, PROBE

ASKED_OF_PAPER: Mapping[int, float] = {3: 0.45, 4: 0.6, 5: 0.6, 6: 0.6}
"""By threshold: the default's top-1 error is asked to be at most so much of the paper recipe's."""

ASKED_OF_PROBE: Mapping[int, float] = {3: 0.7}
"""The same of the linear probe's."""

ASKED_TIME = 0.1
"""The default's training time is asked to be at most so much of the paper recipe's."""

TEXT = """\
# ETH-80: few photos per object, real pictures

{objects} real objects. For each seed every object is given as many photos as an object of the
paper's Table 2a has ({draws}); the other views are the test set. All recipes: {backbone}, the same
photos, the same split (stratified, no photo spent on a test). Regenerate with

    python -m benchmarks.studies.eth80 --photos PHOTOS --out DIR --seeds {seeds} --table benchmarks/studies/eth80.md

## Recipes

Top-1 on the test photos, with 95 % intervals. Views of one object are right or wrong together, so
the intervals come from drawing whole objects, with all their photos of all seeds (2,000 draws);
ratios are drawn together.

| min. photos | recipe | training photos | test photos | top-1 (95 % interval) | top-1 by seed |
| ---: | :--- | ---: | ---: | ---: | ---: |
{shares}
Top-1 error of the default recipe, divided by that of the others on the same photos:

| min. photos | of the paper recipe's | of the linear probe's |
| ---: | ---: | ---: |
{errors}
Training time, the mean over seeds. Several trainings may have shared the machine, which the
processor time hardly shows.

| min. photos | recipe | time, s | of the paper's | processor time, s | of the paper's |
| ---: | :--- | ---: | ---: | ---: | ---: |
{times}
## Asked and measured

{asked}
{variants}Measured {created} on {host}. Versions: {versions}.
"""

VARIANTS_TEXT = """\
## Variants

The default recipe's runs of seed {seed}, exported and measured.

{table}
"""


class DrawCounts(Record):
    """How many photos one seed's draw gave the register, and how many it left over."""

    seed: int
    photos: int
    left: int


class Published(Document):
    """The raw rows behind the published page, kept beside it.

    Attributes:
        created: When it was measured.
        host: What it was measured on.
        versions: Of the libraries.
        backbone: Of all runs.
        draws: One for each seed.
        runs: How each run answered; `setting` is the threshold.
        sweep_seed: The seed whose runs were exported.
        results: What the benchmark of the exported variants wrote; None where it was left out.
    """

    created: str
    host: dict[str, str]
    versions: dict[str, str]
    backbone: str
    draws: tuple[DrawCounts, ...]
    runs: tuple[Scored, ...]
    sweep_seed: int
    results: Results | None

    @property
    def thresholds(self) -> tuple[int, ...]:
        """The threshold data sets, ascending."""
        return tuple(sorted({int(row.setting) for row in self.runs}))


def page(published: Published) -> str:
    """The Markdown page, from the raw rows alone."""
    thresholds, runs = published.thresholds, published.runs
    return TEXT.format(
        objects=len({name for row in runs for name in row.objects}),
        draws="; ".join(
            f"seed {d.seed}: {d.photos} photos, {d.left} left" for d in published.draws
        ),
        backbone=published.backbone,
        seeds=",".join(str(draw.seed) for draw in published.draws),
        shares="".join(_share_line(runs, n, recipe) for n in thresholds for recipe in CONTESTANTS),
        errors="".join(_error_line(runs, n) for n in thresholds),
        times="".join(_time_line(runs, n, recipe) for n in thresholds for recipe in CONTESTANTS),
        asked="".join(asked.line() for asked in verdicts(published)),
        variants=_variants(published),
        created=published.created,
        host=", ".join(f"{key} {value}" for key, value in published.host.items()),
        versions=", ".join(f"{key} {value}" for key, value in published.versions.items()),
    )


def verdicts(published: Published) -> list[Asked]:
    """Every number that was asked for, with what was measured."""
    found: list[Asked] = []
    for recipe, bounds in ((PAPER.name, ASKED_OF_PAPER), (PROBE.name, ASKED_OF_PROBE)):
        for n in published.thresholds:
            if n in bounds:
                what = f"top-1 error at threshold {n}, default to {recipe}"
                found.append(Asked(what, bounds[n], _error(published.runs, n, recipe)))
    for word, seconds in (("time", _wall), ("processor time", _cpu)):
        for n in published.thresholds:
            what = f"training {word} at threshold {n}, default to paper"
            found.append(
                Asked(what, ASKED_TIME, _time_ratio(published.runs, n, FIELD.name, seconds))
            )
    return found


def _share_line(runs: Sequence[Scored], minimum: int, recipe: str) -> str:
    own = _of(runs, minimum, recipe)
    found = pooled(runs, str(minimum), recipe)
    seeds = ", ".join(f"{sum(row.top1) / sum(row.tested):.1%}" for row in own)
    trained = ", ".join(str(row.train_photos) for row in own)
    share = share_of(found).text(".1%")
    return f"| {minimum} | {recipe} | {trained} | {found.photos:,} | {share} | {seeds} |\n"


def _variants(published: Published) -> str:
    if published.results is None:
        return ""
    table = markdown_table(published.results).replace("# Benchmark\n\n", "")
    return VARIANTS_TEXT.format(seed=published.sweep_seed, table=table)


def _error_line(runs: Sequence[Scored], minimum: int) -> str:
    ratios = (_error(runs, minimum, other).text() for other in (PAPER.name, PROBE.name))
    return f"| {minimum} | {' | '.join(ratios)} |\n"


def _error(runs: Sequence[Scored], minimum: int, other: str) -> Estimate:
    ours, theirs = (pooled(runs, str(minimum), name) for name in (FIELD.name, other))
    return error_ratio(ours, theirs)


def _time_line(runs: Sequence[Scored], minimum: int, recipe: str) -> str:
    cells: list[str] = []
    for seconds in (_wall, _cpu):
        times = [seconds(row) for row in _of(runs, minimum, recipe)]
        known = [time for time in times if time is not None]
        cells.append(f"{np.mean(known):.1f}" if len(known) == len(times) else "–")
        cells.append(_time_ratio(runs, minimum, recipe, seconds).text(".3f"))
    return f"| {minimum} | {recipe} | {' | '.join(cells)} |\n"


def _wall(row: Scored) -> float | None:
    return row.seconds


def _cpu(row: Scored) -> float | None:
    return row.cpu_seconds


def _time_ratio(
    runs: Sequence[Scored], minimum: int, recipe: str, seconds: Callable[[Scored], float | None]
) -> Estimate:
    """Sum over seeds to the paper recipe's; with no interval, as three seeds give none."""
    ours, theirs = (
        [seconds(row) for row in _of(runs, minimum, name)] for name in (recipe, PAPER.name)
    )
    mine, others = ([time for time in times if time is not None] for times in (ours, theirs))
    if len(mine) < len(ours) or len(others) < len(theirs) or not sum(others):
        return Estimate(None)
    return Estimate(sum(mine) / sum(others))


def _of(runs: Sequence[Scored], minimum: int, recipe: str) -> list[Scored]:
    own = [row for row in runs if (row.setting, row.recipe) == (str(minimum), recipe)]
    return sorted(own, key=lambda row: row.seed)
