"""The time-out of a detached run: attached processes and the reaper enforce it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, RunResult
from lightrunner.detached.state import is_kept_elsewhere
from tests.detached.detached_runs import UNTIL_RELEASED, end, exited, is_gone, is_running, name_of, release, script
from tests.detached.host_process import as_keywords, detached_by_another
from tests.detached.state_folder import store, stored
from tools.raw_engine import RawEngine

FAR = timedelta(days=400)


def timed_out(result: RunResult) -> bool:
    return (result.exit_code, result.timed_out, result.cancelled, result.success) == (137, True, False, False)


async def test_who_is_attached_enforces_what_is_left(
    runner: DockerRunner, engine_host: str, busybox: str, state_dir: Path
) -> None:
    run_id = await detached_by_another(engine_host, as_keywords(busybox, "sleep 60", timeout=3.0))
    await trio.sleep(1.0)
    result = await runner.attach(run_id)
    assert timed_out(result)
    assert 2.8 <= result.duration < 30
    state = stored(state_dir, run_id)
    assert (state["status"], state["timedOut"], state.get("cancelled", False)) == ("cancelled", True, False)


async def test_one_that_is_overdue_is_killed_at_once(runner: DockerRunner, busybox: str, tmp_path: Path) -> None:
    request = script(busybox, "sleep 60", timeout=0.5, extract=[ExtractSpec("/etc/passwd", tmp_path / "to")])
    run_id = await runner.detach(request)
    await trio.sleep(1.0)
    result = await runner.attach(run_id)
    assert timed_out(result)
    assert result.extracted is None
    assert not await trio.Path(tmp_path / "to").exists()


async def test_all_who_are_attached_learn_of_it(runner: DockerRunner, busybox: str) -> None:
    run_id = await runner.detach(script(busybox, "sleep 60", timeout=1.0))
    results: list[RunResult] = []

    async def attach() -> None:
        results.append(await runner.attach(run_id))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(attach)
    assert results[1:] == results[:1] * 2
    assert timed_out(results[0])


async def test_one_that_ended_in_time_did_not_time_out(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path
) -> None:
    """It is attached to long after its deadline."""
    run_id = await runner.detach(script(busybox, "exit 3", timeout=5.0))
    await exited(raw, run_id)
    store(state_dir, run_id, bootDeadline=1.0)
    assert (await runner.list())[0].seconds_left() < 0
    result = await runner.attach(run_id)
    assert (result.exit_code, result.timed_out) == (3, False)


@pytest.mark.parametrize("jump", [FAR, -FAR], ids=["forward", "backward"])
async def test_the_wall_clock_jumps(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path, jump: timedelta
) -> None:
    """What the file says of the wall clock does not count while the boot is the same."""
    run_id = await runner.detach(script(busybox, f"{UNTIL_RELEASED}; exit 3", timeout=60.0))
    store(state_dir, run_id, deadline=(datetime.now(UTC) - jump).isoformat())
    assert run_id not in str(await runner.reap_orphans())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0.5)
        with trio.move_on_after(0.5):
            await runner.attach(run_id)
    assert is_running(raw, run_id)
    release(raw, run_id)
    assert (await runner.attach(run_id)).exit_code == 3


@pytest.mark.parametrize("ahead", [FAR, -FAR], ids=["to come", "passed"])
async def test_after_another_boot_the_wall_clock_holds(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path, ahead: timedelta
) -> None:
    run_id = await runner.detach(script(busybox, "sleep 60", timeout=60.0))
    store(state_dir, run_id, boot="another", deadline=(datetime.now(UTC) + ahead).isoformat())
    reaped = await runner.reap_orphans()
    if ahead > timedelta():
        assert reaped.containers == ()
        assert is_running(raw, run_id)
        await end(runner, run_id)
    else:
        assert reaped.containers == (name_of(run_id),)
        assert timed_out(await runner.attach(run_id))


# --- the reaper -------------------------------------------------------------------------------------------------------


async def test_the_reaper_kills_what_is_overdue_and_finishes_it(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path
) -> None:
    late = await runner.detach(script(busybox, "sleep 60", timeout=0.5))
    in_time = await runner.detach(script(busybox, "sleep 60", timeout=60.0))
    without = await runner.detach(script(busybox, "sleep 60", timeout=None))
    await trio.sleep(1.0)
    reaped = await runner.reap_orphans()
    assert reaped.containers == (name_of(late),)
    assert is_gone(raw, late)
    assert is_running(raw, in_time)
    assert is_running(raw, without)
    state = stored(state_dir, late)
    assert (state["status"], state["exitCode"], state["timedOut"]) == ("cancelled", 137, True)
    assert timed_out(await runner.attach(late))
    for run_id in (in_time, without):
        await end(runner, run_id)


async def test_a_paused_one_is_not_out_of_time_s_reach(runner: DockerRunner, raw: RawEngine, busybox: str) -> None:
    run_id = await runner.detach(script(busybox, "sleep 60", timeout=0.5))
    raw.request("POST", f"/containers/{name_of(run_id)}/pause")
    await trio.sleep(1.0)
    assert (await runner.reap_orphans()).containers == (name_of(run_id),)
    assert timed_out(await runner.attach(run_id))


async def test_a_reaper_and_somebody_attached_agree(runner: DockerRunner, busybox: str) -> None:
    run_id = await runner.detach(script(busybox, "sleep 60", timeout=1.5))
    results: list[RunResult] = []

    async def attach() -> None:
        results.append(await runner.attach(run_id))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(attach)
        while not results:
            await runner.reap_orphans()
    assert timed_out(results[0])


async def test_one_whose_start_was_never_noted_is_judged_by_its_label(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path
) -> None:
    """Its process died between the daemon's answer and the second write."""
    late = await runner.detach(script(busybox, "sleep 60", timeout=1.0))
    in_time = await runner.detach(script(busybox, "sleep 60", timeout=60.0))
    for run_id in (late, in_time):
        store(state_dir, run_id, starting=True, deadline=None, bootDeadline=None, boot=None)
    await trio.sleep(1.5)
    assert (await runner.reap_orphans()).containers == (name_of(late),)
    assert timed_out(await runner.attach(late))
    assert is_running(raw, in_time)
    await end(runner, in_time)


