"""What is installed: under which licences, dragged in by which extra, with which known weaknesses.

`python tests/audit.py` (or `make audit`) lists the licences of each extra, then asks PyPI's
database of weaknesses by pip-audit. Exit codes: 0 nothing known; 1 a weakness is known; 2 the
database could not be asked.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = "artefact-id"
NOT_STATED = "not stated"
REMARKABLE = re.compile(rf"GPL|GNU|MPL|Mozilla|EUPL|CDDL|Proprietary|{NOT_STATED}", re.IGNORECASE)
"""Licences with duties, or none at all: a person looks at them before passing the package on."""

BUNDLED = {"pillow-heif": "wheels bundle x265 (GPL 2) beside libheif and libde265 (LGPL 3)"}
"""What a package's own licence field does not say of the libraries inside its wheels."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def needed(package: Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    """Requirements of a package with some of its extras, on this machine."""
    for line in package.requires or ():
        requirement = Requirement(line)
        environments = [{"extra": extra} for extra in (extras or {""})] + [{"extra": ""}]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            yield requirement


def closure(name: str, extras: frozenset[str]) -> set[str]:
    """Everything that is installed for a package and its extras, itself left out."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(canonical(name), extras)]
    while waiting:
        key = waiting.pop()
        package = installed(key[0])
        if key in seen or package is None:
            continue
        seen.add(key)
        waiting += [(canonical(r.name), frozenset(r.extras)) for r in needed(package, key[1])]
    return {found for found, _ in seen} - {canonical(name)}


def licence(package: Distribution) -> str:
    """The licence as the package states it, in a few words."""
    facts = package.metadata
    stated = facts.get("License-Expression") or ""
    classifiers = [
        line.rsplit(" :: ", 1)[-1]
        for line in facts.get_all("Classifier") or ()
        if line.startswith("License :: ") and line.count(" :: ") > 1
    ]
    text = stated or ", ".join(classifiers) or (facts.get("License") or "").strip()
    first = (text.splitlines() or [NOT_STATED])[0][:70]
    return NOT_STATED if first.upper() == "UNKNOWN" else first


def licences() -> list[str]:
    """A line per package, under the extra that brings it first."""
    project = installed(PROJECT)
    if project is None:
        return [f"{PROJECT} is not installed here: run make test first."]
    lines, known = [], set[str]()
    extras = sorted(project.metadata.get_all("Provides-Extra") or (), key=lambda e: e == "all")
    for extra in ["", *extras]:
        brought = closure(PROJECT, frozenset({extra} if extra else ())) - known
        lines.append(f"\n{f'extra {extra}' if extra else 'always'}: {len(brought)} packages more")
        for name in sorted(brought):
            package = installed(name)
            assert package is not None
            words = licence(package)
            note = BUNDLED.get(name, "")
            mark = "  <- look here" if REMARKABLE.search(words + note) else ""
            lines.append(
                f"  {name} {package.version}: {'; '.join(filter(None, (words, note)))}{mark}"
            )
        known |= brought
    return lines


def weaknesses() -> tuple[int, list[str]]:
    """The exit code and what pip-audit found."""
    folders = sorted({path for path in sys.path if path.endswith("site-packages")})
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    for folder in folders:
        command += ["--path", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError, TypeError):
        lines = done.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"pip-audit ended with code {done.returncode}"
        return 2, [
            f"Known weaknesses were not looked up: {reason[:300]}",
            "pip-audit asks PyPI over the network; it comes with pip install 'artefact-id[audit]'.",
        ]
    bad = [
        f"  {package['name']} {package['version']}: {flaw['id']}, mended in "
        f"{', '.join(flaw['fix_versions']) or 'no version yet'}"
        for package in found
        for flaw in package.get("vulns", ())
    ]
    skipped = sorted(package["name"] for package in found if "skip_reason" in package)
    asked = len(found) - len(skipped)
    lines = [f"{asked} packages were looked up: {len(bad)} known weaknesses.", *bad]
    if skipped:
        lines.append(f"Unknown to the database: {', '.join(skipped)}.")
    if not asked:
        return 2, [*lines, "Nothing could be looked up."]
    return int(bool(bad)), lines


def main() -> int:
    print("\n".join(licences()).lstrip())
    code, lines = weaknesses()
    print("\n" + "\n".join(lines))
    return code


if __name__ == "__main__":
    sys.path = [path for path in sys.path if Path(path) != Path(__file__).parent]
    sys.exit(main())
