"""Locks on runs, among tasks and processes. The last holder removes the lock file."""

import fcntl
import signal
from pathlib import Path

import pytest
import trio

from lightrunner import LightRunnerError, LightRunnerErrorCode
from lightrunner.detached.state import no_log_readers, reading_logs, run_lock, sweep_locks
from lightrunner.host.state_dir import make_state_dir, try_lock
from tests.detached.host_process import host_process, told_by
from tests.detached.state_folder import leftovers

NO_HOST = "unix:///nowhere"
PROCESSES, TIMES = 3, 100


@pytest.fixture(autouse=True)
def folder(state_dir: Path) -> Path:
    """The state folder, made."""
    assert make_state_dir() == state_dir
    return state_dir


async def test_one_holder_at_a_time(folder: Path) -> None:
    inside = 0
    order: list[int] = []

    async def hold(number: int) -> None:
        nonlocal inside
        async with run_lock("run-1"):
            inside += 1
            assert inside == 1
            assert leftovers(folder) == {"run-1.lock"}
            await trio.sleep(0.01)
            order.append(number)
            inside -= 1

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(hold, number)
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert leftovers(folder) == set()


async def test_other_runs_are_not_held_up() -> None:
    async with run_lock("run-1"), run_lock("run-2"), no_log_readers("run-1"):
        pass


async def test_readers_share_and_whoever_removes_waits(folder: Path) -> None:
    removed = trio.Event()

    async def remove() -> None:
        async with no_log_readers("run-1"):
            removed.set()

    async with trio.open_nursery() as nursery:
        async with reading_logs("run-1"):
            async with reading_logs("run-1"):
                nursery.start_soon(remove)
                await trio.sleep(0.2)
            await trio.sleep(0.2)
            assert not removed.is_set()
            assert leftovers(folder) == {"run-1.readers"}, "the first to leave does not take the file along"
        with trio.fail_after(5):
            await removed.wait()


async def test_a_waiter_can_be_cancelled() -> None:
    async with run_lock("run-1"):
        with trio.move_on_after(0.1) as patience:
            async with run_lock("run-1"):
                raise AssertionError("it is held")
        assert patience.cancelled_caught


def test_a_lock_on_a_removed_file_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the open and the lock the last holder removes the file, and somebody else makes a new one."""
    path = folder / "run-1.lock"
    flock = fcntl.flock

    def overtaken_flock(descriptor: int, kind: int) -> None:
        path.unlink()
        path.touch()
        flock(descriptor, kind)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", overtaken_flock)
        with try_lock(path, shared=False) as is_held:
            assert not is_held
    assert path.exists(), "it is somebody else's"
    path.unlink()


def test_the_last_of_the_sharers_takes_only_its_own_file_along(folder: Path) -> None:
    path = folder / "run-1.readers"
    with try_lock(path, shared=True) as is_held:
        assert is_held
        path.unlink()
        path.touch()
    assert path.exists()
    path.unlink()


async def test_no_step_is_lost_among_processes(folder: Path) -> None:
    counter = folder / "counter.json"
    counter.write_text("0")
    async with trio.open_nursery() as nursery:
        for _ in range(PROCESSES):
            nursery.start_soon(told_by, NO_HOST, "count", {"run_id": "run-1", "times": TIMES})
    assert int(counter.read_text()) == PROCESSES * TIMES
    counter.unlink()


async def test_what_a_killed_holder_leaves_holds_nobody_up_and_is_swept(folder: Path) -> None:
    async with host_process(NO_HOST, "hold", {"run_id": "run-1"}) as host:
        await host.next_told()
        assert leftovers(folder) == {"run-1.lock", "run-1.readers"}
        sweep_locks()
        assert leftovers(folder) == {"run-1.lock", "run-1.readers"}, "it lives"
        host.process.send_signal(signal.SIGKILL)
    assert leftovers(folder) == {"run-1.lock", "run-1.readers"}
    sweep_locks()
    assert leftovers(folder) == set()


def test_a_sweep_keeps_what_is_not_of_runs(folder: Path) -> None:
    others = {"cache-usage.lock", "notes.txt"}
    for name in others:
        (folder / name).touch()
    sweep_locks()
    assert leftovers(folder) == others
    for name in others:
        (folder / name).unlink()


async def test_a_folder_that_is_gone_is_told(folder: Path) -> None:
    await trio.Path(folder).rmdir()
    with pytest.raises(LightRunnerError, match="cannot be locked") as raised:
        async with run_lock("run-1"):
            raise AssertionError("there is nothing to hold")
    assert raised.value.code is LightRunnerErrorCode.STATE_FAILED
