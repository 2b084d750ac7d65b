"""Classifies images with MediaPipe's ImageClassifier: `python -I mediapipe_client.py JOB RESULT`.

A script that stands alone: it is run by the Python of MediaPipe's own environment, which has
MediaPipe and numpy but nothing of this project. Without arguments it prints its versions as JSON.

JOB is a JSON file:

    {"models": [PATH, ...], "images": [PATH, ...], "shortlist": 5, "threshold": 0.1}

where an image is a `.npy` file, `[height, width, 3]` uint8, RGB. RESULT is written as `.npz`:

    report         JSON: the version, and for each model what failed, if anything did
    names<m>       JSON: [index, name] of every category that model m gave in any answer, once each
    indices<m>     `[images, categories]` int32, as ordered in the answers
    scores<m>      `[images, categories]` float32
    shortlist<m>   `[images, at most shortlist]` int32, of a classifier asked for so many
    above<m>       JSON: the indices of each image, of a classifier asked for scores from threshold
"""

from __future__ import annotations

import json
import platform
import sys
from typing import Any


def main(arguments: list[str]) -> int:
    """Does the job; what one model fails in is told, and the others go on."""
    if not arguments:
        from mediapipe.tasks.python import vision

        assert vision.ImageClassifier  # imported to find out whether it can be
        print(json.dumps(versions()))
        return 0
    import numpy

    with open(arguments[0], encoding="utf-8") as file:
        job = json.load(file)
    report: dict[str, Any] = {"versions": versions(), "models": []}
    arrays: dict[str, Any] = {}
    for number, path in enumerate(job["models"]):
        try:
            arrays |= {f"{name}{number}": value for name, value in answers(path, job).items()}
            report["models"].append({"error": ""})
        except Exception as error:
            report["models"].append({"error": str(error) or type(error).__name__})
    numpy.savez(arguments[1], report=numpy.array(json.dumps(report)), **arrays)
    return 0


def versions() -> dict[str, str]:
    """What answers."""
    from importlib.metadata import version

    return {
        "mediapipe": version("mediapipe"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
    }


def answers(model: str, job: dict[str, Any]) -> dict[str, Any]:
    """Every image classified three times: all categories, the best few, those above a threshold."""
    import numpy

    names: dict[int, str] = {}
    indices, scores, shortlists, above = [], [], [], []
    with (
        classifier(model, max_results=-1) as all_categories,
        classifier(model, max_results=job["shortlist"]) as few,
        classifier(model, max_results=-1, score_threshold=job["threshold"]) as likely,
    ):
        for path in job["images"]:
            image = opened(path)
            ranked = categories(all_categories, image)
            names.update((category.index, category.category_name) for category in ranked)
            indices.append([category.index for category in ranked])
            scores.append([category.score for category in ranked])
            shortlists.append([category.index for category in categories(few, image)])
            above.append([category.index for category in categories(likely, image)])
    return {
        "names": numpy.array(json.dumps(sorted(names.items()))),
        "indices": numpy.array(indices, dtype=numpy.int32),
        "scores": numpy.array(scores, dtype=numpy.float32),
        "shortlist": numpy.array(shortlists, dtype=numpy.int32),
        "above": numpy.array(json.dumps(above)),
    }


def classifier(model: str, **options: Any) -> Any:
    """An ImageClassifier of the file, as an app makes one."""
    from mediapipe.tasks.python import BaseOptions, vision

    return vision.ImageClassifier.create_from_options(
        vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), **options)
    )


def opened(path: str) -> Any:
    """MediaPipe's image of a `.npy` file."""
    import mediapipe
    import numpy

    pixels = numpy.ascontiguousarray(numpy.load(path))
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)


def categories(model: Any, image: Any) -> list[Any]:
    """The categories of the model's one head, best first."""
    heads = model.classify(image).classifications
    if len(heads) != 1:
        raise ValueError(f"{len(heads)} heads answered instead of one")
    ranked: list[Any] = heads[0].categories
    return ranked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
