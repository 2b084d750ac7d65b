"""Words from registers inside Markdown: they stay words, whatever they look like."""

from __future__ import annotations

import re

from mobile_assets.visible_text import visible

_MARKS = re.compile(
    r"[\\`\[\]|~]"
    r"|(?<!\s)\*|\*(?!\s|$)"  # a star between spaces is one
    r"|(?<![^\W_])_|_(?![^\W_])"  # a low line inside a word is one
    r"|\$(?!\s|$)"
    r"|(?<=https):(?=//)|(?<=http):(?=//)|(?<=ftp):(?=//)|(?<=www)\.",
    re.IGNORECASE,
)
"""What begins or ends emphasis, code, links, cells, formulas and bare addresses."""
_HTML = re.compile(r"<(?=[a-z/!?])|&(?=#?\w+;)", re.IGNORECASE)
_BLOCK = re.compile(r"(?=#{1,6}(\s|$)|>|[-+](\s|$)|(=+|-+)\s*$)")
_LIST = re.compile(r"(\d{1,9})([.)])(?=\s|$)")


def markdown(text: str) -> str:
    """The text as one line of Markdown that shows it as it is: no link, HTML, table cell or code.

    It may stand anywhere in a line: in a table, a heading, a list, a sentence.
    """
    line = visible(re.sub(r"[\r\n\t\v\f\x85\u2028\u2029]+", " ", text).strip())
    line = _MARKS.sub(lambda match: f"\\{match[0]}", line)
    line = _HTML.sub(lambda match: "&lt;" if match[0] == "<" else "&amp;", line)
    if _BLOCK.match(line):
        return f"\\{line}"
    return _LIST.sub(r"\1\\\2", line, count=1) if _LIST.match(line) else line
