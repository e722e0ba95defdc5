"""Each scripted fault in each phase of a run: a typed error, nothing left, cancellation works. Time is the mock's."""

from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock

from lightrunner import DockerRunner, ExtractSpec, LightRunnerError, RunRequest
from lightrunner import LightRunnerErrorCode as Code
from lightrunner.testing import (
    Answer,
    FakeContainer,
    FakeEngine,
    Program,
    attached,
    delay,
    error_in_stream,
    frame,
    half_a_frame,
    hang,
    html_page,
    in_turn,
    lose_answer,
    lose_connection,
    proceed,
    refuse,
)

PHASES = {
    "network_list": Code.CONTAINER_START_FAILED,
    "network_create": Code.CONTAINER_START_FAILED,
    "image_inspect": Code.IMAGE_PULL_FAILED,
    "container_create": Code.CONTAINER_START_FAILED,
    "put_container_archive": Code.SEED_FAILED,
    "container_attach": Code.CONTAINER_START_FAILED,
    "container_start": Code.CONTAINER_START_FAILED,
    "container_inspect": Code.RUN_FAILED,
}
"""What a run asks for, up to its exit, and the error of a refusal there."""

LOSSES = [lose_connection, lose_answer]
REFUSALS = [refuse(500, "out of order"), refuse(400, "no"), refuse(409, "in the way"), html_page(502), html_page(500)]
LONGEST = 120.0
"""Seconds in which a cancelled run has to be gone, whatever hangs."""

each_phase = pytest.mark.parametrize("operation", PHASES)


