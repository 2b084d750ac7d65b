"""Consoles that show text from registers safely: what the command line and every room print with.

Progress, remarks and errors go to standard error, so that standard output can be piped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from mobile_assets.files import json_text
from mobile_assets.visible_text import visible

PIPE_WIDTH = 120
"""A pipe has no width of its own: wide enough for a table with few columns folded."""


class SafeConsole(Console):
    """Shows characters that a terminal would obey as their escapes, wherever they come from."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        """Prints on standard output, or on standard error."""
        super().__init__(stderr=stderr, width=width, highlight=False, emoji=False)

    @property
    def file(self) -> IO[str]:
        """The stream; one that makes text safe itself lets this console's colours pass."""
        stream = super().file
        return cast("IO[str]", _Styled(stream)) if hasattr(stream, "write_styled") else stream

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render_str(self, text: str, **options: Any) -> Text:
        """As text is laid out, so that widths are right."""
        return super().render_str(visible(text, keep_lines=True), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What is drawn; the console's own commands, such as for a bar, are marked as such."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text, keep_lines=True), segment.style)


class _Styled:
    """A safe stream as the console writes to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.write = stream.write_styled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def output() -> SafeConsole:
    """Where results are printed."""
    return SafeConsole(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def messages() -> SafeConsole:
    """Where everything else is printed: progress, remarks, errors."""
    return SafeConsole(stderr=True)


def cell(text: str) -> str:
    """Text from elsewhere for a cell: on one line, and no markup."""
    return escape(visible(text))


def print_json(value: Any) -> None:
    """Prints a value as JSON; what a terminal would obey is spelt as JSON's escapes."""
    sys.stdout.write(visible(json_text(value), keep_lines=True))
