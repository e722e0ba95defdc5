"""Errors of the daemon are typed and have its message, and nothing of the run is left."""

import pytest

from lightrunner import DockerRunner, LightRunnerError, LightRunnerErrorCode, Progress
from lightrunner.testing import json_answer
from tests.fake_daemon import fake_daemon
from tests.runs.conftest import MakeRunner
from tests.runs.shell_runs import Run, shell

NOBODY = "127.0.0.1:1/no/such/image:1"
"""An image at a registry that refuses the connection."""


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"runtime": "no-such-runtime"}, "no-such-runtime"),
        ({"gpus": "all"}, "could not select device driver"),
    ],
)
@pytest.mark.needs("runtime")
async def test_what_the_host_does_not_have(
    make_runner: MakeRunner, busybox: str, options: dict[str, str], sentence: str
) -> None:
    async with make_runner(**options) as runner:
        with pytest.raises(LightRunnerError, match=sentence) as raised:
            await runner.run(shell(busybox, "true"))
    assert raised.value.code is LightRunnerErrorCode.CONTAINER_START_FAILED
    assert raised.value.__cause__ is not None


async def test_runc_is_the_default_runtime_by_its_name(make_runner: MakeRunner, busybox: str) -> None:
    async with make_runner(runtime="runc") as runner:
        assert (await runner.run(shell(busybox, "true"))).success


async def test_an_image_that_cannot_be_pulled(run: Run) -> None:
    progress: list[Progress] = []
    with pytest.raises(LightRunnerError, match="connection refused") as raised:
        await run(shell(NOBODY, "true"), on_progress=progress.append)
    error = raised.value
    assert error.code is LightRunnerErrorCode.IMAGE_PULL_FAILED
    assert (error.docker_op, error.container_id) == ("image_create", None)
    assert error.to_dict() == {
        "code": "IMAGE_PULL_FAILED",
        "message": error.message,
        "docker_op": "image_create",
        "container_id": None,
    }
    assert str(error) == f"IMAGE_PULL_FAILED: {error.message}"
    assert error.message.startswith(f"{NOBODY}: image_create: ")


@pytest.mark.parametrize("host", ["unix:///no/such/docker.sock", "tcp://127.0.0.1:1"])
async def test_a_daemon_that_is_not_there(host: str, busybox: str) -> None:
    async with DockerRunner(host=host) as runner:
        assert not await runner.is_available()
        with pytest.raises(LightRunnerError) as raised:
            await runner.run(shell(busybox, "true"))
    assert raised.value.code is LightRunnerErrorCode.DOCKER_UNREACHABLE


async def test_an_exit_that_the_daemon_cannot_tell() -> None:
    state = {"Status": "exited", "ExitCode": 0, "Error": "lost its shim"}
    script = {
        "container_inspect": json_answer({"Id": "c", "State": state}),
        "container_wait": json_answer({"StatusCode": 0, "Error": {"Message": "lost its shim"}}),
    }
    async with fake_daemon(script) as daemon, DockerRunner(host=daemon.host) as runner:
        with pytest.raises(LightRunnerError, match="container_wait: lost its shim") as raised:
            await runner.run(shell("fake:1", "true"))
    assert raised.value.code is LightRunnerErrorCode.RUN_FAILED
