"""Generation of a whole demo register over several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from train.decode_pool import available_cores
from train.demo import record
from train.demo.plan import ObjectPlan, plan_register
from train.demo.spec import DemoError, DemoRegister, DemoSpec
from train.demo.work import DemoShot, Done, Job, run_job, start_worker

Progress = Callable[[int, int], None]


def generate_demo_register(
    out: Path, spec: DemoSpec, *, workers: int | None = None, progress: Progress | None = None
) -> DemoRegister:
    """Render a register of museum-like objects, or finish one that was begun.

    The files are the same for any number of workers. A picture that is there is kept.

    Args:
        out: Folder for the register; new, empty, or holding the same register.
        workers: Processes; by default one for each processor that may be used. Each
            takes about 0.2 GB of memory, whatever the register's size.
        progress: Called with the pictures that are there and those there will be.

    Raises:
        DemoError: If the folder holds anything else, or `workers` is below 1.
    """
    if workers is not None and workers < 1:
        raise DemoError(f"workers={workers} was given; at least 1 is needed. Leave it out for all.")
    root = Path(out)
    known = record.open_register(root, spec)
    plans = plan_register(spec)
    shots = [tuple(_shots(root, plan, spec)) for plan in plans]
    total = sum(len(wanted) for wanted in shots)
    jobs = [job for plan, wanted in zip(plans, shots, strict=True)
            if (job := _job(spec, plan, wanted, plan.index in known))]  # fmt: skip
    kept = total - sum(len(job.shots) for job in jobs)
    if progress is not None:
        progress(kept, total)
    rendered = 0
    for done in _run(jobs, workers):
        if done.index not in known:
            known[done.index] = done
            record.note(root, done)
        rendered += done.taken
        if progress is not None:
            progress(kept + rendered, total)
    record.close_register(root, spec, plans, known)
    return _result(root, spec, plans, rendered)


def _shots(root: Path, plan: ObjectPlan, spec: DemoSpec) -> Iterator[DemoShot]:
    kinds = (
        ("register", "", plan.photos),
        ("extra", "x", spec.extra_views),
        ("field", "f", spec.field_views),
    )
    for kind, letter, number in kinds:
        for k in range(number):
            yield DemoShot(kind, k, root / kind / record.photo_path(plan, k, letter))


def _job(spec: DemoSpec, plan: ObjectPlan, shots: Sequence[DemoShot], known: bool) -> Job | None:
    missing = tuple(shot for shot in shots if not shot.path.exists())
    if known and not missing:
        return None
    return Job(spec.seed, spec.photo_pixels, plan, missing)


def _run(jobs: Sequence[Job], workers: int | None) -> Iterator[Done]:
    """Run the jobs in a pool that ends, whatever happens, after the pictures in hand."""
    if not jobs:
        return
    context = get_context("spawn")
    stop = context.Event()
    number = min(workers or available_cores(), len(jobs))
    waiting = iter(jobs)
    with ProcessPoolExecutor(number, context, start_worker, (stop,)) as pool:
        running: set[Future[Done]] = set()
        try:
            while True:
                for job in waiting:
                    running.add(pool.submit(run_job, job))
                    if len(running) >= 2 * number:
                        break
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _result(root: Path, spec: DemoSpec, plans: Sequence[ObjectPlan], rendered: int) -> DemoRegister:
    return DemoRegister(
        root=root,
        register=root / "register",
        manifest=root / "register" / "manifest.csv",
        extra=root / "extra" if spec.extra_views else None,
        field=root / "field" if spec.field_views else None,
        objects=len(plans),
        photos=sum(plan.photos for plan in plans),
        extra_photos=len(plans) * spec.extra_views,
        field_photos=len(plans) * spec.field_views,
        rendered=rendered,
    )
