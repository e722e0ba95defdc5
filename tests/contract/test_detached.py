"""The contract: runs that outlive their process, and orphans."""

from pathlib import Path

import pytest
import trio

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, LightRunnerErrorCode, LogLine, read_state
from lightrunner.testing import FakeContainer
from tests.contract.places import Place
from tests.contract.programs import SLEEP, nothing, prints, sleep
from tests.detached.detached_runs import attach


async def test_detach_and_attach(place: Place, runner: DockerRunner, tmp_path: Path) -> None:
    async def program(container: FakeContainer) -> None:
        await container.stdout(b"first\nsecond")
        container.files.write("result", b"R")

    request = place.request(
        r"printf 'first\nsecond'; printf R >result", program, extract=[ExtractSpec("result", str(tmp_path / "to"))]
    )
    run_id = await runner.detach(request)
    lines = list[LogLine]()
    result = await runner.attach(run_id, on_log=lines.append)
    assert result.success
    assert [line.text for line in lines] == ["first", "second"]
    assert (tmp_path / "to" / "result").read_bytes() == b"R"
    assert not place.left()
    assert await runner.attach(run_id) == result


async def test_the_exit_code_of_a_detached_run(place: Place, runner: DockerRunner) -> None:
    run_id = await runner.detach(place.request("exit 6", prints(code=6)))
    result = await runner.attach(run_id)
    assert (result.success, result.exit_code) == (False, 6)
    state = read_state(run_id)
    assert state is not None
    assert (state.status, state.exit_code) == ("exited", 6)
    assert [it.id for it in await runner.list()] == [run_id]


@pytest.mark.needs("default_signals")
async def test_a_detached_run_is_stopped_by_its_handle(place: Place, runner: DockerRunner) -> None:
    run_id = await runner.detach(place.request(SLEEP, sleep))
    async with trio.open_nursery() as nursery:
        execution = await attach(nursery, runner, run_id)
        await execution.stop(grace=0.2)
        result = await execution.wait()
    assert (result.cancelled, result.exit_code) == (True, 137)


async def test_the_timeout_holds_while_attached(place: Place, runner: DockerRunner) -> None:
    run_id = await runner.detach(place.request(SLEEP, sleep, timeout=0.5))
    result = await runner.attach(run_id)
    assert (result.timed_out, result.success) == (True, False)


async def test_attaching_can_be_cancelled_and_repeated(place: Place, runner: DockerRunner) -> None:
    run_id = await runner.detach(place.request(SLEEP, sleep))
    with trio.move_on_after(0.3):
        await runner.attach(run_id)
    assert place.left()
    async with trio.open_nursery() as nursery:
        (await attach(nursery, runner, run_id)).cancel()
    assert not place.left()


async def test_a_run_that_nobody_knows(runner: DockerRunner) -> None:
    with pytest.raises(LightRunnerError) as raised:
        await runner.attach("no-such-run")
    assert raised.value.code is LightRunnerErrorCode.RUN_NOT_FOUND


async def test_what_a_detached_run_cannot_have(place: Place, runner: DockerRunner) -> None:
    with pytest.raises(LightRunnerError, match="input") as raised:
        await runner.detach(place.request("true", nothing, input=b"x"))
    assert raised.value.code is LightRunnerErrorCode.INVALID_REQUEST
    assert not place.left()


async def test_the_reaper_spares_what_lives(place: Place, runner: DockerRunner) -> None:
    run_id = await runner.detach(place.request(SLEEP, sleep))
    listed = await runner.reap_orphans(dry_run=True)
    assert f"light-runner-{run_id}" not in listed.containers
    reaped = await runner.reap_orphans()
    assert f"light-runner-{run_id}" not in reaped.containers
    assert place.left()
    async with trio.open_nursery() as nursery:
        (await attach(nursery, runner, run_id)).cancel()


async def test_the_reaper_ends_what_is_overdue(place: Place, runner: DockerRunner) -> None:
    run_id = await runner.detach(place.request(SLEEP, sleep, timeout=0.2))
    await trio.sleep(0.5)
    assert f"light-runner-{run_id}" in (await runner.reap_orphans()).containers
    assert not place.left()
    result = await runner.attach(run_id)
    assert (result.timed_out, result.exit_code) == (True, 137)
