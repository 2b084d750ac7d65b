"""Bytes changed at random: flipped, cut, moved, and numbers in them set to extremes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

ByteMutator = Callable[[random.Random, bytes], bytes]

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers at which lengths and dimensions overflow."""


def _span(rng: random.Random, data: bytes, most: int = 4096) -> tuple[int, int]:
    """Begin and end of a piece that is not empty, if there is one."""
    begin = rng.randrange(max(1, len(data)))
    return begin, min(len(data), begin + rng.randint(1, most))


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    """One to sixteen bits anywhere, half of the time near the beginning."""
    changed = bytearray(data)
    end = min(len(data), 512) if rng.random() < 0.5 else len(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if end:
            changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_number(rng: random.Random, data: bytes) -> bytes:
    """A number of 1, 2 or 4 bytes, of either byte order, becomes an extreme one."""
    changed, width = bytearray(data), rng.choice((1, 2, 4))
    if len(data) <= width:
        return data
    end = min(len(data), 1024) if rng.random() < 0.7 else len(data)
    position = rng.randrange(max(1, end - width))
    number = rng.choice(EXTREMES) & ((1 << 8 * width) - 1)
    changed[position : position + width] = number.to_bytes(width, rng.choice(("big", "little")))
    return bytes(changed)


def truncate(rng: random.Random, data: bytes) -> bytes:
    """The end is missing: a few bytes, or nearly everything."""
    if rng.random() < 0.3:
        return data[: max(0, len(data) - rng.randint(1, 64))]
    return data[: rng.randrange(max(1, len(data)))]


def drop(rng: random.Random, data: bytes) -> bytes:
    """A piece is missing."""
    begin, end = _span(rng, data)
    return data[:begin] + data[end:]


def duplicate(rng: random.Random, data: bytes) -> bytes:
    """A piece stands twice."""
    begin, end = _span(rng, data)
    return data[:end] + data[begin:]


def insert(rng: random.Random, data: bytes) -> bytes:
    """Something else in between."""
    begin, _ = _span(rng, data)
    return data[:begin] + rng.randbytes(rng.randint(1, 64)) + data[begin:]


def blank(rng: random.Random, data: bytes) -> bytes:
    """A piece, or all that follows, becomes zeros, as after a broken-off copy."""
    begin, end = _span(rng, data)
    end = len(data) if rng.random() < 0.5 else end
    return data[:begin] + bytes(end - begin) + data[end:]


def append(rng: random.Random, data: bytes) -> bytes:
    """Something behind the end."""
    return data + rng.choice((b"\0", b"\n", b" ", rng.randbytes(rng.randint(1, 999)), data))


def empty(rng: random.Random, data: bytes) -> bytes:
    """Nothing at all, or nothing but zeros."""
    return rng.choice((b"", bytes(len(data))))


BYTE_MUTATORS: tuple[ByteMutator, ...] = (
    flip_bits, flip_bits, set_number, set_number, truncate, drop, duplicate, insert, blank, append,
    empty,
)  # fmt: skip


def splice(rng: random.Random, head: bytes, body: bytes) -> bytes:
    """The header of one file on the body of another."""
    cut = rng.choice((2, 4, 8, 12, 16, 32, 64, 256))
    return head[:cut] + body[rng.choice((0, cut)) :]


def chunks_mutated(rng: random.Random, chunks: list[bytes]) -> list[bytes]:
    """Chunks swapped, repeated, left out or changed inside."""
    changed = list(chunks)
    if not changed:
        return changed
    first, second = rng.randrange(len(changed)), rng.randrange(len(changed))
    action = rng.choice(("swap", "repeat", "many", "omit", "inside"))
    if action == "swap":
        changed[first], changed[second] = changed[second], changed[first]
    elif action == "repeat":
        changed.insert(second, changed[first])
    elif action == "many":
        # Many small ones; a large one a few times only.
        changed[first:first] = [changed[first]] * min(20_000, 1 + 2_000_000 // len(changed[first]))
    elif action == "omit":
        del changed[first]
    else:
        changed[first] = rng.choice(BYTE_MUTATORS)(rng, changed[first])
    return changed


def be32(number: int) -> bytes:
    """Four bytes, the highest first."""
    return struct.pack(">I", number & 0xFFFFFFFF)
