"""The house rules that a program can check: who may import whom, who prints, and a light start."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import ROOT, Graph, circles, import_graph, imported_names, nodes, sources

FLOORS = (
    ("mobile_assets",),
    ("train",),
    ("export.network", "export.golden"),
    ("export.quantise",),
    ("export.tflite", "export.coreml"),
    ("export.variants",),
    ("export.bundle",),
    ("export",),
    ("benchmarks.results", "benchmarks.preprocessing"),
    ("benchmarks.runtimes", "benchmarks.gates"),
    ("benchmarks.measure", "benchmarks.report", "benchmarks.verify"),
    ("benchmarks.pipeline", "benchmarks.evaluation"),
    ("benchmarks.studies", "benchmarks.scan"),
    ("benchmarks",),
    ("artefact_id",),
)
"""Rooms from the ground up. A room imports from floors below its own, and from no neighbour."""

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
GROUND_LIBRARIES = {"numpy", "PIL", "pydantic", "cryptography"}
GROUND_EXTRAS = {"mobile_assets.local_features": {"cv2"}}
"""Optional libraries of single modules of the ground floor, imported where they are used."""

HEAVY = (
    "torch",
    "timm",
    "litert_torch",
    "coremltools",
    "tensorflow",
    "mitsuba",
    "matplotlib",
    "cv2",
)
MOST_LINES = 400


def room_of(module: str) -> str:
    """`benchmarks.report.html.page` stands in the room `benchmarks.report`."""
    two = ".".join(module.split(".")[:2])
    return two if two in FLOOR else module.split(".", maxsplit=1)[0]


def upward(graph: Graph) -> Iterator[str]:
    """Imports of a higher floor, or of a neighbour on the same one."""
    for module, others in graph.items():
        for other in others:
            mine, theirs = room_of(module), room_of(other)
            if mine != theirs and FLOOR[theirs] >= FLOOR[mine]:
                yield f"{module} imports {other}"


def prints(path: Path) -> bool:
    """Whether a file writes to the terminal: `print`, a rich Console, standard output or error."""
    for node in nodes(path):
        if isinstance(node, ast.Name) and node.id in {"print", "Console"}:
            return True
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr"}:
            return True
    return False


MAY_PRINT = {
    "benchmarks.measure.probe",  # answers its parent process in JSON
    "benchmarks.runtimes.subprocess_main",  # likewise, in messages
    "benchmarks.runtimes.mediapipe_tasks.client_main",  # likewise
    "train.decode_worker",  # likewise
    "train.decode_pool",  # the other end
    "mobile_assets.log_suppression",  # takes standard error away from third parties
}


def prints_where_it_may_not(module: str, path: Path) -> bool:
    """Terminal output belongs to the command line, files named console.py and the studies."""
    exempt = module.startswith(("artefact_id", "benchmarks.studies")) or module in MAY_PRINT
    return not exempt and path.name != "console.py" and prints(path)


def test_no_import_circle() -> None:
    assert circles(import_graph()) == []


def test_nothing_imports_upwards_or_sideways() -> None:
    assert sorted(upward(import_graph())) == []


def test_the_ground_floor_needs_four_libraries_only() -> None:
    for module, path in sources().items():
        if module.startswith("mobile_assets"):
            roots = {name.split(".")[0] for name in imported_names(path)}
            others = roots - sys.stdlib_module_names - {"mobile_assets"}
            assert others <= GROUND_LIBRARIES | GROUND_EXTRAS.get(module, set()), path


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("benchmarks.report", ("benchmarks.measure", "benchmarks.runtimes")),
        ("benchmarks.gates", ("torch", "benchmarks.runtimes", "benchmarks.report")),
        ("export.quantise", ("export.tflite", "export.coreml")),
        ("export.tflite", ("export.coreml",)),
        ("export.coreml", ("export.tflite",)),
    ],
)
def test_rooms_that_must_not_know_each_other(room: str, never: tuple[str, ...]) -> None:
    files = [path for module, path in sources().items() if room_of(module) == room]
    assert files
    for path in files:
        bad = {
            name
            for name in imported_names(path)
            if any(f"{name}.".startswith(f"{n}.") for n in never)
        }
        assert not bad, path


def test_nothing_imports_the_studies() -> None:
    for module, others in import_graph().items():
        if not module.startswith("benchmarks.studies"):
            assert not [other for other in others if other.startswith("benchmarks.studies")], module


def test_only_the_command_line_and_consoles_print() -> None:
    assert [m for m, path in sources().items() if prints_where_it_may_not(m, path)] == []


def unsafe_consoles(path: Path) -> list[str]:
    """Calls that pass text to a terminal as it is, past `benchmarks.results.console`."""
    calls = [ast.unparse(node.func) for node in nodes(path) if isinstance(node, ast.Call)]
    return [call for call in calls if call in {"Console", "sys.stdout.write"}]


MAY_WRITE = {
    "benchmarks.results.console",  # makes it safe
    "benchmarks.measure.probe",
    "train.decode_worker",
}


def test_nothing_prints_past_the_safe_console() -> None:
    for module, path in sources().items():
        if module not in MAY_WRITE:
            assert unsafe_consoles(path) == [], path


@pytest.mark.parametrize("line", ["Console(stderr=True).print(1)", "sys.stdout.write('x')"])
def test_printing_past_the_safe_console_is_seen(tmp_path: Path, line: str) -> None:
    path = tmp_path / "console.py"
    path.write_text(f"import sys\n{line}\n")
    assert len(unsafe_consoles(path)) == 1


def csv_writers(path: Path) -> list[str]:
    """Calls of the csv module's own writers, whose cells may be formulas."""
    calls = [ast.unparse(node.func) for node in nodes(path) if isinstance(node, ast.Call)]
    return [call for call in calls if call in {"csv.writer", "csv.DictWriter", "writer"}]


