"""JSON documents changed in their values and in their spelling."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from byte_mutators import BYTE_MUTATORS

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"),
    "", " ", "x", "0", "../../etc/passwd", "/etc/passwd", "models/../../x", "..\\..\\x", "C:\\x",
    "a\nb", "a\0b", "\x1b[31mred", "\u202egnp.exe", "é", "e\u0301", "\ud800", "x" * 100_000, "None",
    [], {}, [[]], [None], {"": ""}, {"file": "x"},
)  # fmt: skip


def _spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside a document."""
    spots = [path] if path else []
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            spots += _spots(inner, (*path, key))
    return spots


def _parent(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def with_values(rng: random.Random, document: Any) -> Any:
    """A copy with one to three values replaced, removed, moved or added."""
    changed = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        spots = _spots(changed)
        if not spots:
            return rng.choice(VALUES)
        path = rng.choice(spots)
        parent = _parent(changed, path)
        action = rng.choice(("replace", "replace", "remove", "swap", "rename", "repeat", "nudge"))
        if action == "replace":
            parent[path[-1]] = copy.deepcopy(rng.choice(VALUES))
        elif action == "remove":
            del parent[path[-1]]
        elif action == "swap":
            other = rng.choice(spots)
            parent[path[-1]] = copy.deepcopy(_parent(changed, other)[other[-1]])
        elif action == "rename" and isinstance(parent, dict):
            parent[rng.choice(("", "x", "schema_version", f"{path[-1]} "))] = parent.pop(path[-1])
        elif action == "repeat" and isinstance(parent, list):
            parent[path[-1] : path[-1]] = [parent[path[-1]]] * rng.choice((1, 2, 1000))
        else:
            parent[path[-1]] = _nudged(rng, parent[path[-1]])
    return changed


def _nudged(rng: random.Random, value: Any) -> Any:
    """A value of the same type that differs a little."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return value + rng.choice((-1, 1, 0.5, 1e-9))
    if isinstance(value, str):
        position = rng.randrange(len(value) + 1)
        return value[:position] + rng.choice((" ", "0", "a", "\u00e9", "\n")) + value[position:]
    return [value]


def _spelling(change: Callable[[random.Random, str], str | bytes]) -> Callable[..., bytes]:
    def changed(rng: random.Random, data: bytes) -> bytes:
        text = change(rng, data.decode("utf-8"))
        return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")

    return changed


def _key_twice(rng: random.Random, text: str) -> str:
    begin = text.find("{")
    key = text[begin:].split(":", 1)[0].strip("{ \n")
    return text[: begin + 1] + f"{key}: {rng.choice(('0', 'null', '[]'))}, " + text[begin + 1 :]


def _long_number(rng: random.Random, text: str) -> str:
    digits = [position for position, letter in enumerate(text) if letter.isdigit()]
    position = rng.choice(digits) if digits else 0
    return text[:position] + "9" * 5000 + text[position:]


def _deep(rng: random.Random, text: str) -> str:
    depth = rng.choice((900, 5_000, 200_000))
    opened, closed = rng.choice((("[", "]"), ('{"a":', "}")))
    inner = opened * depth + "1" + closed * depth
    return inner if rng.random() < 0.5 else text.rstrip()[:-1] + ', "deep": ' + inner + "}"


SPELLINGS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _spelling(_key_twice),
    _spelling(_long_number),
    _spelling(_deep),
    _spelling(lambda rng, text: text + rng.choice((" ", "\n", "}", "x", "\0", text))),
    _spelling(lambda _, text: "\ufeff" + text),
    _spelling(lambda rng, text: text.encode(rng.choice(("utf-16", "utf-32", "utf-7")))),
    _spelling(lambda rng, text: text.replace("\n", rng.choice(("\r\n", "", "\r", "\u2028")))),
    _spelling(lambda rng, text: text.replace(" ", rng.choice(("", "\t", "\u00a0")))),
    _spelling(lambda _, text: json.dumps(json.loads(text), sort_keys=True)),
    _spelling(lambda rng, text: text.replace('"', "'", rng.randint(1, 9))),
    _spelling(lambda _, text: "// x\n" + text),
    _spelling(lambda rng, _: "[" * rng.choice((10, 1_000_000))),
)


def mutated_json(rng: random.Random, data: bytes) -> bytes:
    """A document with other values, or spelled otherwise; other bytes where it is none."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return rng.choice(BYTE_MUTATORS)(rng, data)
    if rng.random() < 0.35:
        return rng.choice(SPELLINGS)(rng, data)
    text = json.dumps(
        with_values(rng, document), indent=rng.choice((None, 2)), ensure_ascii=rng.random() < 0.5
    )
    return text.encode("utf-8", "surrogatepass")
