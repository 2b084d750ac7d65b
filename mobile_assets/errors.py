"""The errors that a user can cause and mend.

Each message says what was given, what is wrong and what to do. The command line turns them into
exit codes in one place; everything else that is raised is a defect and shows its traceback.
"""

from __future__ import annotations


class ArtefactError(Exception):
    """Base of every error that is reported as one message, without a traceback."""

    exit_code = 2


class InputError(ArtefactError):
    """What the user gave (a path, an option, a photo, a manifest) cannot be used."""


class UnsupportedError(InputError):
    """A model holds something that one runtime does not know; others may execute it."""


class DamagedError(ArtefactError):
    """A run, bundle or results file is damaged, incomplete or of another schema version."""


class MissingDependencyError(ArtefactError):
    """A part of the toolkit needs a package, a file or a platform that is not here."""


class CheckFailedError(ArtefactError):
    """A check or gate ran and found the thing it guards broken."""

    exit_code = 1


def first_line(error: Exception) -> str:
    """The first line of another library's message; its class where the message is empty."""
    return (str(error).splitlines() or [type(error).__name__])[0]
