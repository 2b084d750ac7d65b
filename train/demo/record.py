"""`demo.json`, the manifest, and what is kept while a register is being made."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mobile_assets.csv_table import csv_text
from mobile_assets.files import write_text
from train.demo.plan import ObjectPlan
from train.demo.spec import GENERATOR_VERSION, DemoError, DemoSpec
from train.demo.work import Done

DEMO_JSON = "demo.json"
_PART = "demo.part.jsonl"
_SCHEMA = 1


def header(spec: DemoSpec) -> dict[str, Any]:
    """What identifies a register: its specification and what made it."""
    return {
        "schema": _SCHEMA,
        "generator_version": GENERATOR_VERSION,
        "spec": asdict(spec),
        "versions": {name: version(name) for name in ("mitsuba", "numpy", "pillow")},
    }


def open_register(root: Path, spec: DemoSpec) -> dict[int, Done]:
    """Claim a folder for a register, or find the one that was begun there.

    Args:
        root: The folder; made if it is missing.

    Returns:
        The descriptions that are already known, by object index.

    Raises:
        DemoError: If the folder holds something else.
    """
    file = root / DEMO_JSON
    if not file.exists():
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise DemoError(
                f"{root} was given for the demo register, but it is not an empty folder and "
                f"holds no {DEMO_JSON}. Give a new or empty folder."
            )
        root.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(header(spec) | {"complete": False, "objects": []}, indent=1))
        return {}
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        _check(root, description, header(spec))
        return _known(root, description)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise DemoError(
            f"{file} cannot be read as the description of a demo register ({error}). "
            "Give another folder, or delete this one to make the register anew."
        ) from error


def _check(root: Path, description: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key in ("schema", "generator_version", "spec", "versions"):
        if key == "versions" and description["complete"]:
            continue  # finished pictures stay good whatever is installed now
        if description[key] != wanted[key]:
            raise DemoError(
                f"{root} was given for the demo register, but holds one made with other "
                f"settings: {key} is {description[key]} there and {wanted[key]} now. Give another "
                "folder, use the settings of that register, or delete it."
            )


def _known(root: Path, description: dict[str, Any]) -> dict[int, Done]:
    rows: list[dict[str, Any]] = list(description["objects"])
    part = root / _PART
    if part.exists():
        for line in part.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue  # a line that was being written when the run was killed
    return {row["index"]: Done(row["index"], row["title"], row["parameters"], 0) for row in rows}


def note(root: Path, done: Done) -> None:
    """Remember an object's description while the register is being made."""
    row = {"index": done.index, "title": done.title, "parameters": done.parameters}
    with (root / _PART).open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        # A line that a kill cut off stays a line of its own.
        gap = b"\n" if file.read(1) not in (b"", b"\n") else b""
        file.write(gap + json.dumps(row).encode("utf-8") + b"\n")


def close_register(
    root: Path, spec: DemoSpec, plans: Sequence[ObjectPlan], known: dict[int, Done]
) -> None:
    """Write the manifest and the full description; the register is complete."""
    write_text(root / "register" / "manifest.csv", _manifest(plans, known))
    objects = [
        asdict(plan)
        | {"title": known[plan.index].title, "parameters": known[plan.index].parameters}
        for plan in plans
    ]
    text = json.dumps(header(spec) | {"complete": True, "objects": objects}, indent=1)
    write_text(root / DEMO_JSON, text)
    (root / _PART).unlink(missing_ok=True)


def photo_path(plan: ObjectPlan, number: int, letter: str = "") -> str:
    """Where a photo lies in its register, with POSIX slashes."""
    return f"{plan.collection}/{plan.object_id}/{plan.object_id}_{letter}{number + 1:02d}.jpg"


def _manifest(plans: Iterable[ObjectPlan], known: dict[int, Done]) -> str:
    rows = sorted(
        (photo_path(plan, k), plan.object_id, plan.collection, known[plan.index].title)
        for plan in plans
        for k in range(plan.photos)
    )
    columns = ("path", "object_id", "collection", "title")
    return csv_text((dict(zip(columns, row, strict=True)) for row in rows), columns)
