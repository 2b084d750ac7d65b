"""Swapping two files or folders in one step, where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_HERE = -100  # AT_FDCWD
_RENAME_EXCHANGE = 2  # Linux
_RENAME_SWAP = 2  # macOS
_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What old systems, and file systems that cannot do it, answer."""


def swap(first: Path, second: Path) -> bool:
    """Gives each of two paths the other's content, in one step that a kill cannot divide.

    Returns:
        Whether it was done; False where system or file system cannot, and nothing is changed.

    Raises:
        OSError: It may not be done, or one of them is not there.
    """
    function = _function()
    if function is None:
        return False
    if function(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(second))


@cache
def _function() -> Callable[[bytes, bytes], int] | None:
    """The system's own function, of two paths; None where there is none."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            rename = library.renameat2
            return lambda a, b: int(rename(_HERE, a, _HERE, b, ctypes.c_uint(_RENAME_EXCHANGE)))
        if sys.platform == "darwin":
            swapped = library.renamex_np
            return lambda a, b: int(swapped(a, b, ctypes.c_uint(_RENAME_SWAP)))
    except (AttributeError, OSError, TypeError):
        return None
    return None
