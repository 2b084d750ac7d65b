"""Results as a benchmark writes them, with nothing measured."""

from __future__ import annotations

from benchmarks.results.schema import Results, Row, Settings


def make_settings(**changes: object) -> Settings:
    """What a benchmark was asked for."""
    values: dict[str, object] = {
        "latency_runs": 50, "warmup": 10, "threads": (1,), "measure_speed": True,
        "bootstrap": 500, "seed": 0, "limit": None, "command": "test",
    }  # fmt: skip
    return Settings.model_validate(values | changes)


def make_row(**values: object) -> Row:
    """A row of 1,000 photos that full integer answered, and what else is given."""
    usual: dict[str, object] = {
        "register": "patterns", "min_photos": 3, "backbone": "tiny", "head": "linear", "seed": 0,
        "variant": "tflite-int8", "runtime": "litert", "photos": 1000,
    }  # fmt: skip
    return Row.model_validate(usual | values)


def make_results(*rows: Row, speed: bool = True, threads: int = 1, **host: str) -> Results:
    """Rows as results of one machine."""
    return Results(
        created="2026-01-01T00:00:00+00:00",
        host={"system": "Linux 6", "machine": "x86_64", "processor": "Some CPU", "cpus": "2"}
        | host,
        versions={"torch": "2"},
        settings=make_settings(measure_speed=speed, threads=(threads,)),
        rows=rows,
    )
