"""What a study is: raw rows in a JSON file, and the Markdown page made from them alone."""

from __future__ import annotations

import argparse
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.measure.host import describe_host
from benchmarks.results.cluster_bootstrap import format_number
from benchmarks.studies.study_statistics import Target
from mobile_assets.errors import ArtefactError
from mobile_assets.files import write_text
from mobile_assets.schema import Document
from mobile_assets.visible_text import visible
from train.versions import created_now, versions

FOLDER = Path(__file__).parent
"""Where the published rows and pages lie."""


def _mapping_words(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


PAGES = Environment(
    loader=FileSystemLoader(FOLDER),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
    autoescape=False,  # Markdown, not HTML
)
PAGES.filters |= {"number": format_number, "words": _mapping_words}


class Study(Document):
    """The raw rows of a study, from which its page is made with the template `NAME.md.j2`.

    A subclass adds its rows as fields, and what its template needs beside the study itself.

    Attributes:
        created: When it was measured, ISO 8601.
    """

    NAME: ClassVar[str]

    created: str
    host: dict[str, str]
    versions: dict[str, str]

    def values(self) -> Mapping[str, object]:
        """What the template needs beside `study` and `targets`."""
        return {}

    def targets(self) -> Sequence[Target]:
        """Numbers set beforehand, with what was measured."""
        return ()

    @classmethod
    def published(cls) -> Path:
        """The published page; its rows lie beside it with the ending `.json`."""
        return FOLDER / f"{cls.NAME}.md"

    @classmethod
    def regenerate(cls, page: Path) -> Self:
        """Writes a page again from the rows beside it.

        Raises:
            DamagedError: The rows are missing or damaged.
        """
        study = cls.read(page.with_suffix(".json"))
        write_text(page, study.page())
        return study

    def page(self) -> str:
        """The Markdown page."""
        template = PAGES.get_template(f"{self.NAME}.md.j2")
        targets = "\n".join(target.line() for target in self.targets())
        return template.render(study=self, targets=targets, **self.values()) + "\n"


class MeasuredStudy(Study):
    """A study that can be measured again, by its own command."""

    @classmethod
    @abstractmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the options of the measurement; `--table` is there."""

    @classmethod
    @abstractmethod
    def measure(cls, arguments: argparse.Namespace) -> Self | None:
        """Measures; None where only a part of the work was asked for."""

    def check(self) -> None:
        """Checks what the command answers for with its exit code.

        Raises:
            CheckFailedError: The measurement does not keep a limit.
        """

    @classmethod
    def measured_now(cls, **rows: Any) -> Self:
        """The study of rows that were measured just now on this machine."""
        now = {"created": created_now(), "host": describe_host(), "versions": versions()}
        return cls.model_validate(now | rows)

    def publish(self, page: Path) -> None:
        """Writes the page and, beside it, its rows, each by an atomic rename."""
        text = self.page()  # before anything is written, as it may fail
        self.write(page.with_suffix(".json"))
        write_text(page, text)

    @classmethod
    def main(cls, words: Sequence[str] | None = None) -> int:
        """Runs the study from the command line.

        Returns:
            The exit code: 0, 1 where a limit is not kept, 2 where the input is wrong.
        """
        parser = argparse.ArgumentParser(
            prog=f"python -m benchmarks.studies.{cls.NAME}",
            description=sys.modules[cls.__module__].__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        page = f"{cls.NAME}.md"
        parser.add_argument(
            "--table", type=Path, default=Path(page), help=f"the page to write (default: {page})"
        )
        cls.add_options(parser)
        arguments = parser.parse_args(words)
        try:
            study = cls.measure(arguments)
            if study is not None:
                study.publish(arguments.table)
                study.check()
        except ArtefactError as error:
            print(f"{cls.NAME}: {visible(str(error))}", file=sys.stderr)
            return error.exit_code
        return 0
