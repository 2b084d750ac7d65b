"""The template environment of the report, and its list of contents."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, PrefixLoader
from markupsafe import Markup

from benchmarks.report.formatting import percent, points, signless
from mobile_assets.markdown_text import markdown


@dataclass
class Contents:
    """Sections in the order of the page; a template adds each as it draws it.

    Attributes:
        sections: (id, title, (id, title) of each folded part) of each section.
    """

    sections: list[tuple[str, str, list[tuple[str, str]]]] = field(default_factory=list)

    def add_section(self, id_: str, title: str) -> str:
        """Adds a section; returns nothing for the template to print."""
        self.sections.append((id_, title, []))
        return ""

    def add_part(self, id_: str, title: str) -> str:
        """Adds a folded part to the last section."""
        self.sections[-1][2].append((id_, title))
        return ""


@cache
def template_environment() -> Environment:
    """The templates of the report, `report/…`, and of an evaluation's page, `evaluation/…`."""
    environment = Environment(
        loader=PrefixLoader(
            {
                "report": PackageLoader("benchmarks.report.html", "."),
                "evaluation": PackageLoader("benchmarks.evaluation", "."),
            }
        ),
        autoescape=lambda name: not (name or "").endswith(".md.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _unbroken
    environment.filters["percent"] = percent
    environment.filters["signed"] = points
    environment.filters["points"] = lambda value: f"{signless(value)} points"
    environment.filters["markdown"] = markdown
    environment.filters["px"] = "{:.1f}".format
    environment.filters["share"] = "{:.2f}%".format  # of a cell's width
    return environment


def markdown_document(template: str, **values: Any) -> str:
    """The text of a Markdown template, such as `report/results.md.j2`."""
    return template_environment().get_template(template).render(**values) + "\n"


def sentence(macro: str, *values: Any) -> str:
    """Words of `words.md.j2` in one line."""
    module = template_environment().get_template("report/words.md.j2").module
    return re.sub(r"[ \n]+", " ", getattr(module, macro)(*values)).strip()


def _unbroken(words: str) -> str:
    """Keeps numbers with their sign or unit on one line."""
    return re.sub(r"(?<=×) | (?=%|MP\b)", "\u00a0", words)


def svg(macro: str, **values: Any) -> Markup:
    """A drawing of `charts.html.j2`, without white space between its elements."""
    module = template_environment().get_template("report/charts.html.j2").module
    return Markup(re.sub(r">\n+<", "><", getattr(module, macro)(**values)))
