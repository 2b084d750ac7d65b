"""Breaks the toolkit on purpose, one line at a time, and asks the default tests to notice.

    python tests/mutations.py            # all of them, an hour and more on two cores
    python tests/mutations.py 3 17       # some of them, by number

Each mutation is made in a copy of the working tree. The tests of its own room run first, then the
default suite, until one fails. A mutation whose text is no longer in the file is an error: mend it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from house import ROOT


@dataclass(frozen=True)
class Mutation:
    """A defect that somebody might make.

    Attributes:
        file: Path from the root.
        old: What stands there, once.
        new: What is put there.
        first: The tests that are run first.
        what: The defect in words.
    """

    file: str
    old: str
    new: str
    first: str
    what: str


MUTATIONS = (
    Mutation(
        "mobile_assets/decision.py",
        " and thresholds.match < 1",
        "",
        "tests/mobile_assets/test_decision.py",
        "a match although the bundle promises none",
    ),
    Mutation(
        "mobile_assets/preprocessing.py",
        "Image.Resampling.BILINEAR",
        "Image.Resampling.NEAREST",
        "tests/mobile_assets/test_photos.py",
        "photos resized without antialiasing",
    ),
    Mutation(
        "mobile_assets/photo_decoding/reading.py",
        "if picture.orientation in TURNS:",
        "if False:",
        "tests/mobile_assets/test_photos.py",
        "EXIF orientation ignored",
    ),
    Mutation(
        "mobile_assets/shortlist.py",
        'chosen[np.argsort(-probabilities[chosen], kind="stable")]',
        'chosen[np.argsort(probabilities[chosen], kind="stable")]',
        "tests/mobile_assets/test_decision.py",
        "the short list's worst object first",
    ),
    Mutation(
        "mobile_assets/files.py",
        "                os.replace(part, path)\n        except",
        "                path.write_bytes(data)\n        except",
        "tests/mobile_assets/test_output_folders.py",
        "files written in place, not by rename",
    ),
    Mutation(
        "train/registers/register.py",
        "tuple(sorted({photo.object_id for photo in self.photos}))",
        "tuple({photo.object_id: 0 for photo in reversed(self.photos)})",
        "tests/train/test_register.py",
        "labels in another order than the sorted one",
    ),
    Mutation(
        "train/model.py",
        "(1 / (255 * std))",
        "(1 / (256 * std))",
        "tests/train/test_training.py",
        "normalisation by 256",
    ),
    Mutation(
        "train/near_duplicates.py",
        "SAME_OBJECT_BITS = 36",
        "SAME_OBJECT_BITS = 0",
        "tests/train/test_register.py",
        "near-duplicates on both sides of the split",
    ),
    Mutation(
        "train/checkpoint.py",
        'if about["key"] != self.key:',
        "if False:",
        "tests/train/test_resume.py",
        "a training goes on from another training's state",
    ),
    Mutation(
        "export/network/fold.py",
        "last.weight = nn.Parameter(last.weight / temperature)",
        "last.weight = nn.Parameter(last.weight * temperature)",
        "tests/export/test_folding.py",
        "the temperature multiplied instead of divided",
    ),
    Mutation(
        "export/tflite/metadata.py",
        'labels.text.encode("utf-8")',
        '"".join(reversed(labels.text.splitlines(keepends=True))).encode("utf-8")',
        "tests/export/test_many_objects.py",
        "labels reversed inside the TFLite file",
    ),
    Mutation(
        "export/coreml/convert.py",
        "color_layout=ct.colorlayout.RGB",
        "color_layout=ct.colorlayout.BGR",
        "tests/export/test_coreml_export.py",
        "Core ML packages that take BGR",
    ),
    Mutation(
        "export/coreml/convert.py",
        "torch.softmax(self.network(image), dim=-1)",
        "torch.sigmoid(self.network(image))",
        "tests/export/test_coreml_export.py",
        "no softmax in Core ML packages",
    ),
    Mutation(
        "mobile_assets/signature.py",
        "key.verify(_decoded(signature.signature), content)",
        "_decoded(signature.signature)",
        "tests/export/test_signing.py",
        "signatures accepted unseen",
    ),
    Mutation(
        "export/quantise/gptq.py",
        "DAMPING = 0.01",
        "DAMPING = 1e9",
        "tests/export/test_layer_rounding.py",
        "weights rounded without compensation of the error",
    ),
    Mutation(
        "mobile_assets/wilson.py",
        "Z95 = 1.959963984540054",
        "Z95 = 1.0",
        "tests/benchmarks/test_metrics.py",
        "intervals half as wide",
    ),
    Mutation(
        "benchmarks/gates/limits.py",
        "value <= bound if self.most else value >= bound",
        "value >= bound if self.most else value <= bound",
        "tests/benchmarks/test_gates.py",
        "limits held the wrong way round",
    ),
    Mutation(
        "mobile_assets/bundle_contents.py",
        "if digest.hexdigest() != self.hashes[name]:",
        "if False:",
        "tests/benchmarks/test_tampering.py",
        "changed model files pass verify",
    ),
    Mutation(
        "benchmarks/runtimes/coreml_reference/layers.py",
        "return [(pad[2 * axis], pad[2 * axis + 1]) for axis in range(len(size))]",
        "return [(pad[2 * axis + 1], pad[2 * axis]) for axis in range(len(size))]",
        "tests/benchmarks/test_coreml_windows.py",
        "padding before and behind exchanged in the Core ML reference",
    ),
    Mutation(
        "train/run.py",
        "changed = sha256_file(path) != self.sha256",
        "changed = False",
        "tests/benchmarks/test_evaluation_set.py",
        "a changed photo is measured as if it were the old one",
    ),
    Mutation(
        "artefact_id/main.py",
        "return translated.exit_code",
        "return 0",
        "tests/artefact_id/test_cli.py",
        "exit code 0 after an error",
    ),
    Mutation(
        "export/bundle/recommend.py",
        "self.agreement >= wanted - SLACK",
        "self.agreement <= wanted - SLACK",
        "tests/export/test_recommend.py",
        "a variant that misses its limits is recommended",
    ),
    Mutation(
        "train/depths.py",
        "        if index in depths:",
        "        if index + 1 in depths:",
        "tests/train/test_depths.py",
        "features of the stage before",
    ),
    Mutation(
        "train/loop.py",
        "            self.model.ignore_depths()",
        "            pass",
        "tests/train/test_depths.py",
        "stages trained by gradients before the closed form",
    ),
    Mutation(
        "train/run.py",
        "        depths=info.depths,\n",
        "",
        "tests/export/test_depths_export.py",
        "a run loaded without its stages",
    ),
    Mutation(
        "export/network/depths.py",
        "    summed[0].bias = first.bias\n",
        "",
        "tests/export/test_depths_export.py",
        "an embedding of several depths without its bias",
    ),
    Mutation(
        "export/network/graph.py",
        "(before if embeds else set())",
        "set()",
        "tests/export/test_depths_export.py",
        "an embedding's layers rounded to 8 bits",
    ),
    Mutation(
        "export/tflite/graph.py",
        "if operator in (*before, *last)]",
        "if operator in last]",
        "tests/export/test_quantisation.py",
        "an embedding's layers rounded to 8 bits in a file",
    ),
)


def broken_copy(mutation: Mutation, folder: Path) -> None:
    """Copies the working tree and breaks it."""
    ignored = shutil.ignore_patterns(".git", ".venv", "demo", ".*_cache", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=ignored, symlinks=True)
    path = folder / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.file} does not hold once: {mutation.old}")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def noticed_by(mutation: Mutation) -> str | None:
    """The first test that fails, or None if the default suite passes."""
    options = ["-m", "not slow", "-x", "-q", "-p", "no:cacheprovider", "-n", "2"]
    options += ["--ignore", "tests/test_docs.py"]  # asks git, which the copy does not have
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "toolkit"
        broken_copy(mutation, folder)
        for tests in ([mutation.first], ["tests"]):
            run = subprocess.run(
                [sys.executable, "-m", "pytest", *options, *tests],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            lines = [n for n in run.stdout.splitlines() if n.startswith(("FAILED", "ERROR"))]
            if lines:  # with several workers, the first failure ends as an interrupt
                return lines[0].split(" - ")[0]
            if run.returncode != 0:
                raise SystemExit(f"pytest itself failed:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return None


def main() -> None:
    """Tries the mutations and prints which test notices each."""
    chosen = [int(word) for word in sys.argv[1:]] or range(1, len(MUTATIONS) + 1)
    caught = 0
    for number in chosen:
        mutation, started = MUTATIONS[number - 1], time.monotonic()
        test = noticed_by(mutation)
        caught += test is not None
        seconds = time.monotonic() - started
        print(f"{number:2} {mutation.what}: {test or 'NOT NOTICED'} ({seconds:.0f} s)", flush=True)
    print(f"{caught} of {len(chosen)} noticed")


if __name__ == "__main__":
    main()
