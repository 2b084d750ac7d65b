"""The house rules that a program can check: who may import whom, and that start-up is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {"mobile_assets": 0, "train": 1, "export": 2, "benchmarks": 3, "artefact_id": 4}
GROUND = {"numpy", "PIL", "pydantic"}
HEAVY = ("torch", "timm", "litert_torch", "coremltools", "tensorflow", "mitsuba", "matplotlib")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py")) if room != "artefact_id" else [ROOT / f"{room}.py"]


def violations(floor: int, found: set[str]) -> set[str]:
    return {name for name in found if FLOORS.get(name, -1) > floor}


@pytest.mark.parametrize("room", FLOORS)
def test_nothing_imports_upwards(room: str) -> None:
    assert sources(room)
    for path in sources(room):
        assert not violations(FLOORS[room], imports(path)), path


def test_the_check_sees_an_upward_import(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from export.tflite.convert import convert\n")
    assert violations(FLOORS["train"], imports(wrong)) == {"export"}


def test_the_ground_floor_needs_three_libraries_only() -> None:
    for path in sources("mobile_assets"):
        others = imports(path) - set(sys.stdlib_module_names) - {"mobile_assets"}
        assert others <= GROUND, path


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*(n for n in {HEAVY!r} if n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import artefact_id; artefact_id.build_parser()",
        "import export, benchmarks, train.demo, train.trainer, train.inspection",
        "import benchmarks.pipeline.identify, benchmarks.runtimes.litert_runtime, benchmarks.pipeline.sweep",
    ],
)
def test_no_heavy_import_before_it_is_needed(code: str) -> None:
    assert loaded_after(code) == set()


def test_the_check_sees_a_heavy_import() -> None:
    assert loaded_after("import matplotlib") == {"matplotlib"}