def test_every_csv_is_written_by_the_one_safe_writer() -> None:
    for path in sources().values():
        assert csv_writers(path) == [], path


def test_another_csv_writer_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "table.py"
    path.write_text("import csv\ncsv.DictWriter(None, [])\n")
    assert csv_writers(path) == ["csv.DictWriter"]


def test_rooms_hold_the_modules() -> None:
    for room in ("benchmarks", "export"):
        assert [path.name for path in (ROOT / room).glob("*.py")] == ["__init__.py"]


def test_no_file_is_long() -> None:
    for path in (*sources().values(), *(ROOT / "tests").rglob("*.py")):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path


# Every rule fails where it is broken.


def small_house(root: Path, **files: str) -> Graph:
    """A house of a few files, `room__file="source"`; INIT is a package's `__init__`."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/').replace('INIT', '__init__')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return import_graph(root)


def test_a_circle_is_seen_be_it_lazy_or_for_types(tmp_path: Path) -> None:
    lazy = "def f():\n    from train.b import x\n"
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from train import a\n"
    graph = small_house(tmp_path, train__a=lazy, train__b=types, train__c="import train.a\n")
    assert circles(graph) == [["train.a", "train.b"]]


def test_a_circle_through_a_package_is_seen(tmp_path: Path) -> None:
    package = "from train.inner.b import x\n"
    outer = "from train.inner.c import y\n"
    graph = small_house(
        tmp_path,
        train__inner__INIT=package,
        train__inner__b="import train.a\n",
        train__inner__c="y = 1\n",
        train__a=outer,
    )
    assert circles(graph) == [["train.a", "train.inner", "train.inner.b"]]


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("train__wrong", "export.tflite.convert"),
        ("export__quantise__wrong", "export.tflite.convert"),
        ("export__coreml__wrong", "export.tflite.convert"),
        ("benchmarks__gates__wrong", "benchmarks.runtimes.interface"),
        ("benchmarks__report__wrong", "benchmarks.measure.latency"),
        ("benchmarks__pipeline__wrong", "benchmarks.studies.eth80"),
    ],
)
def test_an_upward_import_is_seen(tmp_path: Path, importer: str, imported: str) -> None:
    package, name = imported.rsplit(".", 1)
    files = {importer: f"def f():\n    from {package} import {name}\n"}
    graph = small_house(tmp_path, **files, **{imported.replace(".", "__"): ""})
    assert list(upward(graph)) == [f"{importer.replace('__', '.')} imports {imported}"]


@pytest.mark.parametrize("line", ["print(1)", "sys.stdout.write('x')", "Console().rule()"])
def test_printing_is_seen(tmp_path: Path, line: str) -> None:
    path = tmp_path / "verify.py"
    path.write_text(f"import sys\n{line}\n")
    assert prints_where_it_may_not("benchmarks.verify.verify", path)
    assert not prints_where_it_may_not("artefact_id.verify", path)
    assert not prints_where_it_may_not(
        "benchmarks.verify.console", path.rename(tmp_path / "console.py")
    )


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*(n for n in {HEAVY!r} if n in sys.modules))"
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(process.stdout.split("\n")[-2].split())


@pytest.mark.parametrize(
    "code",
    [
        "from artefact_id.main import build_parser; build_parser()",
        "import mobile_assets.local_features, mobile_assets.match_picture",
        "import export, benchmarks, train.demo, train.trainer, train.registers.inspection",
        "import benchmarks.pipeline.identify, benchmarks.pipeline.sweep\n"
        "import benchmarks.runtimes.litert_runtime",
        "import export.bundle.enrolment, export.bundle.merge, export.bundle.difference",
    ],
)
def test_no_heavy_import_before_it_is_needed(code: str) -> None:
    assert loaded_after(code) == set()


def test_the_check_sees_a_heavy_import() -> None:
    assert loaded_after("import matplotlib") == {"matplotlib"}
