"""The import graph of the toolkit, file by file, for the tests of the house rules and for reading.

`python tests/house.py` prints every file with its floor and what it imports.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("artefact_id", "mobile_assets", "train", "export", "benchmarks")

Graph = Mapping[str, frozenset[str]]
"""Modules of the toolkit by dotted name, with the modules of the toolkit that they import."""


def module_name(path: Path, root: Path = ROOT) -> str:
    """The dotted name of a source file."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(root: Path = ROOT) -> dict[str, Path]:
    """All modules below `root`, by dotted name."""
    files = (path for room in ROOMS for path in sorted((root / room).rglob("*.py")))
    return {module_name(path, root): path for path in files}


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """The syntax of a file; each file is parsed once."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@functools.cache
def imported_names(path: Path) -> frozenset[str]:
    """Every module that a file imports; lazy imports and those for type checks count too."""
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # `from package import name`: the name may be a module, which then is what is meant
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def import_graph(root: Path = ROOT) -> dict[str, frozenset[str]]:
    """Which module imports which, within the toolkit."""
    modules = sources(root)

    def module_of(name: str) -> str | None:
        while name and name not in modules:
            name = name.rpartition(".")[0]
        return name or None

    def executed(module: str, name: str) -> set[str]:
        """What an import runs: the module, and the packages around it, their `__init__`, too."""
        target = module_of(name)
        if target is None:
            return set()
        parts = target.split(".")
        packages = {".".join(parts[:size]) for size in range(1, len(parts))} & modules.keys()
        return {target} | {package for package in packages if not module.startswith(package)}

    return {
        module: frozenset().union(*(executed(module, name) for name in imported_names(path)))
        - {module}
        for module, path in modules.items()
    }


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules that import one another in a circle: Tarjan's components of over one."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        stack.append(module)
        for other in sorted(graph.get(module, ())):
            if other not in number:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], number[other])
        if low[module] == number[module]:
            component = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(component) > 1:
                found.append(sorted(component))

    for module in sorted(graph):
        if module not in number:
            visit(module)
    return found


def main() -> None:
    """Prints the graph, and its circles."""
    graph = import_graph()
    for module in sorted(graph):
        print(f"{module}: {', '.join(sorted(graph[module]))}")
    for circle in circles(graph):
        print("circle:", ", ".join(circle), file=sys.stderr)


if __name__ == "__main__":
    main()
