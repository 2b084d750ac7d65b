"""The page of the robustness measurement, made from its raw rows alone."""

from __future__ import annotations

import numpy as np

from benchmarks.results.cluster_bootstrap import (
    Estimate,
    Floats,
    Tally,
    drawn_shares,
    format_number,
    interval,
    ratio_of,
    share_of,
    tally,
)
from benchmarks.studies.study_statistics import Asked, Counts, Names
from mobile_assets.schema import Document, Record
from train.recipes import FIELD, PAPER

CLEAN = "as it is"
"""Name of the rows of unchanged photos."""

ASKED = 0.5
"""The default's worst-case drop is asked to be at most so much of the paper recipe's."""

TEXT = """\
# Robustness: photos that are not taken as in the studio

Top-1 of each recipe on {photos:,} test photos of {objects} objects ({sets}), unchanged and under
each perturbation; the drop in percentage points, with 95 % intervals from drawing whole objects,
with all their photos of all test sets (2,000 draws). All recipes are shown the very same pictures.
Grounds are swapped along masks, which the recipes never see. What each perturbation does is in
`benchmarks/studies/corruptions.py`; `--samples FILE` draws them. Regenerate with

    python -m benchmarks.studies.robustness RUN=PHOTOS... --masks MASKS --grounds PICTURES \\
        --table benchmarks/studies/robustness.md

| perturbation | {titles} |
| :--- | {marks} |
{lines}
## Worst case

| recipe | worst perturbation | drop, points | share of its own accuracy lost |
| :--- | :--- | ---: | ---: |
{worst}
The worst case is that of each recipe, found anew in each draw of the intervals.

{asked}
Measured {created} on {host}. Versions: {versions}.
"""


class Group(Record):
    """One set of test photos.

    Attributes:
        seed: Its number, in the order given.
        photos_sha256: Hash of the list of photos.
        models_sha256: Of the weights, by recipe.
        objects: Ids of the objects shown.
        tested: Photos of each.
    """

    seed: int
    photos_sha256: str
    models_sha256: dict[str, str]
    objects: Names
    tested: Counts


class Answered(Record):
    """How many photos of each object of a group were answered right under one perturbation."""

    seed: int
    recipe: str
    perturbation: str
    right: Counts


class Published(Document):
    """The raw rows behind the published page, kept beside it."""

    created: str
    host: dict[str, str]
    versions: dict[str, str]
    groups: tuple[Group, ...]
    rows: tuple[Answered, ...]

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes, the default first."""
        names = dict.fromkeys(row.recipe for row in self.rows)
        return tuple(sorted(names, key=lambda name: (name != FIELD.name, name)))

    @property
    def perturbations(self) -> tuple[str, ...]:
        """What was measured, unchanged photos first."""
        return tuple(dict.fromkeys(row.perturbation for row in self.rows))

    def tally(self, recipe: str, perturbation: str) -> Tally:
        """The right answers of all groups."""
        groups = {group.seed: group for group in self.groups}
        return tally(
            (groups[row.seed].objects, groups[row.seed].tested, row.right)
            for row in self.rows
            if (row.recipe, row.perturbation) == (recipe, perturbation)
        )


def page(published: Published) -> str:
    """The Markdown page."""
    recipes = published.recipes
    titles = [title for recipe in recipes for title in (f"{recipe}: top-1", "drop (95 % interval)")]
    tested = [sum(group.tested) for group in published.groups]
    return TEXT.format(
        photos=sum(tested),
        objects=len({name for group in published.groups for name in group.objects}),
        sets=f"{len(tested)} test set{'s' if len(tested) > 1 else ''}",
        titles=" | ".join(titles),
        marks=" | ".join(["---:"] * len(titles)),
        lines="".join(_line(published, name) for name in published.perturbations),
        worst="".join(_worst_line(published, recipe) for recipe in recipes),
        asked="".join(asked.line() for asked in verdicts(published)),
        created=published.created,
        host=", ".join(f"{key} {value}" for key, value in published.host.items()),
        versions=", ".join(f"{key} {value}" for key, value in published.versions.items()),
    )


def verdicts(published: Published) -> list[Asked]:
    """What was asked for, with what was measured: in points, and as shares of what each can."""
    if not {FIELD.name, PAPER.name} <= set(published.recipes):
        return []
    words = "worst-case drop, default to paper"
    return [
        Asked(f"{words}, in points", ASKED, _worst_ratio(published, relative=False)),
        Asked(f"{words}, as shares of each one's own accuracy", ASKED, _worst_ratio(published)),
    ]


def _line(published: Published, perturbation: str) -> str:
    cells: list[str] = []
    for recipe in published.recipes:
        share = share_of(published.tally(recipe, perturbation))
        if perturbation == CLEAN:
            cells += [share.text(".1%"), "–"]
        else:
            cells += [
                format_number(share.value or 0.0, ".1%"),
                _drop(published, recipe, perturbation),
            ]
    return f"| {perturbation} | {' | '.join(cells)} |\n"


def _drop(published: Published, recipe: str, perturbation: str) -> str:
    clean, changed = (published.tally(recipe, name) for name in (CLEAN, perturbation))
    drawn = 100 * (drawn_shares(clean) - drawn_shares(changed))
    return Estimate(100 * (clean.share - changed.share), interval(drawn)).text(".1f")


def _drops(published: Published, recipe: str, *, relative: bool) -> tuple[Floats, Floats]:
    """All drops of a recipe, 0–1: `[perturbations]` measured and `[perturbations, DRAWS]` drawn."""
    clean = published.tally(recipe, CLEAN)
    changed = [published.tally(recipe, name) for name in published.perturbations if name != CLEAN]
    share, shares = np.array(clean.share), drawn_shares(clean)
    drops = share - np.array([found.share for found in changed])
    drawn = shares - np.stack([drawn_shares(found) for found in changed])
    if relative:
        return ratio_of(drops, share), ratio_of(drawn, shares)
    return drops, drawn


def _worst_line(published: Published, recipe: str) -> str:
    names = [name for name in published.perturbations if name != CLEAN]
    cells: list[str] = []
    for relative, form in ((False, ".1f"), (True, ".1%")):
        scale = 1 if relative else 100
        drops, drawn = _drops(published, recipe, relative=relative)
        found = Estimate(scale * float(drops.max()), interval(scale * drawn.max(axis=0)))
        cells.append(found.text(form))
    drops, _ = _drops(published, recipe, relative=False)
    return f"| {recipe} | {names[int(drops.argmax())]} | {' | '.join(cells)} |\n"


def _worst_ratio(published: Published, *, relative: bool = True) -> Estimate:
    """The default's worst drop divided by the paper recipe's."""
    ours, theirs = (
        _drops(published, recipe, relative=relative) for recipe in (FIELD.name, PAPER.name)
    )
    if theirs[0].max() <= 0:
        return Estimate(None)  # nothing made the paper's recipe worse: there is no ratio
    drawn = ratio_of(ours[1].max(axis=0), theirs[1].max(axis=0))
    return Estimate(float(ours[0].max() / theirs[0].max()), interval(drawn))