async def test_one_without_a_state_is_judged_by_its_label(
    runner: DockerRunner, raw: RawEngine, busybox: str, state_dir: Path
) -> None:
    late = await runner.detach(script(busybox, "sleep 60", timeout=1.0))
    in_time = await runner.detach(script(busybox, "sleep 60", timeout=60.0))
    for run_id in (late, in_time):
        (state_dir / f"{run_id}.json").unlink()
    await trio.sleep(1.5)
    assert (await runner.reap_orphans()).containers == (name_of(late),)
    assert is_gone(raw, late)
    assert is_running(raw, in_time)
    raw.remove_container(name_of(in_time))
    raw.remove_volume(name_of(in_time))


async def test_one_whose_state_is_in_another_folder_is_left_to_it(
    runner: DockerRunner, busybox: str, tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHT_RUNNER_REAP_AGE_MS", "0")
    request = script(busybox, "echo x > file", timeout=1.0, extract=[ExtractSpec("file", tmp_path / "to")])
    run_id = await runner.detach(request)
    await trio.sleep(1.5)
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(tmp_path / "another"))
    assert not (await runner.reap_orphans()).containers
    monkeypatch.setenv("LIGHT_RUNNER_STATE_DIR", str(state_dir))
    assert (await runner.reap_orphans()).containers == (name_of(run_id),)
    assert (tmp_path / "to" / "file").read_text() == "x\n"


@pytest.mark.parametrize("folder", ["", "relative", "/nowhere", "/%00", "/" + 300 * "x", "/%FF"])
def test_what_is_no_folder_keeps_no_state(folder: str) -> None:
    assert not is_kept_elsewhere(folder, "run")
