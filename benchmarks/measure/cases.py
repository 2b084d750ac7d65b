"""What is measured: a bundle, the run that it was made of, and photos."""

from __future__ import annotations

from pathlib import Path

from mobile_assets.bundle import Bundle
from mobile_assets.errors import DamagedError, InputError
from train.run import Run, read_run


def locate_run(bundle: Bundle, run: Path | None) -> Run:
    """Finds the run that a bundle was made of, where it lay at export unless `run` says where.

    Raises:
        InputError: There is no run there, or it is another one.
        DamagedError: The run, or the pair of label maps, does not fit together.
    """
    source = bundle.info.source
    folder = run if run is not None else (bundle.folder / source.run).resolve()
    if run is None and not folder.is_dir():
        raise InputError(
            f"{bundle.folder} was made of the run {source.run}, which is not at {folder}. "
            "Give the run's folder with --run."
        )
    source_run = read_run(folder)
    if source_run.info.model_sha256 != source.model_sha256:
        raise InputError(
            f"{folder} is not the run that {bundle.folder} was made of: its weights are "
            f"{source_run.info.model_sha256[:12]}…, the bundle's source "
            f"{source.model_sha256[:12]}…. Give the right run with --run, or export this one."
        )
    check_objects(bundle, source_run)
    return source_run


def check_objects(bundle: Bundle, run: Run) -> None:
    """Checks that bundle and run know the same objects, in whatever order.

    Raises:
        DamagedError: They do not.
    """
    ours, theirs = set(bundle.labels.object_ids), set(run.labels.object_ids)
    if ours != theirs:
        odd = sorted(ours ^ theirs)[0]
        raise DamagedError(
            f"{bundle.folder} and {run.folder} do not name the same objects "
            f"({len(ours)} and {len(theirs)}; {odd} is in one only): export the bundle again."
        )
