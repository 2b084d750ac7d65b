"""openpyxl's reader of a sheet's XML, which says more than its read-only sheets do.

They leave out merged cells and hidden rows, trust a sheet's statement of its own size, and end at
the first cell that cannot be read. Imported lazily: openpyxl comes with the extra `import`.
"""

from __future__ import annotations

from typing import Any

from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.utils.cell import coordinate_to_tuple
from openpyxl.worksheet._reader import WorkSheetParser

from mobile_assets.errors import first_line
from train.registers.importers.cells import Cell, as_cell


class SheetParser(WorkSheetParser):  # type: ignore[misc]
    """Keeps cells that cannot be read as errors, and sees formulas without a value."""

    def parse_cell(self, element: Any) -> dict[str, Any]:
        """A cell as openpyxl gives it; `value` is a `Cell` where there is an error."""
        try:
            cell: dict[str, Any] = super().parse_cell(element)
        except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
            try:
                self.col_counter = coordinate_to_tuple(element.get("r"))[1]
            except (ValueError, TypeError, AttributeError):
                self.col_counter += 1
            cell = {"row": self.row_counter, "column": self.col_counter, "style_id": 0}
            reason = f"it cannot be read ({first_line(error)})"
            return cell | {"value": Cell(error=reason), "data_type": "e"}
        if cell["value"] is None and any(child.tag.endswith("}f") for child in element):
            cell["value"] = Cell(error="a formula whose value was never computed")
        return cell

    def as_text(self, cell: dict[str, Any]) -> Cell:
        """The text of a cell that `parse_cell` gave."""
        value = cell["value"]
        if isinstance(value, Cell):
            return value
        try:
            number_format = ReadOnlyCell(self.sheet, **cell).number_format
        except (IndexError, KeyError):
            number_format = "General"
        return as_cell(value, cell["data_type"], number_format)


def sheet_parser(workbook: Any, name: str) -> SheetParser:
    """A reader of one sheet.

    Args:
        workbook: From openpyxl, opened read-only.
        name: The sheet's title.
    """
    sheet = workbook[name]
    parser = SheetParser(
        workbook._archive.open(sheet._worksheet_path),
        sheet._shared_strings,
        data_only=True,
        epoch=workbook.epoch,
        date_formats=workbook._date_formats,
        timedelta_formats=workbook._timedelta_formats,
    )
    parser.sheet = sheet
    return parser
