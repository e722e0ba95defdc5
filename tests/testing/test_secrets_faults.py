"""Secrets on a daemon that fails while they are handed over: an error that shows none of them, and nothing is left."""

import traceback

import pytest
import trio
from trio.testing import MockClock

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, RunRequest
from lightrunner.rules.limits import CREATE_TIMEOUT
from lightrunner.testing import Answer, FakeContainer, FakeEngine, attached, frame, half_a_frame, lose_connection, plain

REQUEST = RunRequest(image="fake:1", entrypoint="true", secrets={"key": b"hunter2" * 30_000}, capture_output=True)
START_FAILED, UNREACHABLE = LightRunnerErrorCode.CONTAINER_START_FAILED, LightRunnerErrorCode.DOCKER_UNREACHABLE


def is_shown(error: BaseException) -> bool:
    """Whether a report of an error shows the secret, where it has the local variables of every frame."""
    return "hunter2" in "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


async def never(container: FakeContainer) -> None:
    raise AssertionError(f"{container} has started its command")


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (attached(frame(1, b"hello\n")), START_FAILED, "the run's secrets: hello"),
        (attached(frame(2, b"lost it\n")), START_FAILED, "the run's secrets: lost it"),
        (attached(frame(1, b"rea")), START_FAILED, "the run's secrets: rea"),
        (attached(), START_FAILED, "process 1 did not take them"),
        (half_a_frame(b"rea"), START_FAILED, "ended inside a frame"),
        (lose_connection, UNREACHABLE, "container_attach"),
    ],
)
async def test_an_attach_that_fails(answer: Answer, code: LightRunnerErrorCode, message: str) -> None:
    async with FakeEngine(never, script={"container_attach": answer}) as engine:
        async with DockerRunner(connect=engine.connect) as runner:
            with pytest.raises(LightRunnerError, match=message) as caught:
                await runner.run(REQUEST)
        assert caught.value.code is code
        assert not is_shown(caught.value)
        assert engine.leftovers == []
        await trio.testing.wait_all_tasks_blocked()
        assert engine.open_connections == 0


async def test_a_process_1_that_says_nothing(autojump_clock: MockClock) -> None:
    async with FakeEngine(never) as engine, DockerRunner(connect=engine.connect) as runner:
        engine.script["container_start"] = plain(status=204)  # It is said to run, and does not.
        with pytest.raises(LightRunnerError, match="process 1 did not take them") as caught:
            await runner.run(REQUEST)
    assert not is_shown(caught.value)
    assert CREATE_TIMEOUT <= autojump_clock.current_time() < CREATE_TIMEOUT + 10


async def test_podman_is_refused_at_once() -> None:
    ping = plain(b"OK", headers={"Api-Version": "1.41", "Libpod-API-Version": "5.4.2"})
    async with FakeEngine(never, script={"system_ping": ping}) as engine:
        async with DockerRunner(connect=engine.connect) as runner:
            with pytest.raises(LightRunnerError, match="podman has no place") as caught:
                await runner.run(REQUEST)
        assert caught.value.code is START_FAILED
        assert engine.requests("container_create") == []