@pytest.fixture
def request_(tmp_path: Path) -> RunRequest:
    """A request with all phases."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"content")
    return RunRequest(
        image="fake:1",
        entrypoint="program",
        dir=str(source),
        input=b"input",
        capture_output=True,
        extract=[ExtractSpec("file", str(tmp_path / "out"))],
    )


async def echo(container: FakeContainer) -> None:
    await container.stdout(await container.stdin())


async def outlives_the_attach(container: FakeContainer) -> None:
    await trio.sleep(LONGEST)
    await container.stdout(b"and the last")


async def fails(request: RunRequest, script: dict[str, Answer], program: Program = echo) -> LightRunnerError:
    """How the run fails; nothing is left, neither on the daemon nor of connections."""
    async with FakeEngine(program, script=script) as engine:
        async with DockerRunner(connect=engine.connect) as runner:
            with pytest.raises(LightRunnerError) as raised:
                await runner.run(request)
        assert engine.leftovers == []
        await trio.testing.wait_all_tasks_blocked()
        assert engine.open_connections == 0
    return raised.value


@each_phase
@pytest.mark.parametrize("loss", LOSSES)
async def test_a_lost_connection(request_: RunRequest, operation: str, loss: Answer, autojump_clock: MockClock) -> None:
    error = await fails(request_, {operation: loss})
    assert error.code is Code.DOCKER_UNREACHABLE
    assert autojump_clock.current_time() < LONGEST


@each_phase
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal(request_: RunRequest, operation: str, refusal: Answer, autojump_clock: MockClock) -> None:
    error = await fails(request_, {operation: refusal})
    assert error.code is PHASES[operation]
    assert autojump_clock.current_time() < LONGEST


@each_phase
async def test_a_daemon_that_hangs_can_be_cancelled(
    request_: RunRequest, operation: str, autojump_clock: MockClock
) -> None:
    async with FakeEngine(echo, script={operation: hang}) as engine, DockerRunner(connect=engine.connect) as runner:
        with trio.move_on_after(1.0) as scope:
            await runner.run(request_)
        assert scope.cancelled_caught
        assert engine.leftovers == []
    assert autojump_clock.current_time() < LONGEST


@pytest.mark.parametrize("seconds", [0.5, 4.0])
async def test_a_slow_daemon_is_only_slow(request_: RunRequest, seconds: float, autojump_clock: MockClock) -> None:
    script = dict.fromkeys([*PHASES, "system_ping", "container_archive", "container_delete"], delay(seconds))
    async with FakeEngine(echo, script=script) as engine, DockerRunner(connect=engine.connect) as runner:
        result = await runner.run(request_)
        assert (result.success, result.stdout) == (True, b"input")
        assert result.extracted is not None
        assert result.extracted[0].status == "ok"
        assert engine.leftovers == []
    assert autojump_clock.current_time() >= 6 * seconds


@pytest.mark.parametrize("fault", [*LOSSES, *REFUSALS, refuse(404, "it is elsewhere")])
async def test_a_failed_extract_fails_no_run(request_: RunRequest, fault: Answer, autojump_clock: MockClock) -> None:
    script = {"container_archive": fault}
    async with FakeEngine(echo, script=script) as engine, DockerRunner(connect=engine.connect) as runner:
        result = await runner.run(request_)
        assert result.success
        assert result.extracted is not None
        assert result.extracted[0].status in {"error", "missing"}
        assert engine.leftovers == []
    assert autojump_clock.current_time() < LONGEST


@pytest.mark.parametrize("operation", ["container_delete", "volume_delete"])
@pytest.mark.parametrize("fault", [*LOSSES, refuse(409, "removal is already in progress"), html_page()])
async def test_a_removal_is_tried_again(
    request_: RunRequest, operation: str, fault: Answer, autojump_clock: MockClock
) -> None:
    script = {operation: in_turn(fault, fault, proceed)}
    async with FakeEngine(echo, script=script) as engine, DockerRunner(connect=engine.connect) as runner:
        assert (await runner.run(request_)).success
        assert engine.leftovers == []
    assert autojump_clock.current_time() < LONGEST


async def test_a_removal_that_never_succeeds_is_told(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    script = {"container_delete": refuse(500, "the disk is on fire")}
    async with FakeEngine(script=script) as engine, DockerRunner(connect=engine.connect) as runner:
        assert (await runner.run(RunRequest(image="fake:1"))).success
        assert len(engine.leftovers) == 2
    assert "the disk is on fire" in caplog.text
    assert autojump_clock.current_time() < LONGEST


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_half_a_frame(request_: RunRequest, autojump_clock: MockClock) -> None:
    error = await fails(request_, {"container_attach": half_a_frame()})
    assert error.code is Code.RUN_FAILED
    assert "inside a frame" in error.message
    assert autojump_clock.current_time() < LONGEST


async def test_an_attach_that_a_proxy_ends_while_the_container_lives(
    request_: RunRequest, autojump_clock: MockClock
) -> None:
    request = msgspec.structs.replace(request_, input=None)
    error = await fails(request, {"container_attach": attached(frame(1, b"the first"))}, outlives_the_attach)
    assert error.code is Code.DOCKER_UNREACHABLE
    assert "closed while the container ran" in error.message
    assert autojump_clock.current_time() < LONGEST


async def test_such_an_attach_of_which_nothing_is_wanted(autojump_clock: MockClock) -> None:
    script = {"container_attach": attached(b"")}
    async with (
        FakeEngine(outlives_the_attach, script=script) as engine,
        DockerRunner(connect=engine.connect) as runner,
    ):
        result = await runner.run(RunRequest(image="fake:1", input=b""))
    assert result.success
    assert autojump_clock.current_time() >= LONGEST


async def test_bytes_behind_the_101(autojump_clock: MockClock) -> None:
    script = {"container_attach": attached(frame(1, b"at once") + frame(2, b"and this"))}
    async with FakeEngine(script=script) as engine, DockerRunner(connect=engine.connect) as runner:
        result = await runner.run(RunRequest(image="fake:1", capture_output=True))
    assert (result.stdout, result.stderr) == (b"at once", b"and this")
    assert autojump_clock.current_time() < LONGEST


async def test_a_limit_of_cpu_time_that_is_not_reached(autojump_clock: MockClock) -> None:
    async with FakeEngine(outlives_the_attach) as engine, DockerRunner(connect=engine.connect) as runner:
        result = await runner.run(RunRequest(image="fake:1", cpu_timeout=2.0, capture_output=True))
    assert (result.success, result.stdout) == (True, b"and the last")
    assert autojump_clock.current_time() >= LONGEST


async def test_a_cpu_time_that_the_daemon_does_not_tell(request_: RunRequest, autojump_clock: MockClock) -> None:
    request = msgspec.structs.replace(request_, cpu_timeout=2.0)
    error = await fails(request, {"container_stats": refuse(500, "no control groups")}, outlives_the_attach)
    assert error.code is Code.RUN_FAILED
    assert "no control groups" in error.message
    assert autojump_clock.current_time() < LONGEST


@pytest.mark.parametrize("fault", [*LOSSES, html_page(200)])
async def test_a_wait_that_breaks(fault: Answer, autojump_clock: MockClock) -> None:
    """Without output to read, only the wait tells of the exit."""
    error = await fails(RunRequest(image="fake:1"), {"container_wait": fault})
    assert error.code in {Code.DOCKER_UNREACHABLE, Code.RUN_FAILED}
    assert autojump_clock.current_time() < LONGEST


async def test_a_wait_that_never_answers_ends_after_the_timeout(autojump_clock: MockClock) -> None:
    error = await fails(RunRequest(image="fake:1", timeout=5.0), {"container_wait": hang})
    assert error.code is Code.RUN_FAILED
    assert 5.0 <= autojump_clock.current_time() < LONGEST


@pytest.mark.parametrize("fault", [*LOSSES, refuse(500, "no"), hang])
async def test_a_kill_that_fails(fault: Answer, autojump_clock: MockClock) -> None:
    async def sleep(_: FakeContainer) -> None:
        await trio.sleep(10_000)

    async with FakeEngine(sleep, script={"container_kill": fault}) as engine:
        async with DockerRunner(connect=engine.connect) as runner:
            with pytest.raises(LightRunnerError) as raised:
                await runner.run(RunRequest(image="fake:1", timeout=5.0))
        assert engine.leftovers == []
    assert raised.value.code in {Code.RUN_FAILED, Code.DOCKER_UNREACHABLE}
    assert 5.0 <= autojump_clock.current_time() < LONGEST


async def test_an_error_inside_a_200_stream(autojump_clock: MockClock) -> None:
    script = {"image_create": error_in_stream("toomanyrequests: slow down", {"status": "Pulling"})}
    async with FakeEngine(images=[], script=script) as engine, DockerRunner(connect=engine.connect) as runner:
        with pytest.raises(LightRunnerError, match="toomanyrequests") as raised:
            await runner.run(RunRequest(image="fake:1"))
        with pytest.raises(LightRunnerError, match="toomanyrequests"):
            await runner.run(RunRequest(image="fake:1", run=["true"]))
        assert engine.leftovers == []
    assert raised.value.code is Code.IMAGE_PULL_FAILED
    assert autojump_clock.current_time() < LONGEST


# --- the daemon itself ------------------------------------------------------------------------------------------------


async def test_a_daemon_that_restarts_in_the_middle(autojump_clock: MockClock) -> None:
    started = trio.Event()

    async def sleep(_: FakeContainer) -> None:
        started.set()
        await trio.sleep(10_000)

    async with FakeEngine(sleep) as engine, DockerRunner(connect=engine.connect) as runner:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def run() -> None:
                with pytest.raises(LightRunnerError) as raised:
                    await runner.run(RunRequest(image="fake:1"))
                assert raised.value.code is Code.DOCKER_UNREACHABLE

            await started.wait()
            await engine.restart(downtime=2.0)
        assert engine.leftovers == []
        engine.add_program(echo)
        assert (await runner.run(RunRequest(image="fake:1"))).success
    assert autojump_clock.current_time() < LONGEST


async def test_a_daemon_that_is_down() -> None:
    async with FakeEngine() as engine, DockerRunner(connect=engine.connect) as runner:
        await engine.stop()
        assert not await runner.is_available()
        with pytest.raises(LightRunnerError, match="Connection refused") as raised:
            await runner.run(RunRequest(image="fake:1"))
        assert raised.value.code is Code.DOCKER_UNREACHABLE
        engine.start()
        assert (await runner.run(RunRequest(image="fake:1"))).success


@pytest.mark.parametrize(("newest", "oldest"), [("1.30", "1.12"), ("none", "1.12")])
async def test_an_api_version_that_cannot_be_spoken(newest: str, oldest: str) -> None:
    async with FakeEngine(api_version="1.30", min_api_version=oldest) as engine:
        if newest == "none":
            engine.script["system_ping"] = html_page(200)
        async with DockerRunner(connect=engine.connect) as runner:
            with pytest.raises(LightRunnerError) as raised:
                await runner.run(RunRequest(image="fake:1"))
    assert raised.value.code is not Code.INVALID_REQUEST
    assert "API" in raised.value.message or "not a Docker daemon" in raised.value.message


@pytest.mark.parametrize(("newest", "oldest"), [("1.40", "1.12"), ("1.51", "1.24"), ("1.52", "1.44"), ("1.99", "1.44")])
async def test_an_api_version_that_can_be_spoken(newest: str, oldest: str) -> None:
    async with (
        FakeEngine(api_version=newest, min_api_version=oldest) as engine,
        DockerRunner(connect=engine.connect) as runner,
    ):
        assert (await runner.run(RunRequest(image="fake:1"))).success
