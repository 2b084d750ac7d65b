"""Words from registers in Markdown, read back by a Markdown reader."""

from __future__ import annotations

import pytest

from mobile_assets.markdown_text import markdown

HOSTILE = [
    "K|L", "<b>H</b><script>x()</script>", "O`P*Q_R", "[text](https://evil.example)", "![i](x)",
    "https://evil.example/x", "www.evil.example", "<https://evil.example>", "a\n\n# b", "a\u2028b",
    "# head", "- item", "1. one", "2) two", "> quote", "```", "~~gone~~", "$x$", "&lt;&#60;",
    "M\\N", "***", "__init__", "* a *", "=== ", "---", "<!-- x -->", "<?x?>", "a\tb", "|", "\\|",
]  # fmt: skip
HARMLESS = [
    "tflite-int8",
    "my_bundle_2",
    "≥ 3",
    "0.5–0.7 (< 0.01)",
    "−1.5",
    "+0.5",
    "3 * 4",
    "A & B",
]


def rendered(source: str) -> str:
    """The HTML of CommonMark with tables and bare addresses, as on a project's page."""
    reader = pytest.importorskip("markdown_it")
    return str(reader.MarkdownIt("gfm-like", {"linkify": False}).render(source))


@pytest.mark.parametrize("text", HOSTILE)
def test_words_stay_words(text: str) -> None:
    import html
    import re

    words = " ".join(text.split())
    safe = markdown(text)
    source = f"# a {safe}\n\n- {safe}\n\n| a | b |\n|---|---|\n| {safe} | z |\n"
    page = rendered(source)
    tags = {tag.split()[0] for tag in re.findall(r"</?([a-z0-9 ]+)", page)}
    assert tags <= {"h1", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
    shown = [html.unescape(re.sub(r"<.*?>", "", line)).strip() for line in page.splitlines()]
    assert f"a {words}".strip() in shown and words in shown and shown.count(words) == 2


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_words_are_left_as_they_are(text: str) -> None:
    assert markdown(text) == text


def test_bare_addresses_are_no_links() -> None:
    assert "https://" not in markdown("see https://evil.example and HTTP://x")
    assert "www." not in markdown("www.evil.example")


def test_terminals_are_safe_too() -> None:
    assert markdown("a\x1b[2Jb") == "a\\\\u001b\\[2Jb"
