"""The command `import`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefact_id.options import command
from mobile_assets.errors import InputError
from mobile_assets.visible_text import visible

if TYPE_CHECKING:
    from rich.table import Table

    from train.registers.importers.imported import Imported
    from train.registers.importers.importer import ImportPlan

LISTED = 20
"""So many findings are printed; all are in the list beside the register."""

EXAMPLE_CHARACTERS = 40


def add_import(commands: Any) -> None:
    """Adds the command `import`."""
    parser = command(
        commands,
        "import",
        _import,
        "make a register of what a museum hands over",
        "  artefact-id import objects.csv --photos photos --out register.csv\n"
        "  artefact-id import objects.xlsx --media media.csv --photos photos --out register.csv\n"
        "  artefact-id import lido.xml --photos photos --out register.csv\n"
        "  artefact-id import manifests/ --photos photos --out register.csv\n\n"
        "Reads CSV and Excel exports, LIDO XML (EODEM too) and IIIF manifests 2 and 3. Which\n"
        "column is which field is guessed, shown, and kept beside the register once you agree.\n"
        "What is not imported is listed beside it too, with the reason.",
    )
    parser.add_argument(
        "source",
        type=Path,
        metavar="SOURCE",
        help="a table (.csv, .tsv, .xlsx), LIDO XML, an IIIF manifest, or a folder of the last two",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="REGISTER", help="file to write: .csv or .jsonl"
    )
    parser.add_argument(
        "--photos", type=Path, metavar="DIR", help="folder of the photos (default: SOURCE's folder)"
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=COLUMN,…",
        help="which column is which field, as in object_id=ObjectNumber,title=Title; a field twice "
        "joins two columns, FIELD= takes none, media.path is a column of the media table",
    )
    parser.add_argument(
        "--media", type=Path, metavar="TABLE", help="table that says which photo is of which object"
    )
    parser.add_argument("--sheet", metavar="NAME", help="sheet of the workbook")
    parser.add_argument(
        "--media-sheet",
        metavar="NAME",
        help="sheet of the media table (without --media: of SOURCE)",
    )
    parser.add_argument("--encoding", metavar="NAME", help="of text tables, such as cp1252")
    parser.add_argument("--separator", metavar="TEXT", help="between several paths in one cell")
    parser.add_argument("--language", metavar="CODE", help="of texts in several, such as en")
    parser.add_argument("--yes", action="store_true", help="agree with the columns as guessed")
    parser.add_argument("--force", action="store_true", help="replace a register that is there")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _import(options: argparse.Namespace) -> None:
    from artefact_id.terminal import print_json
    from train.registers.importers.importer import ImportOptions, plan_import, run_import

    source: Path = options.source
    folder = source if source.is_dir() else source.parent
    plan = plan_import(
        ImportOptions(
            source=source,
            photos=options.photos or folder,
            out=options.out,
            map=tuple(options.map),
            media=options.media,
            sheet=options.sheet,
            media_sheet=options.media_sheet,
            encoding=options.encoding,
            separator=options.separator,
            language=options.language,
            force=options.force,
        )
    )
    _show_plan(plan)
    if plan.guessed and not options.yes:
        _ask(plan)
    imported = run_import(plan)
    if options.json:
        print_json(_as_json(plan, imported))
    else:
        _print(plan, imported)


def _show_plan(plan: ImportPlan) -> None:
    """Shows which column is which field, and what becomes of the others."""
    from artefact_id.terminal import messages

    console = messages()
    console.print(_columns(plan))
    if plan.kept:
        kept = ", ".join(map(visible, plan.kept))
        console.print(f"Kept in the register only: {kept}", markup=False, soft_wrap=True)


def _columns(plan: ImportPlan) -> Table:
    from rich.table import Table

    from artefact_id.terminal import cell

    title = f"Columns of {plan.table.name}"
    if plan.saved is not None:
        title += f", as in {plan.saved}"
    table = Table("field", "column", "first value", "", title=cell(title), title_justify="left")
    rows = [(name, names, plan.example) for name, names in plan.mapping.columns.items()]
    media = plan.mapping.media.items()
    rows += [(f"media.{name}", names, plan.media_example) for name, names in media]
    for name, names, example in rows:
        for column in names:
            text = " ".join(example(column).split())[:EXAMPLE_CHARACTERS]
            guessed = "guessed" if name in plan.guessed else ""
            table.add_row(name, cell(column), cell(text), guessed)
    return table


def _ask(plan: ImportPlan) -> None:
    """Asks whether the columns are right; without a terminal, says how to agree.

    Raises:
        InputError: They are not, or nobody is there to ask.
    """
    words = visible(plan.map_words)
    how = f"Give --yes if they are right, or say it with --map, changing what is wrong in: {words}"
    if not sys.stdin.isatty():
        raise InputError(f"The columns were guessed as shown above. {how}")
    print("Are these columns right? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        raise InputError(f"Nothing was written. {how}")


def _as_json(plan: ImportPlan, imported: Imported) -> dict[str, Any]:
    from dataclasses import asdict

    from train.registers.importers.output import list_path

    return {
        "register": str(plan.options.out),
        "not_imported": str(list_path(plan.options.out)),
        "objects": imported.objects,
        "photos": len(imported.photos),
        "rows": imported.rows,
        "rows_used": imported.rows_used,
        "media_rows": imported.media_rows,
        "media_rows_used": imported.media_rows_used,
        "columns": {name: list(names) for name, names in plan.mapping.columns.items()},
        "media_columns": {name: list(names) for name, names in plan.mapping.media.items()},
        "findings": [asdict(finding) for finding in imported.findings],
    }


def _print(plan: ImportPlan, imported: Imported) -> None:
    """Prints what was imported and the first of what was not."""
    from artefact_id.terminal import output
    from train.registers.importers.output import list_path

    console = output()
    shown = [finding for finding in imported.findings if finding.kind in ("row", "unread")]
    for finding in shown[:LISTED]:
        line = f"{visible(finding.place)}: {visible(finding.reason)}"
        console.print(line, markup=False, soft_wrap=True)
    if len(shown) > LISTED:
        console.print(f"and {len(shown) - LISTED:,} more")
    media = ""
    if plan.media is not None:
        left_out = imported.media_rows - imported.media_rows_used
        media = (
            f"; {imported.media_rows:,} media rows: {imported.media_rows_used:,} used, "
            f"{left_out:,} listed"
        )
    out = visible(str(plan.options.out))
    console.print(
        f"{out}: {imported.objects:,} objects, {len(imported.photos):,} photos. "
        f"{imported.rows:,} rows: {imported.rows_used:,} used, "
        f"{imported.rows - imported.rows_used:,} listed{media}. "
        f"{imported.count('photo'):,} photos left out and {imported.count('note'):,} notes: "
        f"{visible(str(list_path(plan.options.out)))}",
        markup=False,
        soft_wrap=True,
    )
