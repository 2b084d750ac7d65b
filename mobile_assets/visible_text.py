r"""Text from elsewhere, made safe to be shown: nothing in it can command a terminal.

Titles, object ids and file names come from registers, and may hold escape sequences that clear a
screen, set a window's title or type into a shell, and characters that turn the order of what is
read. They are shown as `\u001b` and the like, which JSON reads back as the same character.
"""

from __future__ import annotations

import codecs
import re

_COMMANDS = (
    "\x00-\x1f"  # C0: escape, carriage return, backspace, tab
    "\x7f-\x9f"  # delete, and C1, which holds one-character escape sequences
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the direction of writing
    "\u2028\u2029"  # end a line
    "\ufff9-\ufffb\ufeff"  # hide the text between them; byte order mark
    "\ud800-\udfff"  # no characters: bytes of a file name that is not UTF-8
    "\U000e0000-\U000e007f"  # invisible tags
)
_ANY = re.compile(f"[{_COMMANDS}]")
_ANY_BUT_NEWLINE = re.compile(f"(?!\n)[{_COMMANDS}]")

ESCAPES = "artefact-id-escapes"
"""Name of the error handler that writes what an encoding lacks as `visible` does."""


def visible(text: str, *, keep_lines: bool = False) -> str:
    """The text with every character that a terminal would obey, or hide, as its escape.

    Args:
        text: Any text.
        keep_lines: Leave line feeds as they are: for text of several lines that is our own.
    """
    return (_ANY_BUT_NEWLINE if keep_lines else _ANY).sub(_escape_match, text)


def _escape_match(match: re.Match[str]) -> str:
    return escape(match[0])


def escape(characters: str) -> str:
    r"""Each character as `\uXXXX`, in UTF-16 as JSON spells it."""
    units = characters.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return escape(error.object[error.start : error.end]), error.end


codecs.register_error(ESCAPES, _escape_unencodable)
