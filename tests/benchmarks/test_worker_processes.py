"""Jobs side by side: results, callbacks, failures, Ctrl-C, and no process that is left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.pipeline.callbacks import Callbacks
from benchmarks.pipeline.worker_processes import Job, run_jobs
from mobile_assets.errors import CheckFailedError, InputError

ROOT = Path(__file__).parents[2]


def square(number: int, callbacks: Callbacks) -> tuple[int, int, int]:
    import torch

    callbacks.say(f"squaring {number}")
    callbacks.progress("squares", 1, 1)
    return number**2, os.getpid(), torch.get_num_threads()


def fail(kind: str, _callbacks: Callbacks) -> None:
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise CheckFailedError("does not answer as the network does")


def sleep(folder: Path, _callbacks: Callbacks) -> None:
    """Leaves its process id, then works for a minute; notes that Ctrl-C has come."""
    (folder / f"{os.getpid()}.started").touch()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        with (folder / f"{os.getpid()}.interrupted").open("a") as file:
            file.write("x")
        raise


def test_results_keep_their_order_and_callbacks_are_called_here() -> None:
    said: list[str] = []
    steps: list[tuple[str, int, int]] = []
    callbacks = Callbacks(said.append, lambda *step: steps.append(step))
    results = run_jobs([Job(square, (n,)) for n in range(4)], callbacks, processes=2)
    assert [result[0] for result in results] == [0, 1, 4, 9]
    assert {result[1] for result in results}.isdisjoint({os.getpid()})
    assert len({result[1] for result in results}) <= 2
    most = max(1, len(os.sched_getaffinity(0)) // 2)
    assert {result[2] for result in results} == {most}
    assert sorted(said) == [f"squaring {n}" for n in range(4)]
    assert steps == [("squares", 1, 1)] * 4


def test_one_process_is_this_one() -> None:
    (result,) = run_jobs([Job(square, (3,))], Callbacks(), processes=2)
    assert result[:2] == (9, os.getpid())


def test_a_failure_ends_the_other_processes(tmp_path: Path) -> None:
    jobs = [Job(sleep, (tmp_path,)), Job(fail, ("check",))]
    started = time.monotonic()
    with pytest.raises(CheckFailedError, match="as the network does"):
        run_jobs(jobs, Callbacks(), processes=2)
    assert time.monotonic() - started < 45
    assert not any(is_running(int(path.stem)) for path in tmp_path.glob("*.started"))


def test_a_process_that_the_system_ends_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"exit code -9.*memory"):
        run_jobs([Job(sleep, (tmp_path,)), Job(fail, ("killed",))], Callbacks(), processes=2)


PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_worker_processes import Callbacks, Job, run_jobs, sleep
if __name__ == "__main__":
    run_jobs([Job(sleep, (Path({folder!r}),))] * 3, Callbacks(), processes=2)
"""


@pytest.mark.parametrize(
    ("number", "code", "interruptions"),
    [
        pytest.param(signal.SIGINT, -2, 2, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, -2, 2, marks=pytest.mark.slow),
        (signal.SIGKILL, -9, 0),
    ],
)
def test_no_process_is_left_over(
    number: signal.Signals, code: int, interruptions: int, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent), folder=str(tmp_path)))
    parent = subprocess.Popen(
        [sys.executable, str(program)],
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    wait_for(lambda: len(list(tmp_path.glob("*.started"))) == 2)
    if number == signal.SIGINT:  # as a terminal does: to every process of the foreground
        os.killpg(parent.pid, number)
    else:
        parent.send_signal(number)
    _, error = parent.communicate(timeout=60)
    assert parent.returncode == code, error.decode()  # -2 as KeyboardInterrupt ends Python
    children = [int(path.stem) for path in tmp_path.glob("*.started")]
    wait_for(lambda: not any(is_running(child) for child in children))
    # The third job has not begun, and each process was told once.
    told = [path.read_text() for path in tmp_path.glob("*.interrupted")]
    assert told == ["x"] * interruptions
    assert len(children) == 2


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
