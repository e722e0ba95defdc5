"""Builds that fail, time out, or are cancelled: their errors, and that nothing is left."""

import re

import pytest
import trio

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, Progress
from tests.images.builds import Daemon, Lines, with_steps
from tests.runs.conftest import MakeRunner


async def test_a_failing_step_is_told(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    steps = ["echo fine", "echo to stdout; echo to stderr >&2; printf last; exit 7", "echo never"]
    lines = Lines()
    with pytest.raises(LightRunnerError) as raised:
        await runner.run(with_steps(busybox, *steps), on_progress=lines)
    error = raised.value
    assert error.code is LightRunnerErrorCode.BUILD_FAILED
    assert error.docker_op == "image_build"
    pattern = (
        r"the build failed in step 2 of 3 \('echo to stdout; echo to stderr >&2; printf last; exit 7'\): "
        r"The command '/bin/sh -c echo to stdout; .*' returned a non-zero code: 7\n"
        r"The end of its output:\n(to stdout\nlast ?to stderr|to stderr\nto stdout\nlast|to stdout\nto stderr\nlast)"
    )
    assert re.fullmatch(pattern, error.message), error.message
    assert {"fine", "to stdout", "to stderr", "last"} <= set(lines.texts)
    assert "never" not in lines.texts
    assert daemon.tags() == []


async def test_of_much_output_the_end_is_told(runner: DockerRunner, busybox: str) -> None:
    with pytest.raises(LightRunnerError) as raised:
        await runner.prepare(with_steps(busybox, "seq 100000; exit 1"))
    assert raised.value.message.endswith("\n99999\n100000")
    assert len(raised.value.message) < 5000


async def test_output_that_looks_like_the_builders_own_deceives_nobody(runner: DockerRunner, busybox: str) -> None:
    with pytest.raises(LightRunnerError, match=re.escape("in step 1 of 2 ('echo \"Step 3/4 : RUN x\"; false')")):
        await runner.prepare(with_steps(busybox, 'echo "Step 3/4 : RUN x"; false', "echo x"))


async def test_a_failed_build_is_tried_again(runner: DockerRunner, busybox: str) -> None:
    for _ in range(2):
        with pytest.raises(LightRunnerError, match="in step 1 of 1") as raised:
            await runner.prepare(with_steps(busybox, "exit 3"))
        assert raised.value.code is LightRunnerErrorCode.BUILD_FAILED


async def test_the_time_out(make_runner: MakeRunner, busybox: str, daemon: Daemon) -> None:
    async with make_runner(build_timeout=2.0) as runner:
        with pytest.raises(LightRunnerError) as raised:
            await runner.run(with_steps(busybox, "echo started; sleep 600"))
    assert raised.value.code is LightRunnerErrorCode.BUILD_FAILED
    assert "not finished within 2 s (build_timeout)" in raised.value.message
    daemon.assert_no_containers()
    assert daemon.tags() == []


async def test_a_cancelled_build(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    request = with_steps(busybox, "echo started; test -e /fast || sleep 600")
    with trio.CancelScope() as scope:

        def cancel(message: Progress) -> None:
            if message.status == "started":
                scope.cancel()

        await runner.run(request, on_progress=cancel)
    assert scope.cancelled_caught
    daemon.assert_no_containers()
    assert daemon.tags() == []


async def test_after_a_cancelled_build_the_next_one_goes_on(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    request = with_steps(busybox, "sleep 1; echo made > /file", script="cat /file")
    with trio.move_on_after(0.5) as scope:
        await runner.run(request)
    assert scope.cancelled_caught
    assert (await runner.run(request)).stdout == b"made\n"
    assert len(daemon.tags()) == 1


async def test_a_callback_that_raises_ends_the_build(runner: DockerRunner, busybox: str, daemon: Daemon) -> None:
    class UnwantedError(Exception):
        pass

    def refuse(message: Progress) -> None:
        if message.status == "started":
            raise UnwantedError

    with pytest.raises(UnwantedError):
        await runner.run(with_steps(busybox, "echo started; sleep 600"), on_progress=refuse)
    daemon.assert_no_containers()
    assert daemon.tags() == []
