"""Why a photo cannot be decoded."""

from __future__ import annotations

from pathlib import Path

from mobile_assets.errors import InputError


class PhotoError(InputError):
    """A photo cannot be decoded. `reason` is one short phrase, for tables."""

    def __init__(self, path: Path | str, reason: str) -> None:
        """Makes the message from the photo's path and the reason."""
        super().__init__(f"{path}: {reason}. Replace the photo or take it out.")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[PhotoError], tuple[Path, str]]:
        """Lets the error cross from a worker process."""
        return (PhotoError, (self.path, self.reason))


class UnreadableError(Exception):
    """A file's content cannot be decoded; the text is the reason, in one short phrase."""
