"""HEIC, the format of an iPhone's photos: read where the extra `heic` is installed."""

from __future__ import annotations


def register_heif() -> bool:
    """Teaches Pillow to read HEIC, in this process; gives whether it can."""
    try:
        import pillow_heif
    except ImportError:  # its wheels hold an encoder under the GPL, so not everybody installs it
        return False
    pillow_heif.register_heif_opener()
    return True
