"""What accelerators take of a file: the rules, and the placement that is measured."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.runtimes.litert_runtime import open_litert
from export.bundle.delegates import DelegateView, delegate_table, delegate_views, delegated, rules
from export.tflite.graph import operator_names
from export.variants.operations import Operation, operations
from mobile_assets.bundle import Bundle

VARIANTS = ("tflite-float16", "tflite-int8", "coreml-float16")


def path(bundle: Bundle, variant: str) -> Path:
    return bundle.path(bundle.info.variant(variant))


def views(bundle: Bundle, variant: str) -> dict[str, DelegateView]:
    return {view.name.split(" (")[0]: view for view in delegate_views(path(bundle, variant))}


def test_operations_are_those_of_the_file(golden_bundle: Bundle) -> None:
    for variant in VARIANTS[:2]:
        file = path(golden_bundle, variant)
        names = Counter(operation.name for operation in operations(file))
        assert names == operator_names(file.read_bytes())
    labels = {operation.label for operation in operations(path(golden_bundle, "tflite-int8"))}
    assert {"QUANTIZE (int8 and uint8)", "CONV_2D (int8, weights int8)"} <= labels
    assert "FULLY_CONNECTED (float32, weights int8)" in labels
    kinds = {op.name: op.types for op in operations(path(golden_bundle, "coreml-float16"))}
    assert kinds["conv"] == ("float16",)
    assert kinds["softmax"] == ("float32",)


def test_every_operation_is_taken_refused_or_unknown(golden_bundle: Bundle) -> None:
    for variant in VARIANTS:
        of = len(operations(path(golden_bundle, variant)))
        for view in views(golden_bundle, variant).values():
            assert view.total == of
            assert view.taken + sum(view.refused.values()) + sum(view.unknown.values()) == of


@pytest.mark.parametrize("variant", VARIANTS[:2])
def test_xnnpack_is_measured_as_the_runtime_measures_it(
    golden_bundle: Bundle, variant: str
) -> None:
    with open_litert(golden_bundle, variant) as session:
        placement = session.placement()
    view = views(golden_bundle, variant)["CPU"]
    assert (view.basis, view.taken, view.total) == ("measured", placement.taken, placement.total)
    assert sum(view.refused.values()) == sum(placement.left.values())


def test_what_lies_between_a_delegates_ends_is_taken() -> None:
    def op(name: str, inputs: list[int], outputs: list[int]) -> dict[str, object]:
        return {"op_name": name, "inputs": inputs, "outputs": outputs}

    graph = [op("A", [0], [1]), op("B", [1], [2]), op("C", [2], [3])]
    assert delegated(graph) == set()
    assert delegated([*graph, op("DELEGATE", [1], [2])]) == {1}
    assert delegated([*graph, op("DELEGATE", [0], [3])]) == {0, 1, 2}


def test_edge_tpu_stops_at_the_first_float(golden_bundle: Bundle) -> None:
    view = views(golden_bundle, "tflite-int8")["Edge TPU"]
    names = [operation.name for operation in operations(path(golden_bundle, "tflite-int8"))]
    assert view.taken == names.index("DEQUANTIZE")
    assert views(golden_bundle, "tflite-float16")["Edge TPU"].taken == 0


def test_the_neural_engine_is_refused_what_is_float32(golden_bundle: Bundle) -> None:
    found = views(golden_bundle, "coreml-float16")
    view = found["Apple Neural Engine"]
    assert view.basis == "assumed"
    assert view.taken == 0  # Apple says of no operation that it is taken
    assert view.refused["softmax (float32)"] == 1
    assert all("float32" in label for label in view.refused)
    assert "conv (float16)" in view.unknown
    assert found["Apple GPU"].refused == {}


def test_rules_tell_sizes_types_and_what_nobody_says_apart() -> None:
    of = {rule.name.split(" ")[0]: rule for rule in rules()}
    three = Operation("DEPTHWISE_CONV_2D", ("int8",), ("int8",), 3)
    five = Operation("DEPTHWISE_CONV_2D", ("int8",), ("int8",), 5)
    assert (of["Hexagon"].judge(three), of["Hexagon"].judge(five)) == ("taken", "refused")
    mixed = Operation("FULLY_CONNECTED", ("float32",), ("int8",))
    assert of["Qualcomm"].judge(mixed) == "unknown"
    assert of["NNAPI"].judge(mixed) == "taken"
    assert of["Edge"].judge(mixed) == "refused"
    half = Operation("DEQUANTIZE", ("float32",), ("float16",))
    assert of["NNAPI"].judge(half) == "unknown"
    assert of["MediaTek"].judge(Operation("CUMSUM", ("float32",))) == "refused"
    assert of["GPU"].judge(Operation("MEAN", ("float32",))) == "taken"
    assert of["GPU"].judge(Operation("ZEROS_LIKE", ("float32",))) == "refused"


def test_the_table_names_every_source(golden_bundle: Bundle) -> None:
    table = delegate_table([(name, delegate_views(path(golden_bundle, name))) for name in VARIANTS])
    for rule in rules():
        assert rule.source in table
    assert "| tflite-int8 | Edge TPU | documented |" in table
    width = {line.count("|") for line in table.splitlines() if line.startswith("|")}
    assert width == {7}
